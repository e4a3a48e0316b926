// Loops on several threads. A body must not throw: everything that can fail (memory, checks) is
// done before.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "matrix_view.h"
#include "thread_pool.h"

namespace refine_itr {

// Multiply-adds that a thread must have: with less than some 5 microseconds of work, handing it over
// and waiting for it cost more than it gives.
constexpr std::int64_t kWorkPerThread = 1 << 18;
// What an element of a pass over memory counts for, in multiply-adds.
constexpr std::int64_t kElementWork = 8;

// The number of threads for `requested` (0: all), for work of so many multiply-adds.
inline int threads_for(int requested, std::int64_t work) noexcept {
  const std::int64_t wanted = requested > 0 ? requested : max_threads();
  return static_cast<int>(std::clamp<std::int64_t>(work / kWorkPerThread, 1, wanted));
}

// body(Team) once on each thread of a team of at most `threads`.
template <class Body>
void parallel_team(int threads, const Body& body) noexcept {
  run_team(
      threads,
      [](void* context, Team team) { (*static_cast<const Body*>(context))(team); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// body(index, rank) for each index of 0..n-1, handed out in order to whichever thread is free.
template <class Body>
void parallel_tasks(int threads, std::int64_t n, const Body& body) noexcept {
  std::atomic<std::int64_t> next{0};
  const auto most = static_cast<int>(std::min<std::int64_t>(threads, n));
  parallel_team(most, [&](Team team) {
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
      body(i, team.rank);
    }
  });
}

// body(Range) over consecutive parts of 0..n-1, one for each thread.
template <class Body>
void parallel_ranges(int threads, std::int64_t n, const Body& body) noexcept {
  const auto most = static_cast<int>(std::min<std::int64_t>(threads, n));
  parallel_team(most, [&](Team team) { body(split_range(n, team.size, team.rank)); });
}

}  // namespace refine_itr
