// One step of a GRU: the hidden product, its gates and the new state, without leaving registers.
// PyTorch: torch.nn.GRUCell, with x = W_ih input + b_ih
//
//   r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), n = tanh(x_n + r u_n), h' = n + z (h - n)
//   u = W_hh h + b_hh

namespace refine_itr {
namespace {

constexpr int kGates = 3;

template <class P>
constexpr int kGruTileRows = kTiled<P>        ? kGruStrips * kTileRows
                             : P::kParts == 1 ? kGruRows
                                              : kWideGruRows;

// One gate of `width` units.
template <class P>
struct GateColumns {
  Columns<P> columns;
  Vec bias;

  GateColumns(const GruTile& tile, int gate)
      : columns(tile.product, gate * kWidth, kWidth), bias(load(tile.bias + gate * kWidth)) {}

  Vec value(const GruTile& tile, std::int64_t r, typename P::Sum sum) const {
    return add(columns.number(tile.product, r, sum), bias);
  }
};

// A tile's gates r, z, n.
template <class P>
struct Gates {
  GateColumns<P> reset;
  GateColumns<P> keep;
  GateColumns<P> fresh;

  explicit Gates(const GruTile& tile) : reset(tile, 0), keep(tile, 1), fresh(tile, 2) {}

  // What the gates of row r make of their sums; n's input, which has to wait, is asked for.
  void read(const GruTile& tile, std::int64_t r, const typename P::Sum (&sum)[kGates],
            Vec (&gate)[kGates]) const {
    const std::int64_t n = tile.units;
    const float* x = tile.x[r] + tile.unit;
    gate[0] = add(load_n(x, n), reset.value(tile, r, sum[0]));
    gate[1] = add(load_n(x + tile.dim, n), keep.value(tile, r, sum[1]));
    gate[2] = fresh.value(tile, r, sum[2]);
    __builtin_prefetch(x + 2 * tile.dim);
  }

  // The new state of row r, from what `read` gave.
  void write(const GruTile& tile, std::int64_t r, const Vec (&gate)[kGates]) const {
    const std::int64_t n = tile.units;
    const float* x = tile.x[r] + tile.unit;
    const std::int64_t at = r * tile.stride + tile.unit;
    const Vec of_reset = sigmoid(gate[0]);
    const Vec of_keep = sigmoid(gate[1]);
    const Vec state = tanh(fma(of_reset, gate[2], load_n(x + 2 * tile.dim, n)));
    store_n(tile.out + at, fma(of_keep, sub(load_n(tile.h + at, n), state), state), n);
  }
};

// Asked for now, the inputs are there when the product is done.
inline void gru_prefetch(const GruTile& tile, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int gate = 0; gate < kGates; ++gate) {
      __builtin_prefetch(tile.x[r] + gate * tile.dim + tile.unit);
    }
  }
}

template <class P, int kRows>
void gru_rows(const GruTile& tile) {
  gru_prefetch(tile, kRows);
  Sums<P, kRows, kGates> total;
  multiply<P, kRows, kGates, true>(tile.product, kGates * kWidth, total);
  const Gates<P> gates(tile);
  // First the inputs of all rows, as they may come from far away.
  Vec gate[kRows][kGates];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) gates.read(tile, r, total.sum[r], gate[r]);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) gates.write(tile, r, gate[r]);
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
  TileSums<kGruStrips, kGates> sums;
  multiply_tiles<P>(tile.product, tile.rows, sums);
  const Gates<P> gates(tile);
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const std::uint32_t* row = sums.words[r];
    const typename P::Sum sum[kGates] = {P::sum_at(row), P::sum_at(row + kWidth),
                                         P::sum_at(row + 2 * kWidth)};
    Vec gate[kGates];
    gates.read(tile, r, sum, gate);
    gates.write(tile, r, gate);
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
