// The weights of a linear layer, laid out once for the micro-kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "isa/table.h"
#include "matrix_view.h"
#include "workspace.h"

namespace refine_itr {

// Rows of `w` (n, depth) become the columns of panels: element (row, k) goes to
// out[((row / width) * depth + k) * width + row % width]; the last panel is filled with zeros.
// out (ceil_div(n, width) * width * depth).
void pack_panels(ConstMatrix w, std::int64_t width, float* out) noexcept;

// y = x W^T + b. Immutable, so it may be shared between threads.
class PackedMatrix {
 public:
  // weight (n_out, n_in), as torch.nn.Linear has it; bias (n_out) or null for zeros.
  PackedMatrix(ConstMatrix weight, const float* bias);

  std::int64_t n_in() const noexcept { return n_in_; }
  std::int64_t n_out() const noexcept { return n_out_; }
  std::size_t nbytes() const noexcept { return nbytes_; }
  const float* panels() const noexcept { return data_; }
  const float* bias() const noexcept { return bias_; }  // (n_out), never null
  // The instruction set it is packed for.
  const KernelTable& table() const noexcept { return *table_; }

 private:
  const KernelTable* table_;
  std::int64_t n_in_;
  std::int64_t n_out_;
  std::size_t nbytes_;
  AlignedBytes memory_;
  float* data_;
  float* bias_;
};

}  // namespace refine_itr
