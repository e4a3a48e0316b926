#include "ops/cache.h"

#include <unistd.h>

#include <algorithm>

namespace refine_itr {
namespace {

constexpr std::int64_t kMostWords = 128 << 10;  // also where the system does not say
constexpr std::int64_t kLeastWords = 32 << 10;

std::int64_t half_of_cache() noexcept {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return bytes / 2 / static_cast<std::int64_t>(sizeof(std::uint32_t));
#endif
  return kMostWords;
}

}  // namespace

std::int64_t cached_words() noexcept {
  static const std::int64_t words = std::clamp(half_of_cache(), kLeastWords, kMostWords);
  return words;
}

}  // namespace refine_itr
