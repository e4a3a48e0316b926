// What of a thread's data stays close to it.
#pragma once

#include <cstdint>

namespace refine_itr {

// Words of packed rows that stay in the second-level cache while all weights pass by: half of it,
// and no more than was found to be of use.
std::int64_t cached_words() noexcept;

// Words that the third-level cache may hold, and gives faster to those who do little with each if
// they do not ask for them ahead.
constexpr std::int64_t kNearWords = 4 << 20;

}  // namespace refine_itr
