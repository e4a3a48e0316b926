// out = A B^T for two row-major matrices, read along their rows, in three forms of number.
// PyTorch: a @ b.T
//
// kRows x kCols sums at a time stay in registers, so that kRows + kCols loads feed kRows kCols
// multiply-adds; the registers of B stay, those of A come and go. An element is summed the same way
// wherever it lies in the block: equal rows give equal results, and a row scored by itself gets the
// score that it has among others.

namespace refine_itr {
namespace {

// Rows of any length.
struct DotFp32 {
  using P = Fp32;
  static constexpr int kRows = kDotRows;
  static constexpr int kCols = kDotCols;
  static constexpr bool kPadded = false;
  static Vec read(const std::uint32_t* p, std::int64_t n, int) {
    return n == kWidth ? P::read(p, 0) : P::read_n(p, n, 0);
  }
};

// Rows of whole registers.
template <class Product, int kTileRows, int kTileCols>
struct DotPadded {
  using P = Product;
  static constexpr int kRows = kTileRows;
  static constexpr int kCols = kTileCols;
  static constexpr bool kPadded = true;
  static typename P::Operand read(const std::uint32_t* p, std::int64_t, int part) {
    return P::read(p, part);
  }
};

using DotBf16 = DotPadded<Bf16, kDotRows, kDotCols>;

#if defined(REFINE_ITR_NATIVE_INT8)

using DotInt8 = DotPadded<Int8, kDotRows, kDotCols>;
constexpr int kDotLevels = 127;
constexpr int kDotOffset = kTiled<Int8> ? 0 : kInt8Offset;

#else

// Seven bits of A by eight of B.
using DotInt8 = DotPadded<Int8, kDotByteRows, kDotByteCols>;
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

// One row of A meets twice as many of B at once: less would not hide the latency of a multiply-add.
template <class Form, int kA>
constexpr int kTileCols = kA == 1 ? 2 * Form::kCols : Form::kCols;

template <class Form>
inline Ahead ahead_of(const DotRows& rows) {
  const std::int64_t strips = (rows.rows_a + Form::kRows - 1) / Form::kRows;
  const std::int64_t cols = rows.rows_a == 1 ? kTileCols<Form, 1> : Form::kCols;
  const std::int64_t tiles = strips * ((rows.rows_b + cols - 1) / cols);
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
    typename P::Operand right[kB];
#pragma GCC unroll 8
    for (int j = 0; j < kB; ++j) right[j] = Form::read(b + j * b_stride, n, part);
#pragma GCC unroll 6
    for (int i = 0; i < kA; ++i) {
      const typename P::Operand left = Form::read(a + i * a_stride, n, part);
#pragma GCC unroll 8
      for (int j = 0; j < kB; ++j) sum[i][j] = P::multiply_add(left, right[j], sum[i][j]);
    }
  }
}

// out (kA, kB) gets the sums over the lanes of each.
template <class P, int kA, int kB>
inline void write_sums(const typename P::Sum (&sum)[kA][kB], float* out, std::int64_t out_stride) {
  constexpr int kCount = kA * kB;
  float sums[(kCount + 3) / 4 * 4];
#pragma GCC unroll 6
  for (int first = 0; first < kCount; first += 4) {
    Vec lanes[4];
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      const int at = first + n < kCount ? first + n : first;
      lanes[n] = P::number(sum[at / kB][at % kB]);
    }
    reduce_add4(lanes[0], lanes[1], lanes[2], lanes[3], sums + first);
  }
#pragma GCC unroll 6
  for (int i = 0; i < kA; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kB; ++j) out[i * out_stride + j] = sums[i * kB + j];
  }
}

template <class Form, int kA, int kB>
void dot_tile(const DotRows& rows, std::int64_t row_a, std::int64_t row_b, Ahead& ahead) {
  using P = typename Form::P;
  const std::int64_t a_stride = rows.a_stride;
  const std::int64_t b_stride = rows.b_stride;
  const std::uint32_t* a = static_cast<const std::uint32_t*>(rows.a) + row_a * a_stride;
  const std::uint32_t* b = static_cast<const std::uint32_t*>(rows.b) + row_b * b_stride;
  typename P::Sum sum[kA][kB];
#pragma GCC unroll 6
  for (int i = 0; i < kA; ++i) {
#pragma GCC unroll 8
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
  write_sums<P, kA, kB>(sum, rows.out + row_a * rows.out_stride + row_b, rows.out_stride);
}

template <class Form, int kA>
void dot_strip(const DotRows& rows, std::int64_t row_a, std::int64_t count, Ahead& ahead) {
  if constexpr (kA > 1) {
    if (count < kA) return dot_strip<Form, kA - 1>(rows, row_a, count, ahead);
  }
  constexpr int kB = kTileCols<Form, kA>;
  std::int64_t j = 0;
  for (; j + kB <= rows.rows_b; j += kB) dot_tile<Form, kA, kB>(rows, row_a, j, ahead);
  for (; j < rows.rows_b; ++j) dot_tile<Form, kA, 1>(rows, row_a, j, ahead);
}

template <class Form>
void dot_rows_of(const DotRows& rows) {
  Ahead ahead = ahead_of<Form>(rows);
  for (std::int64_t i = 0; i < rows.rows_a; i += Form::kRows) {
    dot_strip<Form, Form::kRows>(rows, i, rows.rows_a - i, ahead);
  }
}

template <class P>
void dot_tiles(const DotRows& rows);  // where there are tiles

#if defined(REFINE_ITR_TILES)

constexpr int kDotStrips = 3;
constexpr int kDotGroups = kCodeStrip / kCodeGroup;

// Sums (16 rows of B, 16 of A; a row every `stride` words) to out (A, B): `rows` by `cols` of them.
template <class P>
void write_turned(const std::uint32_t* sums, std::int64_t stride, std::int64_t rows,
                  std::int64_t cols, float* out, std::int64_t out_stride) {
  Vec lines[kTileRows];
  for (int r = 0; r < kTileRows; ++r) lines[r] = P::number(P::sum_at(sums + r * stride));
  turn(lines);
  for (std::int64_t q = 0; q < cols; ++q) store_n(out + q * out_stride, lines[q], rows);
}

// Up to kStrips tiles of rows of B, which are the tiles' rows, by kGroups groups of rows of A.
template <class P, int kStrips, int kGroups>
void dot_block(const DotRows& rows, std::int64_t row_a, std::int64_t row_b, TileAhead& ahead) {
  if constexpr (kStrips > 1) {
    if (rows.rows_b - row_b <= (kStrips - 1) * kTileRows) {
      return dot_block<P, kStrips - 1, kGroups>(rows, row_a, row_b, ahead);
    }
  }
  const std::uint32_t* queries = static_cast<const std::uint32_t*>(rows.a) + row_a * rows.words;
  const std::uint32_t* gallery = static_cast<const std::uint32_t*>(rows.b) + row_b * rows.b_stride;
  const TileFactor a{gallery, rows.b_stride, kTileRows * rows.b_stride, kTileWords};
  TileFactor b{queries, kCodeGroup, kCodeGroup * rows.words, kCodeGroup * kTileWords};
  TileSums<kStrips, kGroups> sums;
  tile_zero_all<kStrips * kGroups>();
  tile_depth<P, kStrips, kGroups>(a, b, rows.words, ahead);
  tile_store_all<kStrips * kGroups, kGroups>(sums.words[0]);
  for (std::int64_t r = row_b; r < rows.rows_b && r < row_b + kStrips * kTileRows; r += kTileRows) {
    for (std::int64_t group = 0; group < kGroups; ++group) {
      const std::int64_t q = row_a + group * kCodeGroup;
      write_turned<P>(sums.words[r - row_b] + (q - row_a), kGroups * kCodeGroup,
                      lanes_of(rows.rows_b - r, 0), lanes_of(rows.rows_a - q, 0),
                      rows.out + q * rows.out_stride + r, rows.out_stride);
    }
  }
}

template <class P, int kGroups>
void dot_groups(const DotRows& rows, std::int64_t row_a, TileAhead& ahead) {
  if constexpr (kGroups > 1) {
    if (rows.rows_a - row_a <= (kGroups - 1) * kCodeGroup) {
      return dot_groups<P, kGroups - 1>(rows, row_a, ahead);
    }
  }
  for (std::int64_t r = 0; r < rows.rows_b; r += kDotStrips * kTileRows) {
    dot_block<P, kDotStrips, kGroups>(rows, row_a, r, ahead);
  }
}

template <class P>
void dot_tiles(const DotRows& rows) {
  const std::int64_t blocks = (rows.rows_b + kDotStrips * kTileRows - 1) / (kDotStrips * kTileRows);
  const std::int64_t strips = (rows.rows_a + kCodeStrip - 1) / kCodeStrip;
  const std::int64_t steps = strips * blocks * (rows.words / kTileWords);
  TileAhead ahead{static_cast<const char*>(rows.ahead),
                  steps > 0 ? (rows.ahead_bytes + steps - 1) / steps : 0};
  for (std::int64_t q = 0; q < rows.rows_a; q += kCodeStrip) {
    dot_groups<P, kDotGroups>(rows, q, ahead);
  }
}

#endif

// Tiles multiply signed numbers as well.
struct SignedInt8 : Int8 {
  static constexpr bool kOffset = false;
};

// Of narrow numbers; TileForm where there are tiles.
template <class Form, class TileForm>
void dot_codes(const DotRows& rows) {
  if constexpr (kTiled<TileForm>) {
    dot_tiles<TileForm>(rows);
  } else {
    dot_rows_of<Form>(rows);
  }
}

void dot_rows(const DotRows& rows) noexcept { dot_rows_of<DotFp32>(rows); }
void dot_rows_bf16(const DotRows& rows) noexcept { dot_codes<DotBf16, Bf16>(rows); }
void dot_rows_int8(const DotRows& rows) noexcept { dot_codes<DotInt8, SignedInt8>(rows); }

}  // namespace
}  // namespace refine_itr
