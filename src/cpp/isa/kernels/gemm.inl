// C = A B + bias + residual + row_factor col_factor^T, one register-blocked tile.
// PyTorch: torch.addmm(bias, a, b) + residual + torch.outer(row_factor, col_factor)
//
// The whole tile of C lives in registers while k runs: per k, kGemmVecs loads of B and one
// broadcast of A per row feed rows * kGemmVecs multiply-adds.

namespace refine_itr {
namespace {

template <int kRows>
struct GemmSums {
  Vec sum[kRows][kGemmVecs];
};

template <int kRows, bool kPadded>
inline void gemm_step(const GemmTile& tile, std::int64_t k, GemmSums<kRows>& acc) {
  const float* b = tile.b + k * tile.b_stride;
  Vec columns[kGemmVecs];
#pragma GCC unroll 4
  for (int v = 0; v < kGemmVecs; ++v) {
    columns[v] = kPadded ? load(b + v * kWidth) : load_n(b + v * kWidth, lanes_of(tile.cols, v));
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const Vec x = broadcast(tile.a[r * kGemmPanelStride + k]);
#pragma GCC unroll 4
    for (int v = 0; v < kGemmVecs; ++v) acc.sum[r][v] = fma(x, columns[v], acc.sum[r][v]);
  }
}

template <int kRows>
inline void gemm_clear(GemmSums<kRows>& acc) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kGemmVecs; ++v) acc.sum[r][v] = zero();
  }
}

// A tile of few rows has too few sums to hide the latency of a multiply-add: it runs several
// k at once, each with its own sums.
template <int kRows, bool kPadded>
inline void gemm_accumulate(const GemmTile& tile, GemmSums<kRows>& total) {
  constexpr int kSets = kRows == 1 ? 4 : kRows <= 3 ? 2 : 1;
  GemmSums<kRows> acc[kSets];
#pragma GCC unroll 4
  for (int s = 0; s < kSets; ++s) gemm_clear<kRows>(acc[s]);
  std::int64_t k = 0;
  for (; k + kSets <= tile.depth; k += kSets) {
#pragma GCC unroll 4
    for (int s = 0; s < kSets; ++s) gemm_step<kRows, kPadded>(tile, k + s, acc[s]);
  }
  for (; k < tile.depth; ++k) gemm_step<kRows, kPadded>(tile, k, acc[0]);
  total = acc[0];
#pragma GCC unroll 4
  for (int s = 1; s < kSets; ++s) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kGemmVecs; ++v) {
        total.sum[r][v] = add(total.sum[r][v], acc[s].sum[r][v]);
      }
    }
  }
}

inline Vec gemm_finish(const GemmTile& tile, int r, int v, std::int64_t n, Vec sum) {
  const std::int64_t column = v * kWidth;
  if (tile.accumulate) return add(sum, load_n(tile.c + r * tile.c_stride + column, n));
  if (tile.bias != nullptr) sum = add(sum, load_n(tile.bias + column, n));
  if (tile.row_factor != nullptr) {
    sum = fma(broadcast(tile.row_factor[r]), load_n(tile.col_factor + column, n), sum);
  }
  if (tile.residual != nullptr) {
    sum = add(sum, load_n(tile.residual + r * tile.residual_stride + column, n));
  }
  return sum;
}

template <int kRows, bool kPadded>
void gemm_rows(const GemmTile& tile) {
  GemmSums<kRows> acc;
  gemm_accumulate<kRows, kPadded>(tile, acc);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kGemmVecs; ++v) {
      const std::int64_t n = lanes_of(tile.cols, v);
      if (n == 0) continue;
      float* c = tile.c + r * tile.c_stride + v * kWidth;
      store_n(c, gemm_finish(tile, r, v, n, acc.sum[r][v]), n);
    }
  }
}

template <int kRows>
void gemm_dispatch(const GemmTile& tile) {
  if (tile.rows == kRows) {
    const bool padded = tile.b_padded || tile.cols == kGemmVecs * kWidth;
    padded ? gemm_rows<kRows, true>(tile) : gemm_rows<kRows, false>(tile);
  } else if constexpr (kRows > 1) {
    gemm_dispatch<kRows - 1>(tile);
  }
}

void gemm_tile(const GemmTile& tile) noexcept { gemm_dispatch<kGemmRows>(tile); }

}  // namespace
}  // namespace refine_itr
