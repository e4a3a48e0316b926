#include "packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bf16.h"

namespace refine_itr {
namespace {

// What one step of the quantised numbers stands for; NaN if a number is not finite.
float int8_step(const float* x, std::int64_t n, float levels) noexcept {
  float size = 0.0F;
  float poison = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    size = std::max(size, std::fabs(x[i]));
    poison += 0.0F * x[i];
  }
  return size / levels + poison;
}

std::int8_t to_int8(float x, float step, float levels) noexcept {
  if (!(step > 0.0F)) return 0;
  return static_cast<std::int8_t>(std::lrint(std::clamp(x / step, -levels, levels)));
}

}  // namespace

template <class RowOf>
PackedWeight::PackedWeight(ConstMatrix weight, const float* bias, Precision precision,
                           const KernelTable& table, std::int64_t panels, std::int64_t width,
                           const RowOf& row_of)
    : table_(&table),
      precision_(precision),
      n_in_(weight.cols),
      n_out_(weight.rows),
      depth_(words_of(table, precision, weight.cols)),
      width_(width) {
  allocate(panels * width);
  for (std::int64_t column = 0; column < panels * width; ++column) {
    const std::int64_t row = row_of(column);
    if (row < n_out_) pack_column(weight.row(row), bias == nullptr ? 0.0F : bias[row], column);
  }
}

void PackedWeight::allocate(std::int64_t columns) {
  const bool quantised = precision_ == Precision::int8;
  const std::int64_t numbers = columns * (depth_ + (quantised ? 3 : 1));
  nbytes_ = static_cast<std::size_t>(numbers) * sizeof(std::uint32_t);
  memory_ = aligned_bytes(nbytes_);
  std::memset(memory_.get(), 0, nbytes_);
  words_ = reinterpret_cast<std::uint32_t*>(memory_.get());
  bias_ = reinterpret_cast<float*>(words_ + columns * depth_);
  if (!quantised) return;
  col_scale_ = bias_ + columns;
  col_offset_ = reinterpret_cast<std::int32_t*>(col_scale_ + columns);
}

void PackedWeight::pack_column(const float* weight, float bias, std::int64_t column) {
  const int group = kGroup[static_cast<int>(precision_)];
  std::uint32_t* first = words_ + column / width_ * width_ * depth_ + column % width_;
  bias_[column] = bias;
  const auto levels = static_cast<float>(table_->weight_levels);
  const float step = precision_ == Precision::int8 ? int8_step(weight, n_in_, levels) : 0.0F;
  std::int32_t sum = 0;
  for (std::int64_t k = 0; k < n_in_; ++k) {
    auto* word = reinterpret_cast<std::byte*>(first + k / group * width_);
    switch (precision_) {
      case Precision::fp32: std::memcpy(word, weight + k, sizeof(float)); break;
      case Precision::bf16: {
        const std::uint16_t half = bf16_bits(weight[k]);
        std::memcpy(word + k % group * 2, &half, sizeof(half));
        break;
      }
      case Precision::int8: {
        const std::int8_t quantised = to_int8(weight[k], step, levels);
        std::memcpy(word + k % group, &quantised, sizeof(quantised));
        sum += quantised;
        break;
      }
    }
  }
  if (precision_ != Precision::int8) return;
  col_scale_[column] = step;
  col_offset_[column] = table_->int8_offset * sum;
}

PackedMatrix::PackedMatrix(ConstMatrix weight, const float* bias, Precision precision,
                           const KernelTable& table)
    : PackedWeight(weight, bias, precision, table, ceil_div(weight.rows, table.gemm_cols),
                   table.gemm_cols, [](std::int64_t column) { return column; }) {}

PackedGates::PackedGates(ConstMatrix weight, const float* bias, Precision precision,
                         const KernelTable& table)
    : PackedWeight(weight, bias, precision, table, ceil_div(weight.cols, table.width),
                   3 * table.width,
                   [dim = weight.cols, width = table.width](std::int64_t column) {
                     const std::int64_t unit = column / (3 * width) * width + column % width;
                     const std::int64_t gate = column / width % 3;
                     return unit < dim ? gate * dim + unit : 3 * dim;
                   }) {}

}  // namespace refine_itr
