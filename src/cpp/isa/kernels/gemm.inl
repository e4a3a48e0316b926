// C = A B + bias + residual + row_factor col_factor^T, one register-blocked tile.
// PyTorch: torch.addmm(bias, a, b) + residual + torch.outer(row_factor, col_factor)

namespace refine_itr {
namespace {

inline Vec gemm_finish(const GemmTile& tile, int r, std::int64_t column, std::int64_t n, Vec sum) {
  if (tile.bias != nullptr) sum = add(sum, load_n(tile.bias + column, n));
  if (tile.row_factor != nullptr) {
    sum = fma(broadcast(tile.row_factor[r]), load_n(tile.col_factor + column, n), sum);
  }
  if (tile.residual != nullptr) {
    sum = add(sum, load_n(tile.residual + r * tile.residual_stride + column, n));
  }
  return sum;
}

// Asked for now, the lines of C and of the residual are there when the product is done.
template <int kRows>
inline void gemm_prefetch(const GemmTile& tile) {
  for (int r = 0; r < kRows; ++r) {
    for (int column = 0; column < kGemmVecs * kWidth; column += kLineWords) {
      __builtin_prefetch(tile.c + r * tile.c_stride + column, 1);
      if (tile.residual != nullptr) {
        __builtin_prefetch(tile.residual + r * tile.residual_stride + column);
      }
    }
  }
}

// The sum of row r, register v.
template <class P>
inline void gemm_write(const GemmTile& tile, int r, int v, typename P::Sum sum) {
  const std::int64_t n = lanes_of(tile.cols, v);
  if (n == 0) return;
  const std::int64_t column = v * kWidth;
  const Vec value = product_value<P>(tile.product, sum, r, column, n);
  store_n(tile.c + r * tile.c_stride + column, gemm_finish(tile, r, column, n, value), n);
}

template <class P, int kRows, bool kWhole>
void gemm_rows(const GemmTile& tile) {
  gemm_prefetch<kRows>(tile);
  Sums<P, kRows, kGemmVecs> total;
  multiply<P, kRows, kGemmVecs, kWhole>(tile.product, tile.cols, total);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kGemmVecs; ++v) gemm_write<P>(tile, r, v, total.sum[r][v]);
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

template <class P>
void gemm_tiles(const GemmTile& tile) {
  TileSums<kGemmVecs> sums;
  multiply_tiles<P>(tile.product, tile.rows, sums);
  for (int r = 0; r < tile.rows; ++r) {
    for (int v = 0; v < kGemmVecs; ++v) {
      gemm_write<P>(tile, r, v, P::sum_at(sums.words[r] + v * kWidth));
    }
  }
}

#endif

template <class P>
constexpr int kGemmTileRows = kTiled<P> ? kMaxTileRows : kGemmRows;

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
