// One step of a GRU: the hidden product, its gates and the new state, without leaving registers.
// PyTorch: torch.nn.GRUCell, with x = W_ih input + b_ih
//
//   r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), n = tanh(x_n + r u_n), h' = n + z (h - n)
//   u = W_hh h + b_hh

namespace refine_itr {
namespace {

constexpr int kGates = 3;

template <class P>
constexpr int kGruTileRows = P::kParts == 1 ? kGruRows : kWideGruRows;

template <class P>
inline Vec gru_gate(const GruTile& tile, int r, int gate, typename P::Sum sum) {
  const std::int64_t column = gate * kWidth;
  const Vec u = product_value<P>(tile.product, sum, r, column, kWidth);
  return add(u, load(tile.bias + column));
}

template <class P, int kRows>
void gru_rows(const GruTile& tile) {
  // Asked for now, the inputs are there when the product is done.
  for (int r = 0; r < kRows; ++r) {
    for (int gate = 0; gate < kGates; ++gate) {
      __builtin_prefetch(tile.x[r] + gate * tile.dim + tile.unit);
    }
  }
  Sums<P, kRows, kGates> total;
  multiply<P, kRows, kGates, true>(tile.product, kGates * kWidth, total);
  const std::int64_t n = tile.units;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const float* x = tile.x[r] + tile.unit;
    const std::int64_t at = r * tile.dim + tile.unit;
    const Vec reset = sigmoid(add(load_n(x, n), gru_gate<P>(tile, r, 0, total.sum[r][0])));
    const Vec keep = sigmoid(add(load_n(x + tile.dim, n), gru_gate<P>(tile, r, 1, total.sum[r][1])));
    const Vec hidden = gru_gate<P>(tile, r, 2, total.sum[r][2]);
    const Vec fresh = tanh(fma(reset, hidden, load_n(x + 2 * tile.dim, n)));
    store_n(tile.out + at, fma(keep, sub(load_n(tile.h + at, n), fresh), fresh), n);
  }
}

template <class P, int kRows>
void gru_dispatch(const GruTile& tile) {
  if (tile.rows == kRows) {
    gru_rows<P, kRows>(tile);
  } else if constexpr (kRows > 1) {
    gru_dispatch<P, kRows - 1>(tile);
  }
}

template <class P>
void gru_tile(const GruTile& tile) noexcept {
  gru_dispatch<P, kGruTileRows<P>>(tile);
}

}  // namespace
}  // namespace refine_itr
