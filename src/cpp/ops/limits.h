// Work that a machine does as fast as it can: the yardstick of the benchmarks.
#pragma once

#include <cstdint>

#include "isa/table.h"

namespace refine_itr {

// `rounds` thousands of rounds of multiply-adds from registers, on each thread. Returns how many
// multiply-adds they were in all.
std::int64_t multiply_adds(Precision precision, std::int64_t rounds, int threads);

// Reads x (n words) once, each thread its share. Returns the sum, so that nothing is left out.
std::int32_t read_memory(const std::uint32_t* x, std::int64_t n, int threads);

}  // namespace refine_itr
