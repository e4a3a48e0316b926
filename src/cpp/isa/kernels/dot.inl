// out = A B^T for two row-major matrices, read along their rows.
// PyTorch: a @ b.T
//
// 4 x 4 sums at a time: eight loads feed sixteen multiply-adds. An element is summed the same way
// wherever it lies in the block, so equal rows give equal results.

namespace refine_itr {
namespace {

constexpr int kDotRows = 4;

struct DotBlock {
  const float* a;
  const float* b;
  float* out;
  std::int64_t a_stride, b_stride, out_stride, depth;
};

template <int kA, int kB>
inline void dot_step(const DotBlock& block, std::int64_t d, std::int64_t n, Vec (&sum)[kA][kB]) {
  Vec b[kB];
#pragma GCC unroll 4
  for (int j = 0; j < kB; ++j) {
    const float* p = block.b + j * block.b_stride + d;
    b[j] = n == kWidth ? load(p) : load_n(p, n);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kA; ++i) {
    const float* p = block.a + i * block.a_stride + d;
    const Vec a = n == kWidth ? load(p) : load_n(p, n);
#pragma GCC unroll 4
    for (int j = 0; j < kB; ++j) sum[i][j] = fma(a, b[j], sum[i][j]);
  }
}

template <int kA, int kB>
void dot_block(const DotBlock& block) {
  Vec sum[kA][kB];
#pragma GCC unroll 4
  for (int i = 0; i < kA; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kB; ++j) sum[i][j] = zero();
  }
  std::int64_t d = 0;
  for (; d + kWidth <= block.depth; d += kWidth) dot_step<kA, kB>(block, d, kWidth, sum);
  if (d < block.depth) dot_step<kA, kB>(block, d, block.depth - d, sum);
#pragma GCC unroll 4
  for (int i = 0; i < kA; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kB; ++j) block.out[i * block.out_stride + j] = reduce_add(sum[i][j]);
  }
}

template <int kA>
void dot_strip(DotBlock block, std::int64_t rows_b) {
  for (; rows_b > 0; rows_b -= kDotRows) {
    switch (rows_b) {
      case 1: return dot_block<kA, 1>(block);
      case 2: return dot_block<kA, 2>(block);
      case 3: return dot_block<kA, 3>(block);
      default: dot_block<kA, kDotRows>(block);
    }
    block.b += kDotRows * block.b_stride;
    block.out += kDotRows;
  }
}

void dot_rows(const float* a, std::int64_t a_stride, std::int64_t rows_a, const float* b,
              std::int64_t b_stride, std::int64_t rows_b, std::int64_t depth, float* out,
              std::int64_t out_stride) noexcept {
  DotBlock block = {a, b, out, a_stride, b_stride, out_stride, depth};
  for (; rows_a > 0; rows_a -= kDotRows) {
    switch (rows_a) {
      case 1: return dot_strip<1>(block, rows_b);
      case 2: return dot_strip<2>(block, rows_b);
      case 3: return dot_strip<3>(block, rows_b);
      default: dot_strip<kDotRows>(block, rows_b);
    }
    block.a += kDotRows * a_stride;
    block.out += kDotRows * out_stride;
  }
}

}  // namespace
}  // namespace refine_itr
