// The next score that could enter a top-k list.
// PyTorch: (x[begin:] > threshold).nonzero()[0] + begin

namespace refine_itr {
namespace {

std::int64_t find_above(const float* x, std::int64_t begin, std::int64_t n,
                        float threshold) noexcept {
  const Vec limit = broadcast(threshold);
  std::int64_t i = begin;
  while (i + kWidth <= n && !any_above(load(x + i), limit)) i += kWidth;
  while (i < n && !(x[i] > threshold)) ++i;
  return i;
}

}  // namespace
}  // namespace refine_itr
