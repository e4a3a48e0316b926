// A gallery in bfloat16 or 8-bit integers: a half or a quarter of the memory to read. Searching it
// finds the few rows that can be among the best; ops/narrow_search.h scores these in float32.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned_bytes.h"
#include "isa/dispatch.h"
#include "matrix_view.h"

namespace refine_itr {

enum class NarrowPrecision { bf16, int8 };

// What a vector v became: codes c, with v = scale c + e. Norms are upper bounds; infinite for a
// vector that is not finite, whose codes are zeros.
struct NarrowRow {
  float scale;
  float sum;    // of the codes of int8; 0 for bf16
  float norm;   // >= ||v||
  float error;  // >= ||e||
};

inline Precision precision_of(NarrowPrecision precision) noexcept {
  return precision == NarrowPrecision::bf16 ? Precision::bf16 : Precision::int8;
}

// Bytes of the codes of one vector: whole cache lines, padded with zeros.
std::int64_t narrow_row_bytes(std::int64_t dim, NarrowPrecision precision);

constexpr std::int64_t kGalleryLevels = 127;
// Products of codes are summed in 32 bits.
constexpr std::int64_t kMostNarrowFeatures = 1 << 16;

// Writes the codes of v (dim) into `codes` (narrow_row_bytes), int8 ones signed and in
// -levels .. levels.
NarrowRow narrow_row(const KernelTable& table, const float* v, std::int64_t dim,
                     NarrowPrecision precision, std::int64_t levels, std::byte* codes) noexcept;

// Narrow rows where they lie.
struct NarrowRows {
  NarrowPrecision precision;
  std::int64_t n;
  std::int64_t dim;
  std::int64_t row_bytes;
  const std::byte* codes;  // (n, row_bytes), and KernelTable::code_group - 1 rows that may be read
  const float* scales;     // (n) each, as in NarrowRow
  const float* sums;
  const float* norms;
  const float* errors;
  float largest_norm;  // >= the norm of every finite row
};

class NarrowGallery {
 public:
  NarrowGallery(ConstMatrix rows, NarrowPrecision precision);

  // The instruction set that it is searched with.
  const KernelTable& table() const noexcept { return *table_; }

  // rows (m, dim). Throws std::bad_alloc, and is then as it was.
  void append(ConstMatrix rows);
  // Row 0 <= index < n becomes `row` (dim).
  void replace(std::int64_t index, const float* row) noexcept;

  NarrowPrecision precision() const noexcept { return precision_; }
  std::int64_t n() const noexcept { return n_; }
  std::int64_t dim() const noexcept { return dim_; }
  std::int64_t nbytes() const noexcept;
  NarrowRows rows() const noexcept;

 private:
  void reserve(std::int64_t n);

  const KernelTable* table_;
  NarrowPrecision precision_;
  std::int64_t dim_;
  std::int64_t row_bytes_;
  std::int64_t n_ = 0;
  std::int64_t capacity_ = 0;
  AlignedBytes codes_;
  std::vector<float> scales_, sums_, norms_, errors_;  // (capacity)
  float largest_norm_ = 0.0F;
};

}  // namespace refine_itr
