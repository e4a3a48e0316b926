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

// out = A B, all (K, K) or (K, D), with `memory` for the packed A.
void multiply(const PackedRows& memory, ConstMatrix a, ConstMatrix b, Matrix out) noexcept;

// The epilogue that adds the regions themselves.
Epilogue add_residual(ConstBatch regions) noexcept;

// sums[i] = sum of row i.
void row_sums(ConstMatrix a, float* sums) noexcept;

// What one thread needs to relate the regions of an image.
struct RelationScratch {
  Matrix relation;    // (K, K)
  Matrix other;       // (K, K), free to use
  PackedRows packed;  // for multiply, of a (K, K) matrix
};

// For every image: relate(image, scratch) fills scratch.relation; then mixed = relation * source,
// both (b, K, D). sums (b, K), or null, gets the row sums of the relation.
template <class Relate>
void mix_regions(const KernelTable& table, ConstBatch source, Batch mixed, float* sums,
                 Workspace& workspace, int threads, const Relate& relate) {
  const std::int64_t k = source.rows;
  const int used = threads_for(threads, 2 * source.batch * k * k * source.cols);
  WorkspaceScope scope(workspace);
  RelationScratch* scratches = scope.take<RelationScratch>(used);
  for (int i = 0; i < used; ++i) {
    scratches[i] = {{scope.take<float>(k * k), k, k, k},
                    {scope.take<float>(k * k), k, k, k},
                    take_rows(table, Precision::fp32, k, k,
                              table.gemm_rows[static_cast<int>(Precision::fp32)], scope)};
  }
  parallel_tasks(used, source.batch, [&](std::int64_t image, int rank) {
    const RelationScratch& scratch = scratches[rank];
    relate(image, scratch);
    const ConstMatrix relation = as_const(scratch.relation);
    multiply(scratch.packed, relation, source.matrix(image), mixed.matrix(image));
    if (sums != nullptr) row_sums(relation, sums + image * k);
  });
}

}  // namespace refine_itr
