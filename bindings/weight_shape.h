// Shapes of packed weights.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "packed_matrix.h"

namespace refine_itr::bindings {

inline void require_weight(const PackedWeight& weight, const char* name, std::int64_t n_out,
                           std::int64_t n_in) {
  if (weight.n_out() == n_out && weight.n_in() == n_in) return;
  const auto text = [](std::int64_t rows, std::int64_t cols) {
    return "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
  };
  throw pybind11::value_error(std::string(name) + ": expected weights " + text(n_out, n_in) +
                              "; got " + text(weight.n_out(), weight.n_in()));
}

inline void require_square(const PackedMatrix& weight, const char* name, std::int64_t d) {
  require_weight(weight, name, d, d);
}

}  // namespace refine_itr::bindings
