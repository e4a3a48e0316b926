#include "isa/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace refine_itr {

// One for each object that isa.cpp was compiled to.
extern const KernelTable kTable_scalar;
#if defined(REFINE_ITR_X86)
extern const KernelTable kTable_avx2;
extern const KernelTable kTable_avx512;
#elif defined(REFINE_ITR_ARM64)
extern const KernelTable kTable_neon;
#endif

namespace {

struct IsaChoice {
  const KernelTable* table;
  bool supported;
};

// Worst first. __builtin_cpu_supports also asks whether the system saves the registers.
std::vector<IsaChoice> isa_choices() {
#if defined(REFINE_ITR_X86)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  return {{&kTable_scalar, true}, {&kTable_avx2, avx2}, {&kTable_avx512, avx512}};
#elif defined(REFINE_ITR_ARM64)
  return {{&kTable_scalar, true}, {&kTable_neon, true}};  // every 64-bit Arm CPU has NEON
#else
  return {{&kTable_scalar, true}};
#endif
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const KernelTable& find_table(const std::string& origin, const std::string& name) {
  for (const IsaChoice& choice : isa_choices()) {
    if (name == choice.table->name && choice.supported) return *choice.table;
  }
  throw std::invalid_argument(origin + ": expected one of " + joined(available_isas()) +
                              " (what this build and this CPU offer); got '" + name + "'");
}

const KernelTable& initial_table() {
  const char* name = std::getenv("REFINE_ITR_ISA");
  if (name != nullptr && *name != '\0') return find_table("REFINE_ITR_ISA", name);
  return find_table("isa", available_isas().back());
}

std::atomic<const KernelTable*> active{nullptr};

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const IsaChoice& choice : isa_choices()) {
    if (choice.supported) names.emplace_back(choice.table->name);
  }
  return names;
}

const KernelTable& active_table() {
  const KernelTable* table = active.load(std::memory_order_acquire);
  if (table == nullptr) {
    // Two threads may both come here: they find the same table.
    table = &initial_table();
    active.store(table, std::memory_order_release);
  }
  return *table;
}

void force_isa(const std::string& name) {
  active.store(&find_table("isa", name), std::memory_order_release);
}

}  // namespace refine_itr
