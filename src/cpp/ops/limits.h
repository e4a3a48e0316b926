// What this machine can do at most, measured: the yardstick of the benchmarks.
#pragma once

#include <cstdint>

#include "isa/table.h"
#include "workspace.h"

namespace refine_itr {

// 10^9 operations a second (two a multiply-add) of the active instruction set, from registers.
double peak_gops(Precision precision, int threads);

// 10^9 bytes a second at which `nbytes` of memory are read, the best of several times.
double read_gbps(std::int64_t nbytes, Workspace& workspace, int threads);

}  // namespace refine_itr
