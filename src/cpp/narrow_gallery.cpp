#include "narrow_gallery.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "bf16.h"

namespace refine_itr {
namespace {

constexpr std::int64_t kLevels = 127;  // of the gallery's codes
// Vectors without an element above it get zeros for codes: their scales could underflow.
constexpr float kSmallest = 0x1p-100F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// At least x >= 0, which was computed in double: more than both roundings. The next float, since
// among denormal numbers the factor is less than half of what lies between two.
float rounded_up(double x) noexcept {
  return x > 0.0 ? std::nextafter(static_cast<float>(x * (1.0 + 0x1p-20)), kInfinity) : 0.0F;
}

// To the nearest whole number, |x| < 2^51; unlike std::lrint it is vectorised.
double nearest(double x) noexcept {
  constexpr double kMagic = 0x1.8p52;  // adding it leaves no bits for a fraction
  return (x + kMagic) - kMagic;
}

void write_code(float code, std::uint16_t* out) noexcept { *out = bf16_bits(code); }

void write_code(double code, std::int8_t* out) noexcept { *out = static_cast<std::int8_t>(code); }

// round(x / scale) gives the code of x. Returns sum and error.
template <class Code, class Round>
NarrowRow write_codes(const float* v, std::int64_t dim, float scale, Code* codes,
                      const Round& round) noexcept {
  const double inverse = 1.0 / scale;
  double sum = 0.0;
  double squares = 0.0;
  for (std::int64_t i = 0; i < dim; ++i) {
    const auto code = round(v[i] * inverse);
    const double error = v[i] - scale * static_cast<double>(code);
    write_code(code, codes + i);
    sum += code;
    squares += error * error;
  }
  return {scale, static_cast<float>(sum), 0.0F, rounded_up(std::sqrt(squares))};
}

struct Size {
  float largest;  // magnitude
  double norm;
};

Size size_of(const float* v, std::int64_t dim) noexcept {
  Size size{0.0F, 0.0};
  for (std::int64_t i = 0; i < dim; ++i) {
    size.largest = std::max(size.largest, std::fabs(v[i]));
    size.norm += static_cast<double>(v[i]) * v[i];
  }
  size.norm = std::sqrt(size.norm);
  return size;
}

}  // namespace

std::int64_t narrow_row_bytes(std::int64_t dim, NarrowPrecision precision) {
  const std::int64_t line = kCacheLine;
  const std::int64_t bytes = precision == NarrowPrecision::bf16 ? 2 * dim : dim;
  return std::max(ceil_div(bytes, line), std::int64_t{1}) * line;
}

NarrowRow narrow_row(const float* v, std::int64_t dim, NarrowPrecision precision,
                     std::int64_t levels, std::byte* codes) noexcept {
  std::memset(codes, 0, static_cast<std::size_t>(narrow_row_bytes(dim, precision)));
  const Size size = size_of(v, dim);
  if (!std::isfinite(size.norm)) return {0.0F, 0.0F, kInfinity, kInfinity};
  const float norm = rounded_up(size.norm);
  if (!(size.largest > kSmallest)) return {0.0F, 0.0F, norm, norm};
  NarrowRow row;
  if (precision == NarrowPrecision::int8) {
    row = write_codes(v, dim, size.largest / static_cast<float>(levels),
                      reinterpret_cast<std::int8_t*>(codes), nearest);
  } else {
    // A power of two, so that codes are v's own bits, rounded, at a magnitude below 2.
    row = write_codes(v, dim, std::ldexp(1.0F, std::ilogb(size.largest)),
                      reinterpret_cast<std::uint16_t*>(codes),
                      [](double x) { return from_bf16(bf16_bits(static_cast<float>(x))); });
    row.sum = 0.0F;
  }
  row.norm = norm;
  return row;
}

NarrowGallery::NarrowGallery(ConstMatrix rows, NarrowPrecision precision)
    : precision_(precision), dim_(rows.cols), row_bytes_(narrow_row_bytes(rows.cols, precision)) {
  reserve(rows.rows);
  append(rows);
}

void NarrowGallery::append(ConstMatrix rows) {
  if (n_ + rows.rows > capacity_) reserve(std::max(n_ + rows.rows, capacity_ + capacity_ / 2));
  for (std::int64_t i = 0; i < rows.rows; ++i) replace(n_++, rows.row(i));
}

void NarrowGallery::replace(std::int64_t index, const float* v) noexcept {
  const NarrowRow row = narrow_row(v, dim_, precision_, kLevels, codes_.get() + index * row_bytes_);
  const auto i = static_cast<std::size_t>(index);
  scales_[i] = row.scale;
  sums_[i] = row.sum;
  norms_[i] = row.norm;
  errors_[i] = row.error;
  if (std::isfinite(row.norm)) largest_norm_ = std::max(largest_norm_, row.norm);
}

std::int64_t NarrowGallery::nbytes() const noexcept {
  return capacity_ * (row_bytes_ + static_cast<std::int64_t>(sizeof(NarrowRow)));
}

void NarrowGallery::reserve(std::int64_t n) {
  AlignedBytes larger = aligned_bytes(static_cast<std::size_t>(n * row_bytes_));
  const auto size = static_cast<std::size_t>(n);
  for (auto* values : {&scales_, &sums_, &norms_, &errors_}) values->resize(size);
  if (n_ > 0) std::memcpy(larger.get(), codes_.get(), static_cast<std::size_t>(n_ * row_bytes_));
  codes_ = std::move(larger);
  capacity_ = n;
}

}  // namespace refine_itr
