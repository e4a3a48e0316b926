// KernelTable: what one instruction set provides. Read this page first.
//
// Every kernel is written once, in isa/kernels/*.inl, over the few operations of isa/vec.h, and
// compiled once per instruction set (isa/isa.cpp). Kernels are serial and never fail; packing,
// blocking, threads and memory are the business of ops/. All numbers are float32; no pointer
// needs more than the alignment of its element.
//
// This header is read by the per-ISA objects: nothing in it may emit code (no inline functions).
#pragma once

#include <cstdint>

namespace refine_itr {

// Floats of the widest register of any instruction set.
constexpr int kMaxWidth = 16;
// Most rows a micro-kernel of any instruction set works on at once.
constexpr int kGemmMaxRows = 14;
// Depth of one pass of the micro-kernel: a panel of B (256 x 32) stays in the second-level cache.
constexpr int kGemmDepth = 256;
// Row stride of the copied panel of A. A constant, so that addresses are displacements; 16 more
// than the depth, so that rows do not fall on the same cache sets.
constexpr int kGemmPanelStride = kGemmDepth + 16;

// One tile: C (rows, cols) = A (rows, depth) B (depth, cols) + epilogue, or C += A B.
struct GemmTile {
  const float* a;  // (rows, depth), row stride kGemmPanelStride
  const float* b;  // (depth, cols), row stride b_stride
  float* c;        // (rows, cols), row stride c_stride
  std::int64_t b_stride;
  std::int64_t c_stride;
  std::int64_t rows;   // 1 .. KernelTable::gemm_rows
  std::int64_t cols;   // 1 .. KernelTable::gemm_cols
  std::int64_t depth;  // 0 .. kGemmDepth
  bool b_padded;       // gemm_cols columns of every row of b may be read
  bool accumulate;     // C += A B; the epilogue is not applied
  // Epilogue, each may be null: + bias + residual + row_factor col_factor^T.
  const float* bias;      // (cols)
  const float* residual;  // (rows, cols), row stride residual_stride; may be c itself
  std::int64_t residual_stride;
  const float* row_factor;  // (rows)
  const float* col_factor;  // (cols); null exactly when row_factor is
};

struct KernelTable {
  const char* name;
  std::int64_t gemm_rows;  // largest tile; gemm_cols is also the width of a packed panel
  std::int64_t gemm_cols;

  // kernels/gemm.inl
  void (*gemm_tile)(const GemmTile& tile) noexcept;

  // kernels/dot.inl: out (rows_a, rows_b) = A (rows_a, depth) B (rows_b, depth)^T. The sum of one
  // element does not depend on its place among the rows.
  void (*dot_rows)(const float* a, std::int64_t a_stride, std::int64_t rows_a, const float* b,
                   std::int64_t b_stride, std::int64_t rows_b, std::int64_t depth, float* out,
                   std::int64_t out_stride) noexcept;

  // kernels/gates.inl: one GRU step of one sequence, units begin .. end-1. x and u (3 dim), in
  // gate order r, z, n, are the input's and the hidden state's shares with their biases; h (dim).
  void (*gru_gates)(const float* x, const float* u, float* h, std::int64_t dim, std::int64_t begin,
                    std::int64_t end) noexcept;

  // kernels/norm.inl: an all-zero vector gives zeros; no intermediate over- or underflow.
  // out may be x.
  void (*l2norm_row)(const float* x, std::int64_t n, float* out) noexcept;  // (n)
  // Each column of x (rows, cols), contiguous, is one vector.
  void (*l2norm_columns)(const float* x, std::int64_t rows, std::int64_t cols,
                         float* out) noexcept;

  // kernels/pooling.inl: per column of x (rows, cols), contiguous, rows >= 1.
  void (*mean_rows)(const float* x, std::int64_t rows, std::int64_t cols, float* out) noexcept;
  // Mean of the `top` (1 .. rows) largest; scratch (top * kMaxWidth). A column that holds a value
  // that is not finite gives NaN.
  void (*top_mean_rows)(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t top,
                        float* scratch, float* out) noexcept;

  // kernels/scan.inl: the first i in begin .. n-1 with x[i] > threshold, or n.
  std::int64_t (*find_above)(const float* x, std::int64_t begin, std::int64_t n,
                             float threshold) noexcept;
};

}  // namespace refine_itr
