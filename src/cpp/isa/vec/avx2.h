// AVX2 and FMA, with AVX-VNNI where the object has it.
#pragma once

#include <immintrin.h>

#include <cstdint>

#if defined(REFINE_ITR_ISA_AVXVNNI)
#define REFINE_ITR_NATIVE_INT8  // products of fours
#endif

namespace refine_itr {
namespace {

using Vec = __m256;
constexpr int kWidth = 8;
constexpr int kGemmRows = 6;  // 6 x 2 sums + 2 of B + 1 broadcast of 16 registers
constexpr int kGruRows = 4;   // 4 x 3 sums + 3 of B + 1 broadcast
constexpr int kWideGruRows = 3;  // GCC 12 spills sums else
constexpr int kGemmVecs = 2;
constexpr int kDotRows = 4;  // 4 x 3 sums + 3 of B + 1 of A
constexpr int kDotCols = 3;
constexpr int kDotByteRows = 6;  // 6 x 2 sums + 2 of B + 1 of A + 1 product
constexpr int kDotByteCols = 2;
constexpr bool kFastInt8 = true;

inline __m256i first(std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline Vec load_n(const float* p, std::int64_t n) {
  return n == kWidth ? load(p) : _mm256_maskload_ps(p, first(n));
}
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a); }
inline void store_n(float* p, Vec a, std::int64_t n) {
  n == kWidth ? store(p, a) : _mm256_maskstore_ps(p, first(n), a);
}
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec minimum(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec maximum(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm256_sqrt_ps(a); }
inline Vec round(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec pow2(Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
inline bool all_between(Vec x, Vec lo, Vec hi) {
  const Vec above = _mm256_cmp_ps(x, lo, _CMP_GE_OQ);
  return _mm256_movemask_ps(_mm256_and_ps(above, _mm256_cmp_ps(x, hi, _CMP_LE_OQ))) == 0xFF;
}
inline bool any_above(Vec x, Vec t) {
  return _mm256_movemask_ps(_mm256_cmp_ps(x, t, _CMP_GT_OQ)) != 0;
}
inline float reduce_add(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

inline void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) {
  const Vec sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
}

inline float reduce_max(Vec a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
inline Vec reciprocal(Vec a) { return _mm256_div_ps(_mm256_set1_ps(1.0F), a); }

using Words = __m256i;

inline Words load_words(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
// The first n words.
inline Words load_words_n(const void* p, std::int64_t n) {
  return n == kWidth ? load_words(p) : _mm256_maskload_epi32(static_cast<const int*>(p), first(n));
}
inline Words broadcast_word(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
inline Words zero_words() { return _mm256_setzero_si256(); }
inline Words add_words(Words a, Words b) { return _mm256_add_epi32(a, b); }
inline Words sub_words(Words a, Words b) { return _mm256_sub_epi32(a, b); }
inline Vec to_float(Words a) { return _mm256_cvtepi32_ps(a); }
inline std::int32_t reduce_add_words(Words a) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

inline void store_bf16(std::uint16_t* p, Vec a, std::int64_t n) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i words = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i half =
      _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  alignas(16) std::uint16_t lanes[kWidth];
  if (n == kWidth) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
    return;
  }
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), half);
  for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

inline Vec bf16_even(Words pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
// By a mask in memory: one in a register would displace a sum, and two shifts take the place of
// multiply-adds.
alignas(32) constexpr std::uint32_t kOddMask[kWidth] = {0xFFFF0000, 0xFFFF0000, 0xFFFF0000,
                                                        0xFFFF0000, 0xFFFF0000, 0xFFFF0000,
                                                        0xFFFF0000, 0xFFFF0000};
inline Vec bf16_odd(Words pairs) {
  Vec odd;
  asm("vpand %2, %1, %0" : "=x"(odd) : "x"(pairs), "m"(kOddMask));
  return odd;
}

constexpr int kInt8Offset = 128;  // vpmaddubsw and vpdpbusd multiply unsigned by signed

// The lowest byte of the first n words.
inline void store_bytes(void* p, __m256i words, std::int64_t n) {
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi32(0xFF));
  const __m128i pairs =
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  const __m128i bytes = _mm_packus_epi16(pairs, pairs);
  if (n == kWidth) {
    _mm_storel_epi64(static_cast<__m128i*>(p), bytes);
    return;
  }
  alignas(16) std::uint8_t lanes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), bytes);
  for (std::int64_t i = 0; i < n; ++i) static_cast<std::uint8_t*>(p)[i] = lanes[i];
}
inline void store_codes(std::int8_t* p, Vec a, std::int64_t n) {
  store_bytes(p, _mm256_cvtps_epi32(a), n);
}
inline void store_activations(std::uint8_t* p, Vec a, std::int64_t n) {
  store_bytes(p, _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(kInt8Offset)), n);
}

#if defined(REFINE_ITR_NATIVE_INT8)

inline Words dot_int8(Words sum, Words a, Words b) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));  // GCC 12 spills sums else
  return sum;
}

#else

alignas(32) constexpr std::uint32_t kOnes[kWidth] = {0x10001, 0x10001, 0x10001, 0x10001,
                                                    0x10001, 0x10001, 0x10001, 0x10001};
inline Words dot_int8(Words sum, Words a, Words b) {
  Words products;
  asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"  // likewise
      : "+x"(sum), "=&x"(products)
      : "x"(a), "xm"(b), "m"(kOnes));
  return sum;
}

#endif

}  // namespace
}  // namespace refine_itr
