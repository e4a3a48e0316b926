// Pooling over the regions, per feature: the mean, the mean of the `top` largest, or GPO (Chen et
// al., CVPR 2021): the values in descending order times one coefficient for each place.
// PyTorch: x.mean(dim=0);  x.topk(top, dim=0).values.mean(dim=0);
//          coefficients @ x.sort(dim=0, descending=True).values

namespace refine_itr {
namespace {

void mean_rows(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
               float* out) noexcept {
  const Vec share = broadcast(1.0F / static_cast<float>(rows));
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    Vec sum = zero();
    for (std::int64_t r = 0; r < rows; ++r) sum = add(sum, load_n(x + r * stride + c, lanes));
    store_n(out + c, mul(sum, share), lanes);
  }
}

// Puts v into a descending list of `count` vectors, element by element; what falls off the end is
// lost.
inline void insert_sorted(float* list, std::int64_t count, Vec v) {
  for (std::int64_t t = 0; t < count; ++t) {
    const Vec kept = load(list + t * kWidth);
    store(list + t * kWidth, maximum(kept, v));
    v = minimum(kept, v);
  }
}

void top_mean_rows(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                   std::int64_t top, float* scratch, float* out) noexcept {
  const Vec share = broadcast(1.0F / static_cast<float>(top));
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    for (std::int64_t t = 0; t < top; ++t) {
      store(scratch + t * kWidth, broadcast(-__builtin_inff()));
    }
    // minimum and maximum lose a NaN; v - v is NaN exactly where v is not finite.
    Vec poison = zero();
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vec v = load_n(x + r * stride + c, lanes);
      poison = add(poison, sub(v, v));
      insert_sorted(scratch, top, v);
    }
    Vec sum = poison;
    for (std::int64_t t = 0; t < top; ++t) sum = add(sum, load(scratch + t * kWidth));
    store_n(out + c, mul(sum, share), lanes);
  }
}

// Vectors i and i + distance, for each i with (i & bit) == parity: the larger elements to i.
inline void order_pairs(float* list, std::int64_t count, std::int64_t distance, std::int64_t bit,
                        std::int64_t parity) {
  for (std::int64_t i = 0; i < count - distance; ++i) {
    if ((i & bit) != parity) continue;
    float* upper = list + i * kWidth;
    float* lower = upper + distance * kWidth;
    const Vec a = load(upper);
    const Vec b = load(lower);
    store(upper, maximum(a, b));
    store(lower, minimum(a, b));
  }
}

// Descending order of `count` vectors, element by element: Batcher's merge exchange (Knuth 5.2.2,
// algorithm M), a sorting network for any count, whose pairs do not depend on the values.
inline void sort_descending(float* list, std::int64_t count) {
  std::int64_t top = 1;
  while (2 * top < count) top *= 2;
  for (std::int64_t bit = top; bit > 0; bit /= 2) {
    order_pairs(list, count, bit, bit, 0);
    for (std::int64_t q = top; q > bit; q /= 2) order_pairs(list, count, q - bit, bit, bit);
  }
}

void gpo_rows(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
              const float* coefficients, float* scratch, float* out) noexcept {
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    Vec sum = zero();  // NaN from here on where a value is not finite, as above
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vec v = load_n(x + r * stride + c, lanes);
      sum = add(sum, sub(v, v));
      store(scratch + r * kWidth, v);
    }
    sort_descending(scratch, rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      sum = fma(broadcast(coefficients[r]), load(scratch + r * kWidth), sum);
    }
    store_n(out + c, sum, lanes);
  }
}

}  // namespace
}  // namespace refine_itr
