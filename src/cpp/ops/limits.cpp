#include "ops/limits.h"

#include <atomic>
#include <vector>

#include "isa/dispatch.h"
#include "parallel.h"

namespace refine_itr {
namespace {

constexpr std::int64_t kThousand = 1000;

// Numbers that differ, between 0.5 and 2 or minus that as float and as bfloat16: with zeros, the
// processor's tiles keep a higher clock than any real product would.
std::vector<std::uint32_t> operands() {
  std::vector<std::uint32_t> words(kLimitWords);
  std::uint32_t bits = 1;
  for (std::uint32_t& word : words) {
    bits = bits * 1664525U + 1013904223U;
    word = ((bits >> 8 ^ bits) & 0x807F807FU) | 0x3F003F00U;
  }
  return words;
}

int wanted_threads(int threads) { return threads > 0 ? threads : max_threads(); }

}  // namespace

std::int64_t multiply_adds(Precision precision, std::int64_t rounds, int threads) {
  const KernelTable& table = active_table();
  const auto run = table.multiply_add_rounds[static_cast<int>(precision)];
  const std::vector<std::uint32_t> numbers = operands();
  std::atomic<int> used{0};
  std::atomic<float> sink{0.0F};
  parallel_team(wanted_threads(threads), [&](Team team) {
    used = team.size;
    sink = run(numbers.data(), kThousand * rounds);
  });
  const auto index = static_cast<int>(precision);
  return kThousand * rounds * table.round_words[index] * used * kGroup[index];
}

std::int32_t read_memory(const std::uint32_t* x, std::int64_t n, int threads) {
  const KernelTable& table = active_table();
  std::atomic<std::int32_t> sum{0};
  parallel_ranges(wanted_threads(threads), n,
                  [&](Range range) { sum += table.read_words(x + range.begin, range.size()); });
  return sum;
}

}  // namespace refine_itr
