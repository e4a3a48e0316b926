// What the processor can do at most: the yardstick of the benchmarks.

namespace refine_itr {
namespace {

// As many independent sums as a tile has, and nothing else. The sums start from memory, so that the
// compiler can neither work them out nor take two for the same.
template <class P>
float register_rounds(const std::uint32_t* operands, std::int64_t rounds) {
  constexpr int kSums = kGemmRows * kGemmVecs;
  typename P::Sum sum[kSums];
#pragma GCC unroll 32
  for (int i = 0; i < kSums; ++i) sum[i] = P::sum_at(operands + i * kWidth);
  const typename P::Operand a = P::spread(operands);
  const typename P::Operand b = P::read(operands, 0);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 2
    for (int part = 0; part < P::kParts; ++part) {
#pragma GCC unroll 32
      for (int i = 0; i < kSums; ++i) sum[i] = P::multiply_add(a, b, sum[i]);
    }
  }
#pragma GCC unroll 32
  for (int i = 1; i < kSums; ++i) sum[0] = P::join(sum[0], sum[i]);
  return reduce_add(P::number(sum[0]));
}

template <class P>
float tile_rounds(const std::uint32_t* operands, std::int64_t rounds);  // where there are tiles

#if defined(REFINE_ITR_TILES)

template <class P>
float tile_rounds(const std::uint32_t* operands, std::int64_t rounds) {
  constexpr int kStrips = 2;
  using L = TileLayout<kStrips, kGemmVecs>;
  TileSums<kStrips, kGemmVecs> sums;
  enter();
  tile_zero_all<kStrips * kGemmVecs>();
  const TileFactor a{operands, kTileWords, kTileRows * kTileWords, 0};
  tile_load_rows<kStrips, kGemmVecs>(a);
  tile_load<L::kB>(a.tile(kStrips), kTileWords);
  for (std::int64_t round = 0; round < rounds; ++round) {
    tile_column<P, kStrips, kGemmVecs, 0>(a);
    tile_column<P, kStrips, kGemmVecs, 1>(a);
  }
  tile_store_all<kStrips * kGemmVecs, kGemmVecs>(sums.words[0]);
  leave();
  return reduce_add(P::number(P::sum_at(sums.words[0])));
}

#endif

template <class P>
constexpr std::int64_t kRoundWords =
    kTiled<P> ? 4 * 16 * 16 * 16 : std::int64_t{kGemmRows} * kGemmVecs * kWidth;

static_assert(kGemmRows * kGemmVecs * kWidth <= kLimitWords, "table.h promises this");

template <class P>
float multiply_add_rounds(const std::uint32_t* operands, std::int64_t rounds) noexcept {
  if constexpr (kTiled<P>) {
    return tile_rounds<P>(operands, rounds);
  } else {
    return register_rounds<P>(operands, rounds);
  }
}

std::int32_t read_words(const std::uint32_t* x, std::int64_t n) noexcept {
  constexpr int kStreams = 8;
  Words sum[kStreams];
#pragma GCC unroll 8
  for (int s = 0; s < kStreams; ++s) sum[s] = zero_words();
  std::int64_t i = 0;
  for (; i + kStreams * kWidth <= n; i += kStreams * kWidth) {
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) {
      sum[s] = add_words(sum[s], load_words(x + i + s * kWidth));
    }
  }
  for (; i < n; i += kWidth) {
    sum[0] = add_words(sum[0], load_words_n(x + i, lanes_of(n - i, 0)));
  }
  for (int s = 1; s < kStreams; ++s) sum[0] = add_words(sum[0], sum[s]);
  return reduce_add_words(sum[0]);
}

}  // namespace
}  // namespace refine_itr
