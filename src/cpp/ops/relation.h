// The K x K relation between the regions of an image, and its use: what both graph layers share.
#pragma once

#include "isa/table.h"
#include "matrix_view.h"
#include "ops/gemm.h"
#include "parallel.h"
#include "workspace.h"

namespace refine_itr {

// out = V V^T: half of it is computed, the other half copied.
void gram(const KernelTable& table, ConstMatrix v, Matrix out) noexcept;

// out = A B^T.
void dot_rows(const KernelTable& table, ConstMatrix a, ConstMatrix b, Matrix out) noexcept;

// out = A B, with `left` for the packed A.
void multiply(const PackedRows& left, ConstMatrix a, const RightMatrix& b, Matrix out) noexcept;

// The epilogue that adds the regions themselves.
Epilogue add_residual(ConstBatch regions) noexcept;

// sums[i] = sum of row i.
void row_sums(ConstMatrix a, float* sums) noexcept;

// What one thread needs to relate the regions of an image.
struct RelationScratch {
  PackedRows left;  // of a (K, K) matrix
  Matrix gram;      // (K, K)
};

// For every image of `regions` (b, K, D): relate(image, relation, scratch) fills its relation; then
// sums (b, K), or null, gets the row sums.
template <class Relate>
Batch relate_regions(const KernelTable& table, ConstBatch regions, float* sums,
                     WorkspaceScope& scope, int threads, const Relate& relate) {
  const std::int64_t k = regions.rows;
  const int used = threads_for(threads, regions.batch * k * k * regions.cols);
  const Batch relations = take_batch(scope, regions.batch, k, k);
  RelationScratch* scratches = scope.take<RelationScratch>(used);
  for (int i = 0; i < used; ++i) {
    scratches[i] = {take_rows(table, Precision::fp32, k, k,
                              table.gemm_rows[static_cast<int>(Precision::fp32)], scope),
                    take_batch(scope, 1, k, k).matrix(0)};
  }
  parallel_tasks(used, regions.batch, [&](std::int64_t image, int rank) {
    const Matrix relation = relations.matrix(image);
    relate(image, relation, scratches[rank]);
    if (sums != nullptr) row_sums(as_const(relation), sums + image * k);
  });
  return relations;
}

// The rows of A V of all images, from their relations A (b, K, K) and V (b, K, D), for a product in
// `precision`. If that is narrow, A V is computed in bf16 where there are products of it.
class MixedRows final : public LeftRows {
 public:
  MixedRows(const KernelTable& table, Precision precision, ConstBatch relations,
            ConstBatch regions);

  std::int64_t rows() const noexcept override { return regions_.batch * regions_.rows; }
  std::int64_t cols() const noexcept override { return regions_.cols; }
  std::int64_t work() const noexcept override;
  void prepare(int threads, WorkspaceScope& scope) override;
  void pack(Range rows, const PackedRows& packed, std::int64_t first,
            int rank) const noexcept override;

 private:
  struct Scratch {
    PackedRows left;       // of A
    std::uint32_t* pairs;  // bf16: of V
    Matrix mixed;          // (K, D)
  };

  RightMatrix right_side(std::int64_t image, const Scratch& scratch) const noexcept;

  const KernelTable& table_;
  Precision precision_;
  ConstBatch relations_;
  ConstBatch regions_;
  Scratch* scratches_ = nullptr;  // one for each thread
};

}  // namespace refine_itr
