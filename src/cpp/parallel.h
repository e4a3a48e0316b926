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

// The number of threads for `requested` (0: all) and for work that splits into `pieces`.
inline int use_threads(int requested, std::int64_t pieces) noexcept {
  const std::int64_t wanted = requested > 0 ? requested : max_threads();
  return static_cast<int>(std::max<std::int64_t>(1, std::min(wanted, pieces)));
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

// body(Range) over consecutive parts of 0..n-1, at least `grain` indices each.
template <class Body>
void parallel_ranges(int threads, std::int64_t n, std::int64_t grain, const Body& body) noexcept {
  const int used = use_threads(threads, n / std::max<std::int64_t>(1, grain));
  parallel_team(used, [&](Team team) { body(split_range(n, team.size, team.rank)); });
}

}  // namespace refine_itr
