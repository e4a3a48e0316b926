// out = x / sqrt(sum x^2), zeros for an all-zero vector.
// PyTorch: torch.nan_to_num(x / x.norm(dim=dim, keepdim=True)) for finite x
//
// The square of a float32 leaves its range beyond about 1e19 and below 1e-19: a vector whose sum of
// squares is near either end is scaled by a power of two first, which changes no digit.

namespace refine_itr {
namespace {

constexpr float kSmallSquare = 1e-20F;
constexpr float kLargeSquare = 1e37F;
constexpr float kScaleUp = 0x1p96F;
constexpr float kScaleDown = 0x1p-96F;

inline float sum_of_squares(const float* x, std::int64_t n, float scale) {
  const Vec s = broadcast(scale);
  Vec sum = zero();
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const Vec v = mul(load_n(x + i, lanes_of(n - i, 0)), s);
    sum = fma(v, v, sum);
  }
  return reduce_add(sum);
}

void l2norm_row(const float* x, std::int64_t n, float* out) noexcept {
  float scale = 1.0F;
  float sum = sum_of_squares(x, n, scale);
  if (!(sum >= kSmallSquare && sum <= kLargeSquare)) {
    scale = sum < kSmallSquare ? kScaleUp : kScaleDown;
    sum = sum_of_squares(x, n, scale);
  }
  if (sum == 0.0F) sum = 1.0F;
  const Vec s = broadcast(scale);
  const Vec norm = sqrt(broadcast(sum));
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const std::int64_t lanes = lanes_of(n - i, 0);
    store_n(out + i, div(mul(load_n(x + i, lanes), s), norm), lanes);
  }
}

inline Vec column_squares(const float* x, std::int64_t rows, std::int64_t stride,
                          std::int64_t lanes, Vec scale) {
  Vec sum = zero();
  for (std::int64_t r = 0; r < rows; ++r) {
    const Vec v = mul(load_n(x + r * stride, lanes), scale);
    sum = fma(v, v, sum);
  }
  return sum;
}

void l2norm_columns(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                    float* out, std::int64_t out_stride) noexcept {
  const Vec one = broadcast(1.0F);
  const Vec small = broadcast(kSmallSquare);
  const Vec large = broadcast(kLargeSquare);
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    Vec scale = one;
    Vec sum = column_squares(x + c, rows, stride, lanes, scale);
    if (!all_between(sum, small, large)) {
      scale = select_less(sum, small, broadcast(kScaleUp), one);
      scale = select_less(large, sum, broadcast(kScaleDown), scale);
      sum = column_squares(x + c, rows, stride, lanes, scale);
      sum = select_less(zero(), sum, sum, add(sum, one));
    }
    const Vec norm = sqrt(sum);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vec v = mul(load_n(x + r * stride + c, lanes), scale);
      store_n(out + r * out_stride + c, div(v, norm), lanes);
    }
  }
}

}  // namespace
}  // namespace refine_itr
