// Products of quantised vectors to upper bounds of the scores that they stand for.
// PyTorch: query_scale * scale * (x - query_offset * sum) + floor + from_norm * norm
//          + from_error * error
// ops/narrow_search.h derives it.

namespace refine_itr {
namespace {

void upper_bounds(const ScoreBounds& bounds, float* x, std::int64_t n) noexcept {
  const Vec no_offset = broadcast(-bounds.query_offset);
  const Vec infinity = broadcast(__builtin_inff());
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const std::int64_t m = lanes_of(n - i, 0);
    const Vec dot = fma(no_offset, load_n(bounds.sum + i, m), load_n(x + i, m));
    const Vec scale = mul(broadcast(bounds.query_scale), load_n(bounds.scale + i, m));
    Vec bound = broadcast(bounds.floor);
    bound = fma(broadcast(bounds.from_norm), load_n(bounds.norm + i, m), bound);
    bound = fma(broadcast(bounds.from_error), load_n(bounds.error + i, m), bound);
    // A NaN, of an infinite bound, becomes infinite as well.
    store_n(x + i, minimum(fma(scale, dot, bound), infinity), m);
  }
}

}  // namespace
}  // namespace refine_itr
