#include "packed_matrix.h"

#include <algorithm>

#include "isa/dispatch.h"

namespace refine_itr {
namespace {

// Columns of a panel written in one sweep: whole cache lines are read, and the lines written stay
// in the first-level cache.
constexpr std::int64_t kSweep = 16;

void pack_panel(ConstMatrix w, std::int64_t width, float* out) noexcept {
  for (std::int64_t k0 = 0; k0 < w.cols; k0 += kSweep) {
    const std::int64_t k1 = std::min(w.cols, k0 + kSweep);
    for (std::int64_t r = 0; r < w.rows; ++r) {
      const float* row = w.row(r);
      for (std::int64_t k = k0; k < k1; ++k) out[k * width + r] = row[k];
    }
    for (std::int64_t k = k0; k < k1; ++k) {
      std::fill(out + k * width + w.rows, out + (k + 1) * width, 0.0F);
    }
  }
}

}  // namespace

void pack_panels(ConstMatrix w, std::int64_t width, float* out) noexcept {
  for (std::int64_t r = 0; r < w.rows; r += width) {
    const std::int64_t rows = std::min(width, w.rows - r);
    pack_panel({w.row(r), rows, w.cols, w.stride}, width, out + r * w.cols);
  }
}

PackedMatrix::PackedMatrix(ConstMatrix weight, const float* bias)
    : table_(&active_table()), n_in_(weight.cols), n_out_(weight.rows) {
  const std::int64_t width = table_->gemm_cols;
  const std::int64_t packed = ceil_div(n_out_, width) * width * n_in_;
  nbytes_ = static_cast<std::size_t>(packed + n_out_) * sizeof(float);
  memory_ = aligned_bytes(nbytes_);
  data_ = reinterpret_cast<float*>(memory_.get());
  bias_ = data_ + packed;
  pack_panels(weight, width, data_);
  if (bias != nullptr) {
    std::copy(bias, bias + n_out_, bias_);
  } else {
    std::fill(bias_, bias_ + n_out_, 0.0F);
  }
}

}  // namespace refine_itr
