// bfloat16: the upper half of a float.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace refine_itr {

// The bits of the nearest bfloat16, ties to even; a NaN stays one.
inline std::uint16_t bf16_bits(float x) noexcept {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (std::isnan(x)) return static_cast<std::uint16_t>((bits | 0x400000U) >> 16);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

inline float from_bf16(std::uint16_t half) noexcept {
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

}  // namespace refine_itr
