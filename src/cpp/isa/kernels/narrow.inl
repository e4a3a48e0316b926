// A vector in whole steps: its codes, and in steps how large it is and what they lose of it.
// PyTorch: t = v * per_step; codes = t.round(); codes.sum(), t @ t, (t - codes) @ (t - codes)

namespace refine_itr {
namespace {

void narrow_codes(const float* v, std::int64_t n, float per_step, std::int8_t* codes,
                  CodeSums* sums) noexcept {
  const Vec factor = broadcast(per_step);
  Vec sum = zero();
  Vec squares = zero();
  Vec lost = zero();
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const std::int64_t lanes = lanes_of(n - i, 0);
    const Vec steps = mul(load_n(v + i, lanes), factor);
    const Vec code = round(steps);
    const Vec error = sub(steps, code);
    store_codes(codes + i, code, lanes);
    sum = add(sum, code);
    squares = fma(steps, steps, squares);
    lost = fma(error, error, lost);
  }
  *sums = {reduce_add(sum), reduce_add(squares), reduce_add(lost)};
}

// PyTorch: t = v * per_step; codes = t.bfloat16(); t @ t
float narrow_halves(const float* v, std::int64_t n, float per_step, std::uint16_t* codes) noexcept {
  const Vec factor = broadcast(per_step);
  Vec squares[2] = {zero(), zero()};
  const auto take = [&](std::int64_t i, Vec x, std::int64_t lanes, Vec& sum) {
    const Vec steps = mul(x, factor);
    store_bf16(codes + i, steps, lanes);
    sum = fma(steps, steps, sum);
  };
  std::int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    take(i, load(v + i), kWidth, squares[0]);
    take(i + kWidth, load(v + i + kWidth), kWidth, squares[1]);
  }
  for (; i < n; i += kWidth) {
    const std::int64_t lanes = lanes_of(n - i, 0);
    take(i, load_n(v + i, lanes), lanes, squares[0]);
  }
  return reduce_add(add(squares[0], squares[1]));
}

}  // namespace
}  // namespace refine_itr
