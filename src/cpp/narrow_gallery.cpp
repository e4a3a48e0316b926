#include "narrow_gallery.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace refine_itr {
namespace {

// Vectors without an element above it get zeros for codes: their scales could underflow.
constexpr float kSmallest = 0x1p-100F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// At least x >= 0, which was computed in double: more than both roundings. The next float, since
// among denormal numbers the factor is less than half of what lies between two.
float rounded_up(double x) noexcept {
  return x > 0.0 ? std::nextafter(static_cast<float>(x * (1.0 + 0x1p-20)), kInfinity) : 0.0F;
}

// More than the error of a number of steps that is computed in float32: 127 steps, three roundings.
constexpr double kStepError = 0x1p-15;

// At least the norm of n numbers of steps; `squares` adds up theirs as computed in float32, in any
// order.
double norm_in_steps(float squares, std::int64_t n) noexcept {
  const auto count = static_cast<double>(n);
  return std::sqrt(squares * (1.0 + 0x1p-23 * (count + 16.0))) + kStepError * std::sqrt(count);
}

NarrowRow int8_row(const KernelTable& table, const float* v, std::int64_t dim, float largest,
                   std::int64_t levels, std::int8_t* codes) noexcept {
  const float scale = largest / static_cast<float>(levels);
  CodeSums sums;
  table.narrow_codes(v, dim, 1.0F / scale, codes, &sums);
  return {scale, sums.codes, rounded_up(scale * norm_in_steps(sums.squares, dim)),
          rounded_up(scale * norm_in_steps(sums.errors, dim))};
}

// Rounding to bfloat16 takes at most this part of a number; of the smallest, which a processor may
// take for zero, it takes less than kLeast.
constexpr double kHalf = 0x1p-8;
constexpr double kLeast = 0x1p-126;

// A processor may take the inverse of a larger power of two for zero.
constexpr int kLargestExponent = 126;

// The scale is a power of two, so that codes are v's own bits, rounded, at a magnitude below 4.
NarrowRow bf16_row(const KernelTable& table, const float* v, std::int64_t dim, float largest,
                   std::uint16_t* codes) noexcept {
  const float scale = std::ldexp(1.0F, std::min(std::ilogb(largest), kLargestExponent));
  const auto count = static_cast<double>(dim);
  const double squares = table.narrow_halves(v, dim, 1.0F / scale, codes);
  const double norm = std::sqrt(squares * (1.0 + 0x1p-23 * (count + 16.0))) + kLeast * count;
  const double error = kHalf * norm + kLeast * count;
  return {scale, 0.0F, rounded_up(scale * norm), rounded_up(scale * error)};
}

}  // namespace

std::int64_t narrow_row_bytes(std::int64_t dim, NarrowPrecision precision) {
  const std::int64_t line = kCacheLine;
  const std::int64_t bytes = precision == NarrowPrecision::bf16 ? 2 * dim : dim;
  return std::max(ceil_div(bytes, line), std::int64_t{1}) * line;
}

NarrowRow narrow_row(const KernelTable& table, const float* v, std::int64_t dim,
                     NarrowPrecision precision, std::int64_t levels, std::byte* codes) noexcept {
  std::memset(codes, 0, static_cast<std::size_t>(narrow_row_bytes(dim, precision)));
  const float largest = table.magnitude(v, dim);
  if (!std::isfinite(largest)) return {0.0F, 0.0F, kInfinity, kInfinity};
  if (!(largest > kSmallest)) {
    const float norm = rounded_up(largest * std::sqrt(static_cast<double>(dim)));
    return {0.0F, 0.0F, norm, norm};
  }
  if (precision == NarrowPrecision::bf16) {
    return bf16_row(table, v, dim, largest, reinterpret_cast<std::uint16_t*>(codes));
  }
  return int8_row(table, v, dim, largest, levels, reinterpret_cast<std::int8_t*>(codes));
}

NarrowGallery::NarrowGallery(ConstMatrix rows, NarrowPrecision precision)
    : table_(&active_table()),
      precision_(precision),
      dim_(rows.cols),
      row_bytes_(narrow_row_bytes(rows.cols, precision)) {
  reserve(rows.rows);
  append(rows);
}

void NarrowGallery::append(ConstMatrix rows) {
  if (n_ + rows.rows > capacity_) reserve(std::max(n_ + rows.rows, capacity_ + capacity_ / 2));
  for (std::int64_t i = 0; i < rows.rows; ++i) replace(n_++, rows.row(i));
}

void NarrowGallery::replace(std::int64_t index, const float* v) noexcept {
  const NarrowRow row = narrow_row(*table_, v, dim_, precision_, kGalleryLevels,
                                   codes_.get() + index * row_bytes_);
  const auto i = static_cast<std::size_t>(index);
  scales_[i] = row.scale;
  sums_[i] = row.sum;
  norms_[i] = row.norm;
  errors_[i] = row.error;
  if (std::isfinite(row.norm)) largest_norm_ = std::max(largest_norm_, row.norm);
}

NarrowRows NarrowGallery::rows() const noexcept {
  return {precision_,     n_,           dim_,           row_bytes_,     codes_.get(),
          scales_.data(), sums_.data(), norms_.data(), errors_.data(), largest_norm_};
}

std::int64_t NarrowGallery::nbytes() const noexcept {
  return capacity_ * (row_bytes_ + static_cast<std::int64_t>(sizeof(NarrowRow)));
}

void NarrowGallery::reserve(std::int64_t n) {
  const std::int64_t read = n + table_->code_group - 1;
  AlignedBytes larger = aligned_bytes(static_cast<std::size_t>(read * row_bytes_));
  const auto size = static_cast<std::size_t>(n);
  for (auto* values : {&scales_, &sums_, &norms_, &errors_}) values->resize(size);
  if (n_ > 0) std::memcpy(larger.get(), codes_.get(), static_cast<std::size_t>(n_ * row_bytes_));
  codes_ = std::move(larger);
  capacity_ = n;
}

}  // namespace refine_itr
