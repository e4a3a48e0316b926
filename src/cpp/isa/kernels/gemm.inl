// C = A B + bias + residual + row_factor col_factor^T, one register-blocked tile.
// PyTorch: torch.addmm(bias, a, b) + residual + torch.outer(row_factor, col_factor)

namespace refine_itr {
namespace {

// One register of columns, and what is added to them.
template <class P>
struct GemmColumns {
  std::int64_t column;
  std::int64_t n;
  Columns<P> columns;
  Vec bias;
  Vec factor;

  GemmColumns(const GemmTile& tile, std::int64_t v)
      : column(v * kWidth),
        n(lanes_of(tile.cols, v)),
        columns(tile.product, column, n),
        bias(tile.bias != nullptr ? load_n(tile.bias + column, n) : zero()),
        factor(tile.col_factor != nullptr ? load_n(tile.col_factor + column, n) : zero()) {}

  void write(const GemmTile& tile, std::int64_t r, typename P::Sum sum) const {
    Vec value = add(columns.number(tile.product, r, sum), bias);
    if (tile.row_factor != nullptr) value = fma(broadcast(tile.row_factor[r]), factor, value);
    if (tile.residual != nullptr) {
      value = add(value, load_n(tile.residual + r * tile.residual_stride + column, n));
    }
    store_n(tile.c + r * tile.c_stride + column, value, n);
  }
};

// Asked for now, the lines of C and of the residual are there when the product is done.
inline void gemm_prefetch(const GemmTile& tile, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int column = 0; column < kGemmVecs * kWidth; column += kLineWords) {
      __builtin_prefetch(tile.c + r * tile.c_stride + column, 1);
      if (tile.residual != nullptr) {
        __builtin_prefetch(tile.residual + r * tile.residual_stride + column);
      }
    }
  }
}

template <class P, int kRows, bool kWhole>
void gemm_rows(const GemmTile& tile) {
  gemm_prefetch(tile, kRows);
  Sums<P, kRows, kGemmVecs> total;
  multiply<P, kRows, kGemmVecs, kWhole>(tile.product, tile.cols, total);
#pragma GCC unroll 4
  for (int v = 0; v < kGemmVecs; ++v) {
    const GemmColumns<P> columns(tile, v);
    if (columns.n == 0) continue;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) columns.write(tile, r, total.sum[r][v]);
  }
}

template <class P, int kRows>
void gemm_dispatch(const GemmTile& tile) {
  if (tile.rows == kRows) {
    const bool whole = tile.b_padded || tile.cols == kGemmVecs * kWidth;
    whole ? gemm_rows<P, kRows, true>(tile) : gemm_rows<P, kRows, false>(tile);
  } else if constexpr (kRows > 1) {
    gemm_dispatch<P, kRows - 1>(tile);
  }
}

template <class P>
void gemm_tiles(const GemmTile& tile);  // where there are tiles

#if defined(REFINE_ITR_TILES)

// Row by row, so that a row's cache lines are written one after the other.
template <class P>
void gemm_tiles(const GemmTile& tile) {
  using PanelSums = TileSums<kMostStrips, kGemmVecs>;
  PanelSums sums[kGemmPanels<P>];
  Product product = tile.product;
  const std::int64_t panels = (tile.cols + kGemmVecs * kWidth - 1) / (kGemmVecs * kWidth);
  for (std::int64_t p = 0; p < panels; ++p) {
    multiply_tiles<P>(product, tile.rows, sums[p]);
    product.b += tile.panel_stride;
    product.ahead += product.depth * product.ahead_step;
  }
  const std::int64_t vecs = (tile.cols + kWidth - 1) / kWidth;
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    for (std::int64_t v = 0; v < vecs; ++v) {
      const std::uint32_t* row = sums[v / kGemmVecs].words[r];
      GemmColumns<P>(tile, v).write(tile, r, P::sum_at(row + v % kGemmVecs * kWidth));
    }
  }
}

#endif

template <class P>
constexpr int kGemmTileRows = kTiled<P> ? kMostStrips * kTileRows : kGemmRows;

template <class P>
void gemm_tile(const GemmTile& tile) noexcept {
  if constexpr (kTiled<P>) {
    gemm_tiles<P>(tile);
  } else {
    gemm_dispatch<P, kGemmRows>(tile);
  }
}

}  // namespace
}  // namespace refine_itr
