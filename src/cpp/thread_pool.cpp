#include "thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace refine_itr {
namespace {

// Between two products of one call; waking a thread that sleeps takes about as long.
constexpr auto kSpinTime = std::chrono::microseconds(50);
constexpr int kMostWorkers = 255;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready` or until kSpinTime has passed; returns whether it is ready.
template <class Ready>
bool spin(const Ready& ready) noexcept {
  constexpr int kLooks = 64;  // from one look at the clock to the next
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kLooks; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// Until `ready`. After a while it lets others run: one of those waited for may have no core.
template <class Ready>
void wait_until(const Ready& ready) noexcept {
  if (spin(ready)) return;
  while (!ready()) std::this_thread::yield();
}

struct Job {
  void (*body)(void* context, Team team);
  void* context;
  int size;
  Barrier barrier;
  alignas(64) std::atomic<int> running;

  void run(int rank) noexcept { body(context, {rank, size, &barrier}); }
};

class Worker {
 public:
  Worker() : thread_([this] { live(); }) { thread_.detach(); }

  bool claim() noexcept {
    return !claimed_.load(std::memory_order_relaxed) &&
           !claimed_.exchange(true, std::memory_order_acquire);
  }

  // Of a worker that is claimed: it is free again when it is done.
  void start(Job& job, int rank) noexcept {
    rank_ = rank;
    job_.store(&job);
    if (!asleep_.load()) return;
    const std::lock_guard<std::mutex> lock(mutex_);  // it is before the check, or truly waits
    wake_.notify_one();
  }

 private:
  [[noreturn]] void live() noexcept {
    const auto has_job = [this] { return job_.load() != nullptr; };
    while (true) {
      if (!spin(has_job)) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.store(true);
        wake_.wait(lock, has_job);
        asleep_.store(false);
      }
      Job& job = *job_.load();
      job.run(rank_);
      job_.store(nullptr);
      claimed_.store(false, std::memory_order_release);
      job.running.fetch_sub(1, std::memory_order_release);  // from here on the job may be gone
    }
  }

  alignas(64) std::atomic<bool> claimed_{true};  // by whoever makes it
  std::atomic<Job*> job_{nullptr};
  std::atomic<bool> asleep_{false};
  int rank_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

class ThreadPool {
 public:
  // Claims up to `wanted` workers into `team`; returns how many.
  int claim(int wanted, Worker** team) noexcept {
    int found = 0;
    const int count = count_.load(std::memory_order_acquire);
    for (int i = 0; i < count && found < wanted; ++i) {
      if (workers_[static_cast<std::size_t>(i)]->claim()) {
        team[found++] = workers_[static_cast<std::size_t>(i)].get();
      }
    }
    const int most = std::min(kMostWorkers, std::max(wanted, max_threads() - 1));
    while (found < wanted && count_.load(std::memory_order_acquire) < most) {
      Worker* added = add(most);
      if (added == nullptr) break;
      team[found++] = added;
    }
    return found;
  }

 private:
  // A new worker, already claimed; null if there are enough or the system gives none.
  Worker* add(int most) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int count = count_.load(std::memory_order_relaxed);
    if (count >= most) return nullptr;
    try {
      workers_[static_cast<std::size_t>(count)] = std::make_unique<Worker>();
    } catch (const std::exception&) {  // fewer threads give the same result
      return nullptr;
    }
    count_.store(count + 1, std::memory_order_release);
    return workers_[static_cast<std::size_t>(count)].get();
  }

  std::mutex mutex_;
  std::atomic<int> count_{0};
  std::array<std::unique_ptr<Worker>, kMostWorkers> workers_;
};

// Never destroyed: its workers may run until the process has ended.
std::atomic<ThreadPool*> pool{nullptr};

ThreadPool& the_pool() {
  static const bool once = [] {
    pool.store(new ThreadPool);
    // The child of a fork has no workers, and must not wait for them.
    pthread_atfork(nullptr, nullptr, [] { pool.store(new ThreadPool); });
    return true;
  }();
  static_cast<void>(once);
  return *pool.load();
}

}  // namespace

int max_threads() noexcept {
  static const int cores = [] {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }();
  return cores;
}

void Barrier::wait() noexcept {
  const std::uint32_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  wait_until([&] { return round_.load(std::memory_order_acquire) != round; });
}

void run_team(int threads, void (*body)(void* context, Team team), void* context) noexcept {
  std::array<Worker*, kMostWorkers> team;
  const int wanted = std::min(threads - 1, kMostWorkers);
  const int found = wanted > 0 ? the_pool().claim(wanted, team.data()) : 0;
  if (found == 0) return body(context, {0, 1, nullptr});
  Job job{body, context, found + 1, Barrier(found + 1), {found}};
  for (int i = 0; i < found; ++i) team[static_cast<std::size_t>(i)]->start(job, i + 1);
  job.run(0);
  wait_until([&] { return job.running.load(std::memory_order_acquire) == 0; });
}

}  // namespace refine_itr
