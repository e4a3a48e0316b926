#include "ops/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "isa/dispatch.h"
#include "parallel.h"

namespace refine_itr {
namespace {

constexpr int kRepeats = 12;
constexpr double kLeastSeconds = 0.01;  // of a repeat

template <class Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The shortest of some repeats of work(times), with so many times that a repeat can be timed.
template <class Work>
double best_seconds_of_one(const Work& work) {
  std::int64_t times = 1;
  while (seconds_of([&] { work(times); }) < kLeastSeconds) times *= 2;
  double best = seconds_of([&] { work(times); });
  for (int i = 1; i < kRepeats; ++i) best = std::min(best, seconds_of([&] { work(times); }));
  return best / static_cast<double>(times);
}

int wanted_threads(int threads) { return threads > 0 ? threads : max_threads(); }

}  // namespace

double peak_gops(Precision precision, int threads) {
  const KernelTable& table = active_table();
  const auto run = table.multiply_add_rounds[static_cast<int>(precision)];
  const std::vector<std::uint32_t> operands(
      static_cast<std::size_t>(table.gemm_rows * table.gemm_cols));
  std::atomic<int> used{0};
  std::atomic<float> sink{0.0F};  // so that nothing is left out
  const double seconds = best_seconds_of_one([&](std::int64_t times) {
    used = 0;
    parallel_team(wanted_threads(threads), [&](Team team) {
      used = team.size;
      sink = run(operands.data(), 1000 * times);
    });
  });
  const auto words = static_cast<double>(1000 * table.gemm_rows * table.gemm_cols * used);
  return words * kGroup[static_cast<int>(precision)] * 2 / seconds * 1e-9;
}

double read_gbps(std::int64_t nbytes, Workspace& workspace, int threads) {
  const KernelTable& table = active_table();
  WorkspaceScope scope(workspace);
  const std::int64_t words = nbytes / static_cast<std::int64_t>(sizeof(std::uint32_t));
  auto* memory = scope.take<std::uint32_t>(words);
  std::memset(memory, 1, static_cast<std::size_t>(words) * sizeof(std::uint32_t));
  std::atomic<std::int32_t> sink{0};
  const double seconds = best_seconds_of_one([&](std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) {
      parallel_ranges(wanted_threads(threads), words, [&](Range range) {
        sink = table.read_words(memory + range.begin, range.size());
      });
    }
  });
  return static_cast<double>(words * static_cast<std::int64_t>(sizeof(std::uint32_t))) / seconds *
         1e-9;
}

}  // namespace refine_itr
