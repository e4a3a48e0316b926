// Plain C++: what runs on every processor.
#pragma once

#include <cstdint>

#define REFINE_ITR_NATIVE_INT8  // products of fours

namespace refine_itr {
namespace {

using Vec = float;
constexpr int kWidth = 1;
constexpr int kGemmRows = 4;  // 4 x 4 sums; the compiler may join the four columns
constexpr int kGruRows = 4;
constexpr int kWideGruRows = kGruRows;
constexpr int kGemmVecs = 4;
constexpr int kDotRows = 4;
constexpr int kDotCols = 3;
constexpr bool kFastInt8 = false;

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

inline void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
}

inline float reduce_max(Vec a) { return a; }
inline Vec reciprocal(Vec a) { return 1.0F / a; }

using Words = std::int32_t;

inline Words load_words(const void* p) {
  Words word;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}
// The first n words.
inline Words load_words_n(const void* p, std::int64_t n) { return n > 0 ? load_words(p) : 0; }
inline Words broadcast_word(std::uint32_t x) { return static_cast<Words>(x); }
inline Words zero_words() { return 0; }
inline Words add_words(Words a, Words b) { return a + b; }
inline Words sub_words(Words a, Words b) { return a - b; }
inline Vec to_float(Words a) { return static_cast<float>(a); }
inline std::int32_t reduce_add_words(Words a) { return a; }

inline void store_bf16(std::uint16_t* p, Vec a, std::int64_t n) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &a, sizeof(bits));
  const std::uint32_t rounded = bits + ((bits >> 16) & 1) + 0x7FFF;
  if (n > 0) *p = static_cast<std::uint16_t>((a == a ? rounded : bits | 0x400000) >> 16);
}

inline float float_of(std::uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

inline Vec bf16_even(Words pairs) { return float_of(static_cast<std::uint32_t>(pairs) << 16); }
inline Vec bf16_odd(Words pairs) {
  return float_of(static_cast<std::uint32_t>(pairs) & 0xFFFF0000);
}

constexpr int kInt8Offset = 0;  // both factors are signed

inline void store_codes(std::int8_t* p, Vec a, std::int64_t n) {
  if (n > 0) *p = static_cast<std::int8_t>(a);
}
inline void store_activations(std::uint8_t* p, Vec a, std::int64_t n) {
  // A NaN's conversion is undefined; its row is NaN by its scale.
  const int rounded = a == a ? static_cast<int>(round(a)) : 0;
  if (n > 0) *p = static_cast<std::uint8_t>(rounded);
}

inline Words dot_int8(Words sum, Words a, Words b) {
  for (int shift = 0; shift < 32; shift += 8) {
    const auto x = static_cast<std::int8_t>(static_cast<std::uint32_t>(a) >> shift);
    const auto y = static_cast<std::int8_t>(static_cast<std::uint32_t>(b) >> shift);
    sum += x * y;
  }
  return sum;
}

}  // namespace
}  // namespace refine_itr
