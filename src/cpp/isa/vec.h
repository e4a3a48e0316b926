// Vec: one register of floats, and the two dozen operations that the kernels are written in.
//
// REFINE_ITR_ISA_AVX512, _AVX2, _NEON or (none of these) scalar selects the section. For all:
//   load_n / store_n   the first n elements, 0 <= n <= kWidth; elements not loaded are zero
//   fma(a, b, c)       a b + c
//   minimum, maximum   the second argument when either is NaN
//   pow2(n)            2^n of whole numbers n in [-126, 127]
//   select_less        a < b ? x : y, per element (y when either is NaN)
//   all_between        lo <= x <= hi for every element (false when one is NaN)
//   any_above          x > t for at least one element
#pragma once

#include <cstdint>

#include "isa/table.h"

#if defined(REFINE_ITR_ISA_AVX512) || defined(REFINE_ITR_ISA_AVX2)
#include <immintrin.h>
#elif defined(REFINE_ITR_ISA_NEON)
#include <arm_neon.h>
#endif

namespace refine_itr {
namespace {

#if defined(REFINE_ITR_ISA_AVX512)

using Vec = __m512;
constexpr int kWidth = 16;
constexpr int kGemmRows = 14;  // 14 x 2 accumulators + 2 of B + 1 broadcast of 32 registers
constexpr int kGemmVecs = 2;

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

#elif defined(REFINE_ITR_ISA_AVX2)

using Vec = __m256;
constexpr int kWidth = 8;
constexpr int kGemmRows = 6;  // 6 x 2 accumulators + 2 of B + 1 broadcast of 16 registers
constexpr int kGemmVecs = 2;

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

#elif defined(REFINE_ITR_ISA_NEON)

using Vec = float32x4_t;
constexpr int kWidth = 4;
constexpr int kGemmRows = 6;  // 6 x 4 accumulators + 4 of B + 1 broadcast of 32 registers
constexpr int kGemmVecs = 4;

inline Vec load(const float* p) { return vld1q_f32(p); }
inline Vec load_n(const float* p, std::int64_t n) {
  if (n == kWidth) return load(p);
  float lanes[kWidth] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return vld1q_f32(lanes);
}
inline void store(float* p, Vec a) { vst1q_f32(p, a); }
inline void store_n(float* p, Vec a, std::int64_t n) {
  if (n == kWidth) return store(p, a);
  float lanes[kWidth];
  vst1q_f32(lanes, a);
  for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
inline Vec broadcast(float x) { return vdupq_n_f32(x); }
inline Vec zero() { return vdupq_n_f32(0.0F); }
inline Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
inline Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
inline Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
inline Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
inline Vec minimum(Vec a, Vec b) { return select_less(a, b, a, b); }
inline Vec maximum(Vec a, Vec b) { return select_less(b, a, a, b); }
inline Vec sqrt(Vec a) { return vsqrtq_f32(a); }
inline Vec round(Vec a) { return vrndnq_f32(a); }
inline Vec pow2(Vec n) {
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}
inline bool all_between(Vec x, Vec lo, Vec hi) {
  return vminvq_u32(vandq_u32(vcgeq_f32(x, lo), vcleq_f32(x, hi))) != 0;
}
inline bool any_above(Vec x, Vec t) { return vmaxvq_u32(vcgtq_f32(x, t)) != 0; }
inline float reduce_add(Vec a) { return vaddvq_f32(a); }

#else

using Vec = float;
constexpr int kWidth = 1;
constexpr int kGemmRows = 4;  // 4 x 4 accumulators; the compiler may join the four columns
constexpr int kGemmVecs = 4;

inline Vec load(const float* p) { return *p; }
inline Vec load_n(const float* p, std::int64_t n) { return n > 0 ? *p : 0.0F; }
inline void store(float* p, Vec a) { *p = a; }
inline void store_n(float* p, Vec a, std::int64_t n) {
  if (n > 0) *p = a;
}
inline Vec broadcast(float x) { return x; }
inline Vec zero() { return 0.0F; }
inline Vec add(Vec a, Vec b) { return a + b; }
inline Vec sub(Vec a, Vec b) { return a - b; }
inline Vec mul(Vec a, Vec b) { return a * b; }
inline Vec div(Vec a, Vec b) { return a / b; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec minimum(Vec a, Vec b) { return a < b ? a : b; }
inline Vec maximum(Vec a, Vec b) { return a > b ? a : b; }
inline Vec sqrt(Vec a) { return __builtin_sqrtf(a); }
inline Vec round(Vec a) {
  const float magic = 12582912.0F;  // 1.5 * 2^23: adding it leaves no bits for a fraction
  return (a + magic) - magic;       // |a| < 2^22, which holds for exponents
}
inline Vec pow2(Vec n) {
  // A NaN's conversion is undefined: any exponent will do, the product with NaN stays NaN.
  const std::uint32_t exponent = n == n ? static_cast<std::uint32_t>(static_cast<int>(n) + 127) : 0;
  const std::uint32_t bits = exponent << 23;
  float result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) { return a < b ? x : y; }
inline bool all_between(Vec x, Vec lo, Vec hi) { return x >= lo && x <= hi; }
inline bool any_above(Vec x, Vec t) { return x > t; }
inline float reduce_add(Vec a) { return a; }

#endif

static_assert(kWidth <= kMaxWidth && kGemmRows <= kGemmMaxRows, "table.h promises these bounds");

// Elements of vector `v` of a run of n that starts at element 0: 0 .. kWidth.
inline std::int64_t lanes_of(std::int64_t n, std::int64_t v) {
  const std::int64_t left = n - v * kWidth;
  return left <= 0 ? 0 : left < kWidth ? left : kWidth;
}

}  // namespace
}  // namespace refine_itr
