// Which rows of a gallery may be found.
#pragma once

#include <algorithm>
#include <cstdint>

#include "matrix_view.h"

namespace refine_itr {

struct RowFilter {
  const std::uint8_t* bits;  // (ceil(n / 8)), bit i % 8 of byte i / 8 is row i; null allows all

  bool allows(std::int64_t row) const noexcept {
    return bits == nullptr || ((bits[row / 8] >> (row % 8)) & 1) != 0;
  }

  // The first run of `rows` to look at: bytes without a row that is allowed are passed over.
  // rows.begin is a multiple of 8, and so is the end of the run unless it is rows.end.
  Range next_run(Range rows) const noexcept {
    if (bits == nullptr) return rows;
    std::int64_t begin = rows.begin;
    while (begin < rows.end && bits[begin / 8] == 0) begin += 8;
    std::int64_t end = begin;
    while (end < rows.end && bits[end / 8] != 0) end += 8;
    return {std::min(begin, rows.end), std::min(end, rows.end)};
  }
};

}  // namespace refine_itr
