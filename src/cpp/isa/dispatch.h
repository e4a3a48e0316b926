// Which instruction set runs. Chosen once, at first use: the best that this CPU has, or the one
// that the environment variable REFINE_ITR_ISA names.
#pragma once

#include <string>
#include <vector>

#include "isa/table.h"

namespace refine_itr {

// Compiled in and supported by this CPU, best last. Never empty: "scalar" always is.
std::vector<std::string> available_isas();

// The table in use. Throws std::invalid_argument if REFINE_ITR_ISA names none of the available.
const KernelTable& active_table();

// Throws std::invalid_argument, naming the accepted ones, if `name` is not available. Weights
// packed before keep the layout, and so the product, of the instruction set they were packed for.
void force_isa(const std::string& name);

}  // namespace refine_itr
