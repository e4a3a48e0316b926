#include "isa/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(REFINE_ITR_X86)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(REFINE_ITR_ARM64)
#include <sys/auxv.h>
#endif

namespace refine_itr {

// One for each object that isa.cpp was compiled to; cmake/IsaObjects.cmake says which.
extern const KernelTable kTable_scalar;
extern const KernelTable kTable_avx2;
extern const KernelTable kTable_avxvnni;
extern const KernelTable kTable_avx512;
extern const KernelTable kTable_avx512vnni;
extern const KernelTable kTable_avx512bf16;
extern const KernelTable kTable_amx;
extern const KernelTable kTable_neon;
extern const KernelTable kTable_neondot;
extern const KernelTable kTable_neonbf16;

namespace {

#if defined(REFINE_ITR_ARM64)
// As Linux numbers them (asm/hwcap.h), which older headers lack.
constexpr unsigned long kHwcapDotProduct = 1UL << 20;
constexpr unsigned long kHwcap2Bf16 = 1UL << 14;
#endif

struct IsaChoice {
  const KernelTable* table;
  bool supported;
};

#if defined(REFINE_ITR_X86)

// Compilers older than the instructions do not know their names.
bool cpuid_bit_7_1_eax(int bit) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && ((eax >> bit) & 1U) != 0;
}

#if defined(REFINE_ITR_HAS_AMX)

// Linux saves the tiles of a process that asked for them (ARCH_REQ_XCOMP_PERM of
// XFEATURE_XTILEDATA; asm/prctl.h of older headers lacks the names).
bool system_permits_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool has_tiles() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kAmx = (1U << 22) | (1U << 24) | (1U << 25);  // bf16, tile, int8
  return (edx & kAmx) == kAmx && system_permits_tiles();
}

#endif

// Worst first. __builtin_cpu_supports also asks whether the system saves the registers.
std::vector<IsaChoice> isa_choices() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool avx512vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  std::vector<IsaChoice> choices = {{&kTable_scalar, true}, {&kTable_avx2, avx2}};
#if defined(REFINE_ITR_HAS_AVXVNNI)
  choices.push_back({&kTable_avxvnni, avx2 && cpuid_bit_7_1_eax(4)});
#endif
#if defined(REFINE_ITR_HAS_AVX512BF16)
  // On AMD's processors vdpbf16ps does twice the work of a float multiply-add in its time, on
  // Intel's (measured on Emerald Rapids) half of it: widening to float is faster there.
  const IsaChoice bf16 = {&kTable_avx512bf16, avx512vnni && cpuid_bit_7_1_eax(5)};
  const bool fast_bf16 = __builtin_cpu_is("amd") != 0;
  if (!fast_bf16) choices.push_back(bf16);
#endif
  choices.push_back({&kTable_avx512, avx512});
  choices.push_back({&kTable_avx512vnni, avx512vnni});
#if defined(REFINE_ITR_HAS_AVX512BF16)
  if (fast_bf16) choices.push_back(bf16);
#endif
#if defined(REFINE_ITR_HAS_AMX)
  choices.push_back({&kTable_amx, avx512vnni && cpuid_bit_7_1_eax(5) && has_tiles()});
#endif
  return choices;
}

#elif defined(REFINE_ITR_ARM64)

// Worst first. Every 64-bit Arm CPU has NEON.
std::vector<IsaChoice> isa_choices() {
  std::vector<IsaChoice> choices = {{&kTable_scalar, true}, {&kTable_neon, true}};
  const bool dot = (getauxval(AT_HWCAP) & kHwcapDotProduct) != 0;
#if defined(REFINE_ITR_HAS_NEONDOT)
  choices.push_back({&kTable_neondot, dot});
#endif
#if defined(REFINE_ITR_HAS_NEONBF16)
  choices.push_back({&kTable_neonbf16, dot && (getauxval(AT_HWCAP2) & kHwcap2Bf16) != 0});
#endif
  return choices;
}

#else

std::vector<IsaChoice> isa_choices() { return {{&kTable_scalar, true}}; }

#endif

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
