// The weights of a linear layer, laid out once for the micro-kernels, in the precision wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "aligned_bytes.h"
#include "isa/dispatch.h"
#include "isa/table.h"
#include "matrix_view.h"

namespace refine_itr {

// Words of a row of `depth` numbers in a product.
inline std::int64_t words_of(const KernelTable& table, Precision precision,
                             std::int64_t depth) noexcept {
  const auto index = static_cast<int>(precision);
  const std::int64_t words = ceil_div(depth, kGroup[index]);
  return ceil_div(words, table.depth_step[index]) * table.depth_step[index];
}

// The most inputs of int8 weights: so many products of an activation, up to 255 with its offset, and
// a weight of up to 127 add up within int32.
constexpr std::int64_t kMostInt8Inputs = std::numeric_limits<std::int32_t>::max() / (255 * 127);

// y = x W^T + b. Immutable, so it may be shared between threads. Its rows, the outputs, are the
// columns of panels: panel p, word k, column j is panel(p)[k * panel_width + j]. What a last panel
// lacks is filled with zeros. int8: each output has its own scale.
class PackedWeight {
 public:
  std::int64_t n_in() const noexcept { return n_in_; }
  std::int64_t n_out() const noexcept { return n_out_; }
  Precision precision() const noexcept { return precision_; }
  std::size_t nbytes() const noexcept { return nbytes_; }
  // The instruction set it is packed for.
  const KernelTable& table() const noexcept { return *table_; }

  std::int64_t depth() const noexcept { return depth_; }  // words
  std::int64_t panel_width() const noexcept { return width_; }
  const std::uint32_t* panel(std::int64_t p) const noexcept { return words_ + p * width_ * depth_; }
  // Each (panels * panel_width); what int8 alone needs is null for the others.
  const float* bias() const noexcept { return bias_; }
  const float* col_scale() const noexcept { return col_scale_; }
  const std::int32_t* col_offset() const noexcept { return col_offset_; }

 protected:
  // weight (n_out, n_in), as torch.nn.Linear has it; bias (n_out) or null for zeros. `row_of` says
  // which row of the weight a column (of all panels) is; n_out or more: none.
  template <class RowOf>
  PackedWeight(ConstMatrix weight, const float* bias, Precision precision,
               const KernelTable& table, std::int64_t panels, std::int64_t width,
               const RowOf& row_of);

 private:
  void allocate(std::int64_t columns);
  void pack_column(const float* weight, float bias, std::int64_t column);

  const KernelTable* table_;
  Precision precision_;
  std::int64_t n_in_;
  std::int64_t n_out_;
  std::int64_t depth_;
  std::int64_t width_;
  std::size_t nbytes_ = 0;
  AlignedBytes memory_;
  std::uint32_t* words_ = nullptr;
  float* bias_ = nullptr;
  float* col_scale_ = nullptr;
  std::int32_t* col_offset_ = nullptr;
};

// For KernelTable::gemm_tile: panels of gemm_cols outputs.
class PackedMatrix : public PackedWeight {
 public:
  PackedMatrix(ConstMatrix weight, const float* bias, Precision precision = Precision::fp32,
               const KernelTable& table = active_table());
};

// For KernelTable::gru_tile: W_hh and b_hh of a GRU, (3 D, D) and (3 D), gates r, z, n. A panel has
// the three gates of `width` units.
class PackedGates : public PackedWeight {
 public:
  PackedGates(ConstMatrix weight, const float* bias, Precision precision = Precision::fp32,
              const KernelTable& table = active_table());

  std::int64_t dim() const noexcept { return n_in(); }
};

}  // namespace refine_itr
