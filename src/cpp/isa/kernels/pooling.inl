// Pooling over the regions, per feature: the mean, or the mean of the `top` largest.
// PyTorch: x.mean(dim=0);  x.topk(top, dim=0).values.mean(dim=0)

namespace refine_itr {
namespace {

void mean_rows(const float* x, std::int64_t rows, std::int64_t cols, float* out) noexcept {
  const Vec share = broadcast(1.0F / static_cast<float>(rows));
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    Vec sum = zero();
    for (std::int64_t r = 0; r < rows; ++r) sum = add(sum, load_n(x + r * cols + c, lanes));
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

void top_mean_rows(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t top,
                   float* scratch, float* out) noexcept {
  const Vec share = broadcast(1.0F / static_cast<float>(top));
  for (std::int64_t c = 0; c < cols; c += kWidth) {
    const std::int64_t lanes = lanes_of(cols - c, 0);
    for (std::int64_t t = 0; t < top; ++t) {
      store(scratch + t * kWidth, broadcast(-__builtin_inff()));
    }
    // minimum and maximum lose a NaN; v - v is NaN exactly where v is not finite.
    Vec poison = zero();
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vec v = load_n(x + r * cols + c, lanes);
      poison = add(poison, sub(v, v));
      insert_sorted(scratch, top, v);
    }
    Vec sum = poison;
    for (std::int64_t t = 0; t < top; ++t) sum = add(sum, load(scratch + t * kWidth));
    store_n(out + c, mul(sum, share), lanes);
  }
}

}  // namespace
}  // namespace refine_itr
