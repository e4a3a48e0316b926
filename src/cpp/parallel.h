// Threads. The only file that knows OpenMP.
//
// A body must not throw: an exception that leaves an OpenMP region ends the process. Everything
// that can fail (memory, checks) is done before a region is entered.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "matrix_view.h"

namespace refine_itr {

inline int max_threads() noexcept { return omp_get_max_threads(); }

// Multiply-adds that a thread must have: with less than some 20 microseconds of work, waking it and
// waiting for it cost more than it gives.
constexpr std::int64_t kWorkPerThread = 1 << 20;
// What an element of a pass over memory counts for, in multiply-adds.
constexpr std::int64_t kElementWork = 8;

// The number of threads for `requested` (0: all), for work of so many multiply-adds.
inline int threads_for(int requested, std::int64_t work) noexcept {
  const std::int64_t wanted = requested > 0 ? requested : max_threads();
  return static_cast<int>(std::clamp<std::int64_t>(work / kWorkPerThread, 1, wanted));
}

// The threads that work on one thing together. `size` is what OpenMP really gave.
struct Team {
  int rank;
  int size;

  void barrier() const noexcept {
    if (size > 1) {
#pragma omp barrier
    }
  }
};

// body(Team) once on each thread.
template <class Body>
void parallel_team(int threads, const Body& body) noexcept {
  if (threads <= 1) {
    body(Team{0, 1});
    return;
  }
#pragma omp parallel num_threads(threads)
  body(Team{omp_get_thread_num(), omp_get_num_threads()});
}

// body(index, rank) for each index of 0..n-1, handed out in order to whichever thread is free.
template <class Body>
void parallel_tasks(int threads, std::int64_t n, const Body& body) noexcept {
  if (threads <= 1 || n <= 1) {
    for (std::int64_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < n; ++i) body(i, omp_get_thread_num());
}

// body(Range) over consecutive parts of 0..n-1, one for each thread.
template <class Body>
void parallel_ranges(int threads, std::int64_t n, const Body& body) noexcept {
  parallel_team(threads, [&](Team team) { body(split_range(n, team.size, team.rank)); });
}

}  // namespace refine_itr
