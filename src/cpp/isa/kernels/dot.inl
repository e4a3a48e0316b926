// out = A B^T for two row-major matrices, read along their rows, in three forms of number.
// PyTorch: a @ b.T
//
// kRows x 4 sums at a time stay in registers, so that kRows + 4 loads feed 4 kRows multiply-adds.
// An element is summed the same way wherever it lies in the block: equal rows give equal results,
// and a row scored by itself gets the score that it has among others.

namespace refine_itr {
namespace {

constexpr int kDotCols = 4;

// Rows of any length.
struct DotFp32 {
  using P = Fp32;
  static constexpr int kRows = kDotRows;
  static constexpr bool kPadded = false;
  static Vec read(const std::uint32_t* p, std::int64_t n, int) {
    return n == kWidth ? P::read(p, 0) : P::read_n(p, n, 0);
  }
};

// Rows of whole registers.
template <class Product, int kRowsAtOnce>
struct DotPadded {
  using P = Product;
  static constexpr int kRows = kRowsAtOnce;
  static constexpr bool kPadded = true;
  static typename P::Operand read(const std::uint32_t* p, std::int64_t, int part) {
    return P::read(p, part);
  }
};

using DotBf16 = DotPadded<Bf16, kDotRows>;

#if defined(REFINE_ITR_NATIVE_INT8)

using DotInt8 = DotPadded<Int8, kDotRows>;
constexpr int kDotLevels = 127;
constexpr int kDotOffset = kInt8Offset;

#else

// Seven bits of A by eight of B: two products add up within 16 bits, and nothing is widened.
struct Int7By8 : Int8 {
  static constexpr int kParts = 1;
  static Operand read(const std::uint32_t* p, int) { return load_words(p); }
  static Sum multiply_add(Operand a, Operand b, Sum sum) { return dot_uint7(sum, a, b); }
};

using DotInt8 = DotPadded<Int7By8, kDotByteRows>;
constexpr int kDotLevels = 63;
constexpr int kDotOffset = 64;

#endif

constexpr std::int64_t kLineBytes = 4 * kLineWords;

// Memory to bring into the cache: so many bytes at each step along the depth, evenly, as memory
// gives them. Less than a line means that some steps ask for the same one.
struct Ahead {
  const char* next;
  const char* end;
  std::int64_t bytes;
};

inline Ahead ahead_of(const DotRows& rows, std::int64_t tile_rows) {
  const std::int64_t strips = (rows.rows_a + tile_rows - 1) / tile_rows;
  const std::int64_t tiles = strips * ((rows.rows_b + kDotCols - 1) / kDotCols);
  const std::int64_t steps = tiles * ((rows.words + kWidth - 1) / kWidth);
  const char* begin = static_cast<const char*>(rows.ahead);
  return {begin, begin + rows.ahead_bytes,
          steps > 0 ? (rows.ahead_bytes + steps - 1) / steps : 0};
}

template <class Form, int kA, int kB>
inline void dot_step(const std::uint32_t* a, std::int64_t a_stride, const std::uint32_t* b,
                     std::int64_t b_stride, std::int64_t n,
                     typename Form::P::Sum (&sum)[kA][kB]) {
  using P = typename Form::P;
#pragma GCC unroll 2
  for (int part = 0; part < P::kParts; ++part) {
    typename P::Operand left[kA];
#pragma GCC unroll 6
    for (int i = 0; i < kA; ++i) left[i] = Form::read(a + i * a_stride, n, part);
#pragma GCC unroll 4
    for (int j = 0; j < kB; ++j) {
      const typename P::Operand right = Form::read(b + j * b_stride, n, part);
#pragma GCC unroll 6
      for (int i = 0; i < kA; ++i) sum[i][j] = P::multiply_add(left[i], right, sum[i][j]);
    }
  }
}

template <class Form, int kA, int kB>
void dot_tile(const DotRows& rows, std::int64_t row_a, std::int64_t row_b, Ahead& ahead) {
  const std::int64_t a_stride = rows.a_stride;
  const std::int64_t b_stride = rows.b_stride;
  const std::uint32_t* a = static_cast<const std::uint32_t*>(rows.a) + row_a * a_stride;
  const std::uint32_t* b = static_cast<const std::uint32_t*>(rows.b) + row_b * b_stride;
  using P = typename Form::P;
  typename P::Sum sum[kA][kB];
#pragma GCC unroll 6
  for (int i = 0; i < kA; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kB; ++j) sum[i][j] = P::none();
  }
  const std::int64_t bytes = ahead.next < ahead.end ? ahead.bytes : 0;
  const char* next = ahead.next;
  std::int64_t d = 0;
  for (; d + kWidth <= rows.words; d += kWidth) {
    for (std::int64_t at = 0; at < bytes; at += kLineBytes) __builtin_prefetch(next + at, 0, 2);
    next += bytes;
    dot_step<Form, kA, kB>(a + d, a_stride, b + d, b_stride, kWidth, sum);
  }
  ahead.next = next;
  if constexpr (!Form::kPadded) {
    if (d < rows.words) {
      dot_step<Form, kA, kB>(a + d, a_stride, b + d, b_stride, rows.words - d, sum);
    }
  }
  float* out = rows.out + row_a * rows.out_stride + row_b;
#pragma GCC unroll 6
  for (int i = 0; i < kA; ++i) {
    Vec lanes[kDotCols];
#pragma GCC unroll 4
    for (int j = 0; j < kDotCols; ++j) lanes[j] = P::number(sum[i][kB == kDotCols ? j : 0]);
    float sums[kDotCols];
    float* target = kB == kDotCols ? out + i * rows.out_stride : sums;
    reduce_add4(lanes[0], lanes[1], lanes[2], lanes[3], target);
    if (kB != kDotCols) out[i * rows.out_stride] = sums[0];
  }
}

template <class Form, int kA>
void dot_strip(const DotRows& rows, std::int64_t row_a, std::int64_t count, Ahead& ahead) {
  if constexpr (kA > 1) {
    if (count < kA) return dot_strip<Form, kA - 1>(rows, row_a, count, ahead);
  }
  std::int64_t j = 0;
  for (; j + kDotCols <= rows.rows_b; j += kDotCols) {
    dot_tile<Form, kA, kDotCols>(rows, row_a, j, ahead);
  }
  for (; j < rows.rows_b; ++j) dot_tile<Form, kA, 1>(rows, row_a, j, ahead);
}

template <class Form>
void dot_rows_of(const DotRows& rows) {
  Ahead ahead = ahead_of(rows, Form::kRows);
  for (std::int64_t i = 0; i < rows.rows_a; i += Form::kRows) {
    dot_strip<Form, Form::kRows>(rows, i, rows.rows_a - i, ahead);
  }
}

void dot_rows(const DotRows& rows) noexcept { dot_rows_of<DotFp32>(rows); }
void dot_rows_bf16(const DotRows& rows) noexcept { dot_rows_of<DotBf16>(rows); }
void dot_rows_int8(const DotRows& rows) noexcept { dot_rows_of<DotInt8>(rows); }

}  // namespace
}  // namespace refine_itr
