// The nonlinearities of a GRU's gates, from 2^t - 1 = s q + (s - 1) with t = n + r, s = 2^n and
// q = 2^r - 1: no cancellation near zero.
// PyTorch: torch.sigmoid(x), torch.tanh(x)
//
// The polynomial was fitted for this file (least maximum relative error, in float64).

namespace refine_itr {
namespace {

struct Power {
  Vec scale;  // s
  Vec rest;   // q
};

// t is clamped to where s is a normal number; a NaN goes into q.
inline Power power_of_two(Vec t) {
  t = minimum(broadcast(126.0F), maximum(broadcast(-126.0F), t));
  const Vec n = round(t);
  const Vec r = sub(t, n);
  Vec p = broadcast(1.5403518e-4F);
  p = fma(p, r, broadcast(1.33907353e-3F));
  p = fma(p, r, broadcast(9.61823761e-3F));
  p = fma(p, r, broadcast(5.55035733e-2F));
  p = fma(p, r, broadcast(2.40226492e-1F));
  p = fma(p, r, broadcast(6.93147182e-1F));
  return {pow2(n), mul(p, r)};
}

// 1 / (1 + e^-x)
inline Vec sigmoid(Vec x) {
  const Power power = power_of_two(mul(x, broadcast(-1.44269504F)));
  return reciprocal(fma(power.scale, power.rest, add(power.scale, broadcast(1.0F))));
}

// (e^2x - 1) / (e^2x + 1); beyond |x| = 20 it is 1 in float.
inline Vec tanh(Vec x) {
  const Vec limit = broadcast(20.0F);
  x = minimum(limit, maximum(sub(zero(), limit), x));
  const Power power = power_of_two(mul(x, broadcast(2.88539008F)));
  const Vec one = broadcast(1.0F);
  const Vec above = fma(power.scale, power.rest, sub(power.scale, one));
  return mul(above, reciprocal(fma(power.scale, power.rest, add(power.scale, one))));
}

}  // namespace
}  // namespace refine_itr
