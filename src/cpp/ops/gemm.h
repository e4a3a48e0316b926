// Matrix products: blocking for the caches, and threads, over KernelTable::gemm_tile.
#pragma once

#include "isa/table.h"
#include "matrix_view.h"
#include "packed_matrix.h"

namespace refine_itr {

// The right-hand matrix (depth, cols), in panels of KernelTable::gemm_cols columns: element (k, j)
// is data[(j / gemm_cols) * panel_stride + k * row_stride + j % gemm_cols].
struct RightMatrix {
  const float* data;
  std::int64_t panel_stride;
  std::int64_t row_stride;
  std::int64_t depth;
  std::int64_t cols;
  bool padded;  // the last panel may be read to its full width
};

RightMatrix packed_right(const PackedMatrix& w) noexcept;
// `panels` as pack_panels writes them from (cols, depth).
RightMatrix packed_right(const KernelTable& table, const float* panels, std::int64_t cols,
                         std::int64_t depth) noexcept;
// A matrix (depth, cols) as it lies.
RightMatrix plain_right(const KernelTable& table, ConstMatrix b) noexcept;

// What is added to the product; each may be null.
struct Epilogue {
  const float* bias = nullptr;        // (cols)
  const float* residual = nullptr;    // (rows, cols), row stride residual_stride; may be c itself
  std::int64_t residual_stride = 0;
  const float* row_factor = nullptr;  // (rows) with col_factor: row_factor col_factor^T
  const float* col_factor = nullptr;  // (cols)
};

struct Gemm {
  ConstMatrix a;  // (rows, depth)
  RightMatrix b;  // (depth, cols)
  Matrix c;       // (rows, cols), shares no memory with a or b
  Epilogue epilogue;
};

// The rows, and the panels of columns, of `gemm.c` named: on the calling thread.
void gemm_part(const KernelTable& table, const Gemm& gemm, Range rows, Range panels) noexcept;

// All of it, on the calling thread.
void gemm_serial(const KernelTable& table, const Gemm& gemm) noexcept;

// All of it, on up to `threads` threads (0: all).
void gemm_parallel(const KernelTable& table, const Gemm& gemm, int threads) noexcept;

inline std::int64_t panel_count(const KernelTable& table, std::int64_t cols) noexcept {
  return ceil_div(cols, table.gemm_cols);
}

}  // namespace refine_itr
