// Sums of A B in the tiles of the processor (Intel's AMX), for products of bf16 and int8.
// PyTorch: a @ b
//
// A tile has 16 rows of 16 words. One instruction adds the product of a tile of A (16 rows, 16 words
// of the depth) and one of B (16 words of the depth, 16 columns) to a tile of sums, always at the
// cost of whole tiles: so there is one configuration, and what lies beyond the last row is read and
// ignored. GCC 12 lets these instructions through as inline assembly only where their operands are
// whole, and does not know their registers: nothing else uses them.

namespace refine_itr {
namespace {

#if defined(REFINE_ITR_TILES)

constexpr int kTileRows = 16;
constexpr int kTileWords = 16;
constexpr int kTiles = 8;
constexpr int kMostStrips = 2;  // tiles of A, one below the other

template <class P>
constexpr bool kTiled = P::kPrecision != Precision::fp32;

// As ldtilecfg reads it.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  constexpr TileConfig() {
    for (int i = 0; i < kTiles; ++i) {
      row_bytes[i] = 4 * kTileWords;
      rows[i] = kTileRows;
    }
  }
};
constexpr TileConfig kTileConfig;

void enter() noexcept { asm volatile("ldtilecfg %0" : : "m"(kTileConfig)); }
void leave() noexcept { asm volatile("tilerelease" : : : "memory"); }
constexpr void (*kEnter)() noexcept = enter;
constexpr void (*kLeave)() noexcept = leave;

template <int kTile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kTile>
inline void tile_load(const std::uint32_t* p, std::int64_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(kTile), "r"(p), "r"(4 * stride) : "memory");
}
template <int kTile>
inline void tile_store(std::uint32_t* p, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(kTile), "r"(p), "r"(4 * stride) : "memory");
}
template <class P, int kSum, int kA, int kB>
inline void tile_multiply_add() {
  if constexpr (P::kPrecision == Precision::bf16) {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  } else {  // unsigned by signed, as vpdpbusd
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
}

// kStrips x kVecs tiles of sums come first; then those of A, or one that they share if not all
// have room; the last is of B.
template <int kStrips, int kVecs>
struct TileLayout {
  static constexpr int kB = kTiles - 1;
  static constexpr bool kHeld = kStrips * kVecs + kStrips < kTiles;
  static constexpr int sum(int strip, int vec) { return strip * kVecs + vec; }
  static constexpr int a(int strip) { return kStrips * kVecs + (kHeld ? strip : 0); }
};

template <int kStrips, int kVecs, int kStrip = 0>
inline void tile_load_rows(const std::uint32_t* a) {
  tile_load<TileLayout<kStrips, kVecs>::a(kStrip)>(a + kStrip * kTileRows * kPassStride, kPassStride);
  if constexpr (kStrip + 1 < kStrips) tile_load_rows<kStrips, kVecs, kStrip + 1>(a);
}

// A tile of B meets all of A: downwards and upwards in turns, so that the tile of A that the last one
// met may stay.
template <class P, int kStrips, int kVecs, int kVec, int kTurn = 0>
inline void tile_column(const std::uint32_t* a) {
  using L = TileLayout<kStrips, kVecs>;
  constexpr int kStrip = kVec % 2 == 0 ? kTurn : kStrips - 1 - kTurn;
  if constexpr (!L::kHeld && (kVec == 0 || kTurn > 0)) {
    tile_load<L::a(kStrip)>(a + kStrip * kTileRows * kPassStride, kPassStride);
  }
  tile_multiply_add<P, L::sum(kStrip, kVec), L::a(kStrip), L::kB>();
  if constexpr (kTurn + 1 < kStrips) tile_column<P, kStrips, kVecs, kVec, kTurn + 1>(a);
}

template <class P, int kStrips, int kVecs, int kVec = 0>
inline void tile_step(const std::uint32_t* a, const std::uint32_t* b, std::int64_t b_stride) {
  tile_load<TileLayout<kStrips, kVecs>::kB>(b + kVec * kTileWords, b_stride);
  tile_column<P, kStrips, kVecs, kVec>(a);
  if constexpr (kVec + 1 < kVecs) tile_step<P, kStrips, kVecs, kVec + 1>(a, b, b_stride);
}

template <int kCount, int kTile = 0>
inline void tile_zero_all() {
  tile_zero<kTile>();
  if constexpr (kTile + 1 < kCount) tile_zero_all<kCount, kTile + 1>();
}

template <int kCount, int kVecs, int kTile = 0>
inline void tile_store_all(std::uint32_t* sums) {
  constexpr int kStride = kVecs * kTileWords;
  tile_store<kTile>(sums + kTile / kVecs * kTileRows * kStride + kTile % kVecs * kTileWords, kStride);
  if constexpr (kTile + 1 < kCount) tile_store_all<kCount, kVecs, kTile + 1>(sums);
}

// sums (kStrips * kTileRows, kVecs * kTileWords)
template <class P, int kStrips, int kVecs>
inline void multiply_strips(const Product& product, std::uint32_t* sums) {
  tile_zero_all<kStrips * kVecs>();
  const std::uint32_t* a = product.a;
  const std::uint32_t* b = product.b;
  const std::uint32_t* ahead = product.ahead;
  for (std::int64_t left = product.depth; left > 0; left -= kPassWords) {
    const std::int64_t depth = left < kPassWords ? left : kPassWords;
    for (std::int64_t k = 0; k < depth; k += kTileWords) {
      if constexpr (TileLayout<kStrips, kVecs>::kHeld) tile_load_rows<kStrips, kVecs>(a + k);
      tile_step<P, kStrips, kVecs>(a + k, b, product.b_stride);
      b += kTileWords * product.b_stride;
      for (int i = 0; i < kTileWords; ++i, ahead += product.ahead_step) {
        __builtin_prefetch(ahead, 0, 2);
      }
    }
    a += product.a_pass;
  }
  tile_store_all<kStrips * kVecs, kVecs>(sums);
}

template <int kVecs>
struct TileSums {
  alignas(64) std::uint32_t words[kMostStrips * kTileRows][kVecs * kTileWords];
};

template <class P, int kVecs>
inline void multiply_tiles(const Product& product, std::int64_t rows, TileSums<kVecs>& sums) {
  rows > kTileRows ? multiply_strips<P, 2, kVecs>(product, sums.words[0])
                   : multiply_strips<P, 1, kVecs>(product, sums.words[0]);
}

#else

template <class P>
constexpr bool kTiled = false;

constexpr void (*kEnter)() noexcept = nullptr;
constexpr void (*kLeave)() noexcept = nullptr;

#endif

template <class P>
constexpr int kDepthStep = kTiled<P> ? 16 : 1;

}  // namespace
}  // namespace refine_itr
