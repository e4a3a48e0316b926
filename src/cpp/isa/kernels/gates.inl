// One step of a GRU, after its two matrix products.
//   r = sigmoid(x_r + u_r);  z = sigmoid(x_z + u_z);  n = tanh(x_n + r u_n);  h = (1 - z) n + z h
// PyTorch: torch.nn.GRUCell, with x = W_ih input + b_ih and u = W_hh h + b_hh
//
// The polynomials were fitted for this file (least maximum relative error, in float64).

namespace refine_itr {
namespace {

// e^x, relative error 2e-7; x is clamped to the exponents of normal numbers; NaN stays NaN.
inline Vec exp(Vec x) {
  x = minimum(broadcast(88.0F), maximum(broadcast(-87.0F), x));
  const Vec n = round(mul(x, broadcast(1.44269504F)));
  // x - n ln 2 in two parts: the first, of few bits, multiplies exactly.
  Vec r = fma(n, broadcast(-0.693359375F), x);
  r = fma(n, broadcast(2.12194440e-4F), r);
  Vec p = broadcast(1.38366374e-3F);
  p = fma(p, r, broadcast(8.37498065e-3F));
  p = fma(p, r, broadcast(4.16682363e-2F));
  p = fma(p, r, broadcast(1.66664183e-1F));
  p = fma(p, r, broadcast(4.99999911e-1F));
  p = fma(p, r, broadcast(1.0F));
  p = fma(p, r, broadcast(1.0F));
  return mul(p, pow2(n));
}

inline Vec sigmoid(Vec x) {
  const Vec one = broadcast(1.0F);
  return div(one, add(one, exp(sub(zero(), x))));
}

// Odd polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel.
inline Vec tanh(Vec x) {
  const Vec one = broadcast(1.0F);
  const Vec two = broadcast(2.0F);
  const Vec size = maximum(x, sub(zero(), x));
  const Vec square = mul(x, x);
  Vec p = broadcast(-5.65998210e-3F);
  p = fma(p, square, broadcast(2.05909815e-2F));
  p = fma(p, square, broadcast(-5.37210666e-2F));
  p = fma(p, square, broadcast(1.33311272e-1F));
  p = fma(p, square, broadcast(-3.33332598e-1F));
  p = fma(p, square, one);
  const Vec far = sub(one, div(two, add(exp(mul(two, size)), one)));
  const Vec signed_far = select_less(x, zero(), sub(zero(), far), far);
  return select_less(size, broadcast(0.625F), mul(x, p), signed_far);
}

inline Vec gru_unit(const float* x, const float* u, const float* h, std::int64_t dim,
                    std::int64_t n) {
  const Vec reset = sigmoid(add(load_n(x, n), load_n(u, n)));
  const Vec update = sigmoid(add(load_n(x + dim, n), load_n(u + dim, n)));
  const Vec fresh = tanh(fma(reset, load_n(u + 2 * dim, n), load_n(x + 2 * dim, n)));
  return fma(update, sub(load_n(h, n), fresh), fresh);
}

void gru_gates(const float* x, const float* u, float* h, std::int64_t dim, std::int64_t begin,
               std::int64_t end) noexcept {
  for (std::int64_t i = begin; i < end; i += kWidth) {
    const std::int64_t n = lanes_of(end - i, 0);
    store_n(h + i, gru_unit(x + i, u + i, h + i, dim, n), n);
  }
}

}  // namespace
}  // namespace refine_itr
