// KernelTable: what one instruction set provides. Read this page first.
//
// Every kernel is written once, in isa/kernels/*.inl, over the few operations of isa/vec.h, and
// compiled once per instruction set (isa/isa.cpp). Kernels are serial and never fail; packing,
// blocking, threads and memory are the business of ops/. Numbers are float32 but for the factors of
// a product, which come in three precisions; no pointer needs more than the alignment of its
// element.
//
// This header is read by the per-ISA objects: nothing in it may emit code (no inline functions).
#pragma once

#include <cstdint>

namespace refine_itr {

// Of the factors of a product; sums are float32 (int32 for int8).
enum class Precision { fp32, bf16, int8 };
constexpr int kPrecisions = 3;

// Factors are read as 32-bit words, each a group of numbers adjacent along the depth.
constexpr int kGroup[kPrecisions] = {1, 2, 4};

// Floats, or words, of the widest register of any instruction set.
constexpr int kMaxWidth = 16;
// Most rows that a micro-kernel of any instruction set works on at once.
constexpr int kMaxTileRows = 48;
// The packed rows of A lie in passes of so many words: the rows of one pass (14 x 256 words, or
// 48 x 256 in tiles) stay in the first-level cache.
constexpr int kPassWords = 256;
// From one row of a pass to the next: a constant, so that addresses are displacements, and 16 more
// than a pass, so that rows do not fall on the same cache sets.
constexpr int kPassStride = kPassWords + 16;

// Words of a cache line.
constexpr int kLineWords = 16;
// What multiply_add_rounds starts from.
constexpr int kLimitWords = 1024;

// A (rows, depth) B (depth, cols), in words of B.
struct Product {
  // Word k of row r is a[(k / kPassWords) * a_pass + r * kPassStride + k % kPassWords]. Where the
  // instruction set has no products of a precision, A holds wider numbers: two words for one of B.
  const std::uint32_t* a;
  std::int64_t a_pass;
  const std::uint32_t* b;  // (depth, cols), row stride b_stride
  std::int64_t b_stride;
  std::int64_t depth;  // words, 0 or more; a multiple of KernelTable::depth_step
  // Memory that is needed next: each word of the depth asks for the line at `ahead`, which then
  // moves on by `ahead_step` words. Any address will do.
  const std::uint32_t* ahead;
  std::int64_t ahead_step;
  // int8 only: the product is (sum - col_offset[j]) * row_scale[i] * col_scale[j].
  const float* row_scale;          // (rows)
  const float* col_scale;          // (cols)
  const std::int32_t* col_offset;  // (cols)
};

// One tile: C (rows, cols) = A B + bias + residual + row_factor col_factor^T; the last three may
// be null.
struct GemmTile {
  Product product;
  std::int64_t rows;  // 1 .. KernelTable::gemm_rows
  std::int64_t cols;  // 1 .. gemm_cols * gemm_panels of KernelTable
  std::int64_t panel_stride;  // words from the first gemm_cols columns of b to the next
  bool b_padded;              // gemm_cols columns of every row of b may be read
  float* c;           // (rows, cols), row stride c_stride
  std::int64_t c_stride;
  const float* bias;      // (cols)
  const float* residual;  // (rows, cols), row stride residual_stride; may be c itself
  std::int64_t residual_stride;
  const float* row_factor;  // (rows)
  const float* col_factor;  // (cols); null exactly when row_factor is
};

// One step of a GRU for some sequences and some adjacent units: from h to out.
struct GruTile {
  // A is the hidden states; the columns of B, of col_scale and of col_offset are the gates r, z, n
  // of `width` units (KernelTable::width), those of one gate after those of the other.
  Product product;
  std::int64_t rows;      // 1 .. KernelTable::gru_rows
  std::int64_t unit;      // the first of them
  std::int64_t units;     // 1 .. width
  std::int64_t dim;       // of all units
  std::int64_t stride;    // of rows of h and out
  const float* bias;      // (3 width), of the hidden product
  const float* const* x;  // per row (3 dim): the input's share of the gates, biases included
  const float* h;         // (rows, dim)
  float* out;             // (rows, dim), not h
};

// out (rows_a, rows_b) = A B^T. A row is `words` 32-bit words of floats, pairs of bfloat16 or fours
// of 8-bit integers; strides of rows are in words too.
struct DotRows {
  const void* a;  // (rows_a, words)
  const void* b;  // (rows_b, words)
  float* out;     // (rows_a, rows_b)
  std::int64_t a_stride;
  std::int64_t b_stride;
  std::int64_t out_stride;
  std::int64_t rows_a;
  std::int64_t rows_b;
  std::int64_t words;
  // What will be read next, brought into the second-level cache meanwhile. May be empty.
  const void* ahead;
  std::int64_t ahead_bytes;
};

// What turns products of quantised vectors into upper bounds of scores: of the query,
struct ScoreBounds {
  float query_scale;
  float query_offset;
  float from_norm;
  float from_error;
  float floor;
  // and of each row of the gallery.
  const float* scale;
  const float* sum;
  const float* norm;
  const float* error;
};

// Of a vector in steps of its codes.
struct CodeSums {
  float codes;
  float squares;  // of the vector
  float errors;   // squares of the vector less its codes
};

struct KernelTable {
  const char* name;
  std::int64_t width;                     // of a register, in words
  std::int64_t gemm_rows[kPrecisions];    // largest tile; gemm_cols is also a packed panel's width
  std::int64_t gemm_cols;
  std::int64_t gemm_panels[kPrecisions];  // most panels of a tile
  std::int64_t gru_rows[kPrecisions];  // likewise
  // Both factors of a product are filled up with zeros to a multiple of so many words. Where it is
  // more than one, kernels read, and ignore, gemm_rows or gru_rows rows of A, and rows of A and B
  // start at cache lines.
  std::int64_t depth_step[kPrecisions];
  std::int64_t most_ahead;  // of Product::ahead_step
  int left_group[kPrecisions];  // numbers in a word of A
  // Quantised activations are in -127 .. 127; what is added to make them unsigned, or 0.
  std::int32_t int8_offset;
  std::int32_t weight_levels;  // quantised weights are in -weight_levels .. weight_levels

  // kernels/pack.inl: one row of A, x (depth), as Product::a has it, the last word filled up with
  // zeros. int8: quantised, and row_scale is set; it is NaN if a number is not finite.
  void (*pack_row[kPrecisions])(const float* x, std::int64_t depth, std::uint32_t* a,
                                std::int64_t a_pass, float* row_scale) noexcept;
  // b (rows, cols) as the right-hand matrix of a product in bf16: panels of gemm_cols columns and
  // `depth` words, filled up with zeros. Null: there are no products of bf16.
  void (*pack_pairs)(const float* b, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                     std::uint32_t* panels, std::int64_t depth) noexcept;

  // kernels/tiles.inl: a thread calls `enter` before gemm_tile, gru_tile and dot_rows_* of bf16 and
  // int8, and `leave` after them. Null: there is nothing to do.
  void (*enter)() noexcept;
  void (*leave)() noexcept;

  // kernels/gemm.inl
  void (*gemm_tile[kPrecisions])(const GemmTile& tile) noexcept;

  // kernels/gru.inl
  void (*gru_tile[kPrecisions])(const GruTile& tile) noexcept;

  // kernels/dot.inl: the sum of one element does not depend on its place among the rows. dot_rows
  // is of floats. Rows of the other two are multiples of kMaxWidth words, and those of A lie in groups
  // of code_group: word k of row r is a[(r / code_group * words + k) * code_group + r % code_group],
  // or as a_stride says if that is 1. Where it is more, whole groups of A are read, and B, whose rows
  // start at cache lines, to a multiple of as many rows. For dot_rows_int8 the integers of A are in
  // -dot_levels .. dot_levels and carry dot_offset, which makes them unsigned if it is not 0; those
  // of B are signed and in -127 .. 127.
  void (*dot_rows)(const DotRows& rows) noexcept;
  void (*dot_rows_bf16)(const DotRows& rows) noexcept;
  void (*dot_rows_int8)(const DotRows& rows) noexcept;
  std::int64_t code_group;
  std::int64_t code_strip;  // rows of A that meet B at once
  std::int32_t dot_levels;
  std::int32_t dot_offset;
  // The narrow precision to screen a search of floats in, and from how many queries on that pays;
  // fp32 if it never does.
  Precision screening;
  std::int64_t screened_queries;

  // kernels/pack.inl: the largest magnitude of x (n); NaN if a number is not finite.
  float (*magnitude)(const float* x, std::int64_t n) noexcept;
  // kernels/narrow.inl: v (n) as codes (n) in steps of 1 / per_step, at most 127 of them.
  void (*narrow_codes)(const float* v, std::int64_t n, float per_step, std::int8_t* codes,
                       CodeSums* sums) noexcept;
  // v (n) times `per_step`, a power of two, as bfloat16; returns the sum of the squares.
  float (*narrow_halves)(const float* v, std::int64_t n, float per_step,
                         std::uint16_t* codes) noexcept;

  // kernels/norm.inl: an all-zero vector gives zeros; no intermediate over- or underflow.
  // out may be x.
  void (*l2norm_row)(const float* x, std::int64_t n, float* out) noexcept;  // (n)
  // Each column of x (rows, cols), row stride `stride`, is one vector.
  void (*l2norm_columns)(const float* x, std::int64_t rows, std::int64_t cols,
                         std::int64_t stride, float* out, std::int64_t out_stride) noexcept;

  // kernels/pooling.inl: per column of x (rows, cols), row stride `stride`, rows >= 1.
  void (*mean_rows)(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                    float* out) noexcept;
  // Mean of the `top` (1 .. rows) largest; scratch (top * kMaxWidth). A column that holds a value
  // that is not finite gives NaN.
  void (*top_mean_rows)(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                        std::int64_t top, float* scratch, float* out) noexcept;
  // Sum of coefficients[i] (rows) times the i-th largest; scratch (rows * kMaxWidth). NaN as above.
  void (*gpo_rows)(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                   const float* coefficients, float* scratch, float* out) noexcept;

  // kernels/scan.inl: the first i in begin .. n-1 with x[i] > threshold, or n.
  std::int64_t (*find_above)(const float* x, std::int64_t begin, std::int64_t n,
                             float threshold) noexcept;

  // kernels/bound.inl: x (n) becomes upper bounds; what is not a number becomes infinite.
  void (*upper_bounds)(const ScoreBounds& bounds, float* x, std::int64_t n) noexcept;
  // kernels/limits.inl: round_words words of multiply-adds a round, in registers alone; operands
  // (kLimitWords). What is returned only keeps the work from being left out.
  std::int64_t round_words[kPrecisions];
  float (*multiply_add_rounds[kPrecisions])(const std::uint32_t* operands,
                                            std::int64_t rounds) noexcept;
  // The sum of n words, read once: as fast as memory gives them.
  std::int32_t (*read_words)(const std::uint32_t* x, std::int64_t n) noexcept;
};

}  // namespace refine_itr
