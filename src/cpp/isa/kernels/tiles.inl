// Sums of A B in the tiles of the processor (Intel's AMX), for products of bf16 and int8.
// PyTorch: a @ b
//
// A tile has 16 rows of 16 words. One instruction adds the product of a tile of A (16 rows, 16 words
// of the depth) and one of B (16 words of the depth, 16 columns) to a tile of sums, always at the
// cost of whole tiles: so there is one configuration, and what lies beyond the last row is read and
// ignored. The instructions are inline assembly because the compiler's functions for them want the
// tiles as literal digits, which template arguments are not. It uses no tiles itself.

namespace refine_itr {
namespace {

#if defined(REFINE_ITR_TILES)

constexpr int kTileRows = 16;
constexpr int kTileWords = 16;
constexpr int kTiles = 8;
constexpr int kMostAhead = 3 * kWidth;  // words of a panel's row
// Most tiles of A, one below the other, beside two and three of B.
constexpr int kMostStrips = 3;
constexpr int kGruStrips = 2;

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
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0"
               :
               : "i"(kTile), "r"(p), "r"(4 * stride)
               : "memory");
}
template <int kTile>
inline void tile_store(std::uint32_t* p, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)"
               :
               : "i"(kTile), "r"(p), "r"(4 * stride)
               : "memory");
}
template <class P, int kSum, int kA, int kB>
inline void tile_multiply_add() {
  if constexpr (P::kPrecision == Precision::bf16) {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  } else if constexpr (P::kOffset) {  // unsigned by signed, as vpdpbusd
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  } else {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
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

// The tiles of a factor at one place of the depth.
struct TileFactor {
  const std::uint32_t* p;
  std::int64_t stride;  // words from one row to the next
  std::int64_t next;    // words from one tile to the next
  std::int64_t step;    // words to the next place

  const std::uint32_t* tile(std::int64_t i) const { return p + i * next; }
};

// Memory that is needed next: so much of it is asked for at each place of the depth.
struct TileAhead {
  const char* next;
  std::int64_t bytes;

  void step() {
    for (std::int64_t at = 0; at < bytes; at += 4 * kLineWords) __builtin_prefetch(next + at, 0, 2);
    next += bytes;
  }
};

template <int kStrips, int kVecs, int kStrip = 0>
inline void tile_load_rows(const TileFactor& a) {
  tile_load<TileLayout<kStrips, kVecs>::a(kStrip)>(a.tile(kStrip), a.stride);
  if constexpr (kStrip + 1 < kStrips) tile_load_rows<kStrips, kVecs, kStrip + 1>(a);
}

// A tile of B meets all of A: downwards and upwards in turns, so that the tile of A that the last one
// met may stay.
template <class P, int kStrips, int kVecs, int kVec, int kTurn = 0>
inline void tile_column(const TileFactor& a) {
  using L = TileLayout<kStrips, kVecs>;
  constexpr int kStrip = kVec % 2 == 0 ? kTurn : kStrips - 1 - kTurn;
  if constexpr (!L::kHeld && (kVec == 0 || kTurn > 0)) {
    tile_load<L::a(kStrip)>(a.tile(kStrip), a.stride);
  }
  tile_multiply_add<P, L::sum(kStrip, kVec), L::a(kStrip), L::kB>();
  if constexpr (kTurn + 1 < kStrips) tile_column<P, kStrips, kVecs, kVec, kTurn + 1>(a);
}

template <class P, int kStrips, int kVecs, int kVec = 0>
inline void tile_columns(const TileFactor& a, const TileFactor& b) {
  tile_load<TileLayout<kStrips, kVecs>::kB>(b.tile(kVec), b.stride);
  tile_column<P, kStrips, kVecs, kVec>(a);
  if constexpr (kVec + 1 < kVecs) tile_columns<P, kStrips, kVecs, kVec + 1>(a, b);
}

// Adds to the sums what `words` words of the depth give; b moves on.
template <class P, int kStrips, int kVecs>
inline void tile_depth(TileFactor a, TileFactor& b, std::int64_t words, TileAhead& ahead) {
  for (std::int64_t k = 0; k < words; k += kTileWords) {
    if constexpr (TileLayout<kStrips, kVecs>::kHeld) tile_load_rows<kStrips, kVecs>(a);
    tile_columns<P, kStrips, kVecs>(a, b);
    a.p += a.step;
    b.p += b.step;
    ahead.step();
  }
}

template <int kCount, int kTile = 0>
inline void tile_zero_all() {
  tile_zero<kTile>();
  if constexpr (kTile + 1 < kCount) tile_zero_all<kCount, kTile + 1>();
}

template <int kCount, int kVecs, int kTile = 0>
inline void tile_store_all(std::uint32_t* sums) {
  constexpr int kStride = kVecs * kTileWords;
  std::uint32_t* first = sums + kTile / kVecs * kTileRows * kStride;
  tile_store<kTile>(first + kTile % kVecs * kTileWords, kStride);
  if constexpr (kTile + 1 < kCount) tile_store_all<kCount, kVecs, kTile + 1>(sums);
}

// sums (kStrips * kTileRows, kVecs * kTileWords)
template <class P, int kStrips, int kVecs>
inline void multiply_strips(const Product& product, std::uint32_t* sums) {
  const std::int64_t stride = product.b_stride;
  TileFactor a{product.a, kPassStride, kTileRows * kPassStride, kTileWords};
  TileFactor b{product.b, stride, kTileWords, kTileWords * stride};
  // Of each place, as many lines as each of its words would move on by.
  TileAhead ahead{reinterpret_cast<const char*>(product.ahead),
                  4 * kLineWords * product.ahead_step};
  tile_zero_all<kStrips * kVecs>();
  for (std::int64_t left = product.depth; left > 0; left -= kPassWords) {
    tile_depth<P, kStrips, kVecs>(a, b, left < kPassWords ? left : kPassWords, ahead);
    a.p += product.a_pass;
  }
  tile_store_all<kStrips * kVecs, kVecs>(sums);
}

template <int kStrips, int kVecs>
struct TileSums {
  alignas(64) std::uint32_t words[kStrips * kTileRows][kVecs * kTileWords];
};

// As many strips as the rows need.
template <class P, int kStrips, int kVecs>
inline void multiply_rows(const Product& product, std::int64_t rows, std::uint32_t* sums) {
  if constexpr (kStrips > 1) {
    if (rows <= (kStrips - 1) * kTileRows) {
      return multiply_rows<P, kStrips - 1, kVecs>(product, rows, sums);
    }
  }
  multiply_strips<P, kStrips, kVecs>(product, sums);
}

template <class P, int kStrips, int kVecs>
inline void multiply_tiles(const Product& product, std::int64_t rows,
                           TileSums<kStrips, kVecs>& sums) {
  multiply_rows<P, kStrips, kVecs>(product, rows, sums.words[0]);
}

#else

template <class P>
constexpr bool kTiled = false;

constexpr int kTileRows = 0;
constexpr int kMostStrips = 0;
constexpr int kGruStrips = 0;
constexpr int kMostAhead = kLineWords;

constexpr void (*kEnter)() noexcept = nullptr;
constexpr void (*kLeave)() noexcept = nullptr;

#endif

template <class P>
constexpr int kDepthStep = kTiled<P> ? 16 : 1;

// Queries in narrow numbers lie in groups of so many; those that meet a gallery at once.
constexpr int kCodeGroup = kTiled<Int8> ? 16 : 1;
constexpr int kCodeStrip = kTiled<Int8> ? 32 : 12;

// Tiles screen so fast that some queries pay for narrowing the gallery, to bfloat16, which is done
// faster than 8 bits are found.
constexpr Precision kScreening = kTiled<Bf16> ? Precision::bf16
                                 : kFastInt8  ? Precision::int8
                                              : Precision::fp32;
constexpr int kScreenedQueries = kTiled<Bf16> ? 48 : 128;

// So many panels at once: then whole cache lines of a row of C lie side by side.
template <class P>
constexpr int kGemmPanels = kTiled<P> ? 4 : 1;

}  // namespace
}  // namespace refine_itr
