// The threads that native calls share: they spin a little for the next piece of work, then sleep.
//
// A call takes what workers are idle, up to the number it asks for, and runs alone if there are
// none. Workers are as many as the machine has cores beside the first one, or as many as one call
// once asked for beside itself; calls at the same time share them and bring a thread each. A process
// that forks starts the child with no workers, and works.
#pragma once

#include <atomic>
#include <cstdint>

namespace refine_itr {

// Cores that this process may use.
int max_threads() noexcept;

// Where the threads of a team wait for each other.
class Barrier {
 public:
  explicit Barrier(int size) noexcept : size_(size) {}

  void wait() noexcept;

 private:
  const int size_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> round_{0};
};

// The threads that work on one thing together; `size` is how many there really are.
struct Team {
  int rank;
  int size;
  Barrier* shared;  // null for a team of one

  void barrier() const noexcept {
    if (shared != nullptr) shared->wait();
  }
};

// Runs body(context, team) once on each of up to `threads` threads, the calling one among them, and
// returns when all are done. `body` must not throw.
void run_team(int threads, void (*body)(void* context, Team team), void* context) noexcept;

}  // namespace refine_itr
