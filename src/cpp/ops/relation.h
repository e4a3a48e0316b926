// The K x K relation A between the regions of an image, and A V: what both graph layers share.
#pragma once

#include <cstdint>

#include "isa/table.h"
#include "matrix_view.h"
#include "ops/gemm.h"
#include "workspace.h"

namespace refine_itr {

// The epilogue that adds the regions themselves.
Epilogue add_residual(ConstBatch regions) noexcept;

// What one thread needs for an image.
struct RelationScratch {
  Matrix relation;          // (K, K)
  Matrix gram;              // (K, K)
  Matrix mixed;             // (K, D)
  float* row_terms;         // (K)
  float* col_terms;         // (K)
  PackedRows weights;       // of a (K, K) matrix in float32
  PackedRows left;          // of the relation
  std::uint32_t* pairs;     // bf16: V as a right-hand matrix
  std::uint16_t* codes[2];  // bf16: rows to be multiplied with each other
};

// The rows of A V of all images, made as a product packs them, for V (b, K, D). Where the product is
// in narrow numbers, so is this: in bf16, if there are products of it. An image whose rows are packed
// in two parts is related in two parts.
class MixedRows : public LeftRows {
 public:
  std::int64_t rows() const noexcept final { return source_.batch * source_.rows; }
  std::int64_t cols() const noexcept final { return source_.cols; }
  std::int64_t work() const noexcept final;
  void prepare(int threads, WorkspaceScope& scope) final;
  void pack(Range rows, const PackedRows& packed, std::int64_t first,
            int rank) const noexcept final;

 protected:
  // For a product in `precision`; sums (b K), or null, gets the sums of the rows of A.
  MixedRows(const KernelTable& table, Precision precision, ConstBatch source, float* sums);
  ~MixedRows() = default;

  // The rows named of an image's A; relation (rows, K).
  virtual void relate(std::int64_t image, Range rows, Matrix relation,
                      const RelationScratch& scratch) const noexcept = 0;

  const KernelTable& table() const noexcept { return table_; }
  // out = V V^T: half of it is computed, the other half copied.
  void gram(ConstMatrix v, Matrix out, const RelationScratch& scratch) const noexcept;
  // out = A B^T.
  void dot(ConstMatrix a, ConstMatrix b, Matrix out, const RelationScratch& scratch) const noexcept;

 private:
  // Rows for KernelTable::dot_rows or dot_rows_bf16.
  struct DotSide {
    const std::uint32_t* data;
    std::int64_t stride;  // in words, as
    std::int64_t words;   // of a row
  };

  DotSide dot_side(ConstMatrix rows, std::uint16_t* codes) const noexcept;
  void dot_sides(DotSide a, std::int64_t rows_a, DotSide b, std::int64_t rows_b,
                 Matrix out) const noexcept;
  RightMatrix right_side(std::int64_t image, const RelationScratch& scratch) const noexcept;

  const KernelTable& table_;
  Precision precision_;
  bool narrow_dots_;
  ConstBatch source_;
  float* sums_;
  RelationScratch* scratches_ = nullptr;  // one for each thread
};

// out = A B, with `left` for the packed A.
void multiply(const PackedRows& left, ConstMatrix a, const RightMatrix& b, Matrix out) noexcept;

}  // namespace refine_itr
