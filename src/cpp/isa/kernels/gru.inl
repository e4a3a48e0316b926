// One step of a GRU: the hidden product, its gates and the new state, without leaving registers.
// PyTorch: torch.nn.GRUCell, with x = W_ih input + b_ih
//
//   r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), n = tanh(x_n + r u_n), h' = n + z (h - n)
//   u = W_hh h + b_hh

namespace refine_itr {
namespace {

constexpr int kGates = 3;

template <class P>
constexpr int kGruTileRows = kTiled<P> ? kMaxTileRows : P::kParts == 1 ? kGruRows : kWideGruRows;

template <class P>
inline Vec gru_gate(const GruTile& tile, int r, int gate, typename P::Sum sum) {
  const std::int64_t column = gate * kWidth;
  const Vec u = product_value<P>(tile.product, sum, r, column, kWidth);
  return add(u, load(tile.bias + column));
}

// Asked for now, the inputs are there when the product is done.
inline void gru_prefetch(const GruTile& tile, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int gate = 0; gate < kGates; ++gate) {
      __builtin_prefetch(tile.x[r] + gate * tile.dim + tile.unit);
    }
  }
}

// The new state of row r, from the sums of its gates.
template <class P>
inline void gru_write(const GruTile& tile, int r, const typename P::Sum (&sum)[kGates]) {
  const std::int64_t n = tile.units;
  const float* x = tile.x[r] + tile.unit;
  const std::int64_t at = r * tile.dim + tile.unit;
  const Vec reset = sigmoid(add(load_n(x, n), gru_gate<P>(tile, r, 0, sum[0])));
  const Vec keep = sigmoid(add(load_n(x + tile.dim, n), gru_gate<P>(tile, r, 1, sum[1])));
  const Vec hidden = gru_gate<P>(tile, r, 2, sum[2]);
  const Vec fresh = tanh(fma(reset, hidden, load_n(x + 2 * tile.dim, n)));
  store_n(tile.out + at, fma(keep, sub(load_n(tile.h + at, n), fresh), fresh), n);
}

template <class P, int kRows>
void gru_rows(const GruTile& tile) {
  gru_prefetch(tile, kRows);
  Sums<P, kRows, kGates> total;
  multiply<P, kRows, kGates, true>(tile.product, kGates * kWidth, total);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) gru_write<P>(tile, r, total.sum[r]);
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
void gru_tiles(const GruTile& tile);  // where there are tiles

#if defined(REFINE_ITR_TILES)

template <class P>
void gru_tiles(const GruTile& tile) {
  gru_prefetch(tile, tile.rows);
  TileSums<kGates> sums;
  multiply_tiles<P>(tile.product, tile.rows, sums);
  for (int r = 0; r < tile.rows; ++r) {
    const std::uint32_t* row = sums.words[r];
    gru_write<P>(tile, r, {P::sum_at(row), P::sum_at(row + kWidth), P::sum_at(row + 2 * kWidth)});
  }
}

#endif

template <class P>
void gru_tile(const GruTile& tile) noexcept {
  if constexpr (kTiled<P>) {
    gru_tiles<P>(tile);
  } else {
    gru_dispatch<P, kGruTileRows<P>>(tile);
  }
}

}  // namespace
}  // namespace refine_itr
