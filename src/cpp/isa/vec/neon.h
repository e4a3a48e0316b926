// NEON, with the dot products of 8-bit integers and of bfloat16 where the object has them.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#if defined(REFINE_ITR_ISA_NEONBF16)
#define REFINE_ITR_NATIVE_BF16  // products of pairs, two pairs to a word
#endif
#define REFINE_ITR_NATIVE_INT8  // products of fours

namespace refine_itr {
namespace {

using Vec = float32x4_t;
constexpr int kWidth = 4;
constexpr int kGemmRows = 6;  // 6 x 4 sums + 4 of B + 1 broadcast of 32 registers
constexpr int kGruRows = 8;   // 8 x 3 sums + 3 of B + 1 broadcast
constexpr int kWideGruRows = kGruRows;
constexpr int kGemmVecs = 4;
constexpr int kDotRows = 6;  // 6 x 4 sums + 4 of B + 1 of A
constexpr int kDotCols = 4;
#if defined(REFINE_ITR_ISA_NEON)
constexpr bool kFastInt8 = false;  // vmull_s8 takes as long as the products of floats that it saves
#else
constexpr bool kFastInt8 = true;
#endif

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

inline void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) {
  vst1q_f32(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}

inline float reduce_max(Vec a) { return vmaxvq_f32(a); }
inline Vec reciprocal(Vec a) { return vdivq_f32(vdupq_n_f32(1.0F), a); }

using Words = int32x4_t;

inline Words load_words(const void* p) { return vld1q_s32(static_cast<const std::int32_t*>(p)); }
// The first n words.
inline Words load_words_n(const void* p, std::int64_t n) {
  if (n == kWidth) return load_words(p);
  std::int32_t lanes[kWidth] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i] = static_cast<const std::int32_t*>(p)[i];
  return vld1q_s32(lanes);
}
inline Words broadcast_word(std::uint32_t x) { return vdupq_n_s32(static_cast<std::int32_t>(x)); }
inline Words zero_words() { return vdupq_n_s32(0); }
inline Words add_words(Words a, Words b) { return vaddq_s32(a, b); }
inline Words sub_words(Words a, Words b) { return vsubq_s32(a, b); }
inline Vec to_float(Words a) { return vcvtq_f32_s32(a); }
inline std::int32_t reduce_add_words(Words a) { return vaddvq_s32(a); }

// The bfloat16 of each in the upper half, anything in the lower.
inline uint32x4_t rounded_bf16(Vec a) {
  const uint32x4_t bits = vreinterpretq_u32_f32(a);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7FFF));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vbslq_u32(vceqq_f32(a, a), rounded, quiet);
}

inline void store_bf16(std::uint16_t* p, Vec a, std::int64_t n) {
  const uint16x4_t half = vshrn_n_u32(rounded_bf16(a), 16);
  if (n == kWidth) return vst1_u16(p, half);
  std::uint16_t lanes[kWidth];
  vst1_u16(lanes, half);
  for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

#if defined(REFINE_ITR_NATIVE_BF16)

inline Vec dot_bf16(Vec sum, Words a, Words b) {
  return vbfdotq_f32(sum, vreinterpretq_bf16_s32(a), vreinterpretq_bf16_s32(b));
}
inline void store_pairs(std::uint32_t* p, Vec a, Vec b) {
  const uint32x4_t low = vshrq_n_u32(rounded_bf16(a), 16);
  vst1q_u32(p, vbslq_u32(vdupq_n_u32(0xFFFF0000), rounded_bf16(b), low));
}

#else

inline Vec bf16_even(Words pairs) { return vreinterpretq_f32_s32(vshlq_n_s32(pairs, 16)); }
inline Vec bf16_odd(Words pairs) {
  return vreinterpretq_f32_s32(vandq_s32(pairs, vdupq_n_s32(-65536)));
}

#endif

constexpr int kInt8Offset = 0;  // both factors are signed

inline void store_codes(std::int8_t* p, Vec a, std::int64_t n) {
  const int16x4_t words = vqmovn_s32(vcvtnq_s32_f32(a));
  std::int8_t lanes[8];
  vst1_s8(lanes, vqmovn_s16(vcombine_s16(words, words)));
  for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
inline void store_activations(std::uint8_t* p, Vec a, std::int64_t n) {
  store_codes(reinterpret_cast<std::int8_t*>(p), a, n);
}

inline Words dot_int8(Words sum, Words a, Words b) {
  const int8x16_t x = vreinterpretq_s8_s32(a);
  const int8x16_t y = vreinterpretq_s8_s32(b);
#if defined(REFINE_ITR_ISA_NEONDOT) || defined(REFINE_ITR_ISA_NEONBF16)
  return vdotq_s32(sum, x, y);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(x, y));
  return vaddq_s32(sum, vpaddq_s32(low, high));
#endif
}

}  // namespace
}  // namespace refine_itr
