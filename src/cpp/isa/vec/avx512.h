// AVX-512 (F, DQ, BW, VL), with VNNI, BF16 and AMX where the object has them.
#pragma once

#include <immintrin.h>

#include <cstdint>

#if defined(REFINE_ITR_ISA_AMX)
#define REFINE_ITR_TILES  // products of whole tiles, in kernels/tiles.inl
#endif
#if defined(REFINE_ITR_ISA_AVX512BF16) || defined(REFINE_ITR_TILES)
#define REFINE_ITR_NATIVE_BF16  // products of pairs, two pairs to a word
#endif
#if defined(REFINE_ITR_ISA_AVX512VNNI) || defined(REFINE_ITR_NATIVE_BF16)
#define REFINE_ITR_NATIVE_INT8  // products of fours
#endif

namespace refine_itr {
namespace {

using Vec = __m512;
constexpr int kWidth = 16;
constexpr int kGemmRows = 14;  // 14 x 2 sums + 2 of B + 1 broadcast of 32 registers
constexpr int kGruRows = 8;    // 8 x 3 sums + 3 of B + 1 broadcast
constexpr int kWideGruRows = kGruRows;
constexpr int kGemmVecs = 2;
constexpr int kDotRows = 6;  // 6 x 4 sums + 4 of B + 1 of A
constexpr int kDotCols = 4;
constexpr int kDotByteRows = 6;  // 6 x 4 sums + 4 of B + 1 of A + 1 product + 1 of ones
constexpr int kDotByteCols = 4;
constexpr bool kFastInt8 = true;

inline __mmask16 first(std::int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline Vec load_n(const float* p, std::int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a); }
inline void store_n(float* p, Vec a, std::int64_t n) { _mm512_mask_storeu_ps(p, first(n), a); }
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec minimum(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec maximum(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm512_sqrt_ps(a); }
inline Vec round(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec pow2(Vec n) { return _mm512_scalef_ps(_mm512_set1_ps(1.0F), n); }
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
inline bool all_between(Vec x, Vec lo, Vec hi) {
  const __mmask16 above = _mm512_cmp_ps_mask(x, lo, _CMP_GE_OQ);
  return _mm512_mask_cmp_ps_mask(above, x, hi, _CMP_LE_OQ) == 0xFFFF;
}
inline bool any_above(Vec x, Vec t) { return _mm512_cmp_ps_mask(x, t, _CMP_GT_OQ) != 0; }
inline float reduce_add(Vec a) { return _mm512_reduce_add_ps(a); }

inline void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) {
  const Vec ab = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const Vec cd = add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const Vec sums = add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
  const __m256 half =
      _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

inline float reduce_max(Vec a) { return _mm512_reduce_max_ps(a); }
inline Vec reciprocal(Vec a) {
  const Vec y = _mm512_rcp14_ps(a);
  return _mm512_mul_ps(y, _mm512_fnmadd_ps(a, y, _mm512_set1_ps(2.0F)));
}

using Words = __m512i;

#if defined(REFINE_ITR_TILES)

// Rows to columns.
inline void turn(Vec (&x)[16]) {
  Vec pairs[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
  // Of four rows, the elements j, j + 4, j + 8 and j + 12.
  Vec fours[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0xEE);
    fours[i + 2] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Vec low = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0x88);
    const Vec low_odd = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0xDD);
    const Vec high = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0x88);
    const Vec high_odd = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0xDD);
    x[j] = _mm512_shuffle_f32x4(low, high, 0x88);
    x[4 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    x[8 + j] = _mm512_shuffle_f32x4(low, high, 0xDD);
    x[12 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xDD);
  }
}

#endif

inline Words load_words(const void* p) { return _mm512_loadu_si512(p); }
// The first n words.
inline Words load_words_n(const void* p, std::int64_t n) {
  return _mm512_maskz_loadu_epi32(first(n), p);
}
inline Words broadcast_word(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
inline Words zero_words() { return _mm512_setzero_si512(); }
inline Words add_words(Words a, Words b) { return _mm512_add_epi32(a, b); }
inline Words sub_words(Words a, Words b) { return _mm512_sub_epi32(a, b); }
inline Vec to_float(Words a) { return _mm512_cvtepi32_ps(a); }
inline std::int32_t reduce_add_words(Words a) { return _mm512_reduce_add_epi32(a); }

inline void store_bf16(std::uint16_t* p, Vec a, std::int64_t n) {
#if defined(REFINE_ITR_NATIVE_BF16)
  const __m256i half = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a));
#else
  const __m512i bits = _mm512_castps_si512(a);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  const __m512i result = _mm512_mask_blend_epi32(nan, rounded, quiet);
  const __m256i half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16));
#endif
  _mm256_mask_storeu_epi16(p, first(n), half);
}

#if defined(REFINE_ITR_NATIVE_BF16)

inline Vec dot_bf16(Vec sum, Words a, Words b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));  // as vpdpbusd below
  return sum;
}
inline void store_pairs(std::uint32_t* p, Vec a, Vec b) {
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a)));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(b)));
  _mm512_storeu_si512(p, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

#else

inline Vec bf16_even(Words pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline Vec bf16_odd(Words pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
}

#endif

constexpr int kInt8Offset = 128;  // vpmaddubsw and vpdpbusd multiply unsigned by signed

inline void store_codes(std::int8_t* p, Vec a, std::int64_t n) {
  _mm_mask_storeu_epi8(p, first(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}
inline void store_activations(std::uint8_t* p, Vec a, std::int64_t n) {
  const __m512i rounded = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(kInt8Offset));
  _mm_mask_storeu_epi8(p, first(n), _mm512_cvtepi32_epi8(rounded));
}

#if defined(REFINE_ITR_NATIVE_INT8)

inline Words dot_int8(Words sum, Words a, Words b) {
  // GCC 12 copies sums to memory and back around the intrinsic.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

#else

inline Words dot_int8(Words sum, Words a, Words b) {
  Words products;
  asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"  // likewise
      : "+v"(sum), "=&v"(products)
      : "v"(a), "v"(b), "v"(_mm512_set1_epi16(1)));
  return sum;
}

#endif

}  // namespace
}  // namespace refine_itr
