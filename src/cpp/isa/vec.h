// Vec: one register of floats, and the few operations that the kernels are written in.
// Words: one register of 32-bit words, each with a group of numbers of one of three precisions:
// one float, two bfloat16 or four 8-bit integers, the first in the lowest bits.
//
// REFINE_ITR_ISA_<NAME> selects the file of vec/. For all of them:
//   load_n / store_n   the first n elements, 0 <= n <= kWidth; elements not loaded are zero
//   fma(a, b, c)       a b + c
//   minimum, maximum   the second argument when either is NaN
//   reciprocal         1 / a to a relative 2^-22 for 1 <= a <= 2^126
//   pow2(n)            2^n of whole numbers n in [-126, 127]
//   select_less        a < b ? x : y, per element (y when either is NaN)
//   all_between        lo <= x <= hi for every element (false when one is NaN)
//   any_above          x > t for at least one element
//   reduce_add4        the sums of four vectors, next to each other
//   store_bf16         rounded to the nearest bfloat16, ties to even; a NaN stays one
//   store_codes        whole numbers in -127 .. 127 as 8 bits
//   store_activations  numbers in -127 .. 127 rounded to 8 bits, plus kInt8Offset
//   store_pairs        words of two bfloat16 each, one of a and one of b (where there is a
//                      REFINE_ITR_NATIVE_BF16)
//   bf16_even, _odd    the first and the second of each pair, as floats (where there is no
//                      REFINE_ITR_NATIVE_BF16)
//   dot_bf16(s, a, b)  s + a0 b0 + a1 b1 per word, in float (where there is)
//   dot_int8(s, a, b)  s + a0 b0 + .. + a3 b3 per word, in int32: a as store_activations writes
//                      them, b signed in -127 .. 127. Where there is no REFINE_ITR_NATIVE_INT8,
//                      a0 b0 + a1 b1 and a2 b2 + a3 b3 must each fit into 16 bits: one factor has
//                      seven bits
#pragma once

#include <cstdint>

#include "isa/table.h"

#if defined(REFINE_ITR_ISA_AVX512) || defined(REFINE_ITR_ISA_AVX512VNNI) || \
    defined(REFINE_ITR_ISA_AVX512BF16) || defined(REFINE_ITR_ISA_AMX)
#include "isa/vec/avx512.h"
#elif defined(REFINE_ITR_ISA_AVX2) || defined(REFINE_ITR_ISA_AVXVNNI)
#include "isa/vec/avx2.h"
#elif defined(REFINE_ITR_ISA_NEON) || defined(REFINE_ITR_ISA_NEONDOT) || \
    defined(REFINE_ITR_ISA_NEONBF16)
#include "isa/vec/neon.h"
#else
#include "isa/vec/scalar.h"
#endif

namespace refine_itr {
namespace {

static_assert(kWidth <= kMaxWidth && kGemmRows <= kMaxTileRows && kGruRows <= kMaxTileRows,
              "table.h promises these bounds");

// Elements of vector `v` of a run of n that starts at element 0: 0 .. kWidth.
inline std::int64_t lanes_of(std::int64_t n, std::int64_t v) {
  const std::int64_t left = n - v * kWidth;
  return left <= 0 ? 0 : left < kWidth ? left : kWidth;
}

}  // namespace
}  // namespace refine_itr
