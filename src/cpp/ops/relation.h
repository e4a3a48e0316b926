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

// out = A B.
void multiply(const KernelTable& table, ConstMatrix a, ConstMatrix b, Matrix out) noexcept;

// Uninitialised memory of the shape of `shape`.
Batch take_batch(WorkspaceScope& scope, ConstBatch shape);

// The epilogue that adds the regions themselves.
Epilogue add_residual(ConstBatch regions) noexcept;

// sums[i] = sum of row i.
void row_sums(ConstMatrix a, float* sums) noexcept;

// For every image: relate(image, relation, scratch) fills `relation` (K, K), with `scratch` (K, K)
// to use; then mixed = relation * source, both (b, K, D). sums (b, K), or null, gets the row sums
// of the relation.
template <class Relate>
void mix_regions(const KernelTable& table, ConstBatch source, Batch mixed, float* sums,
                 Workspace& workspace, int threads, const Relate& relate) {
  const std::int64_t k = source.rows;
  const int used = threads_for(threads, 2 * source.batch * k * k * source.cols);
  WorkspaceScope scope(workspace);
  float* memory = scope.take<float>(2 * k * k * used);
  parallel_tasks(used, source.batch, [&](std::int64_t image, int rank) {
    const Matrix relation{memory + 2 * k * k * rank, k, k, k};
    const Matrix scratch{relation.data + k * k, k, k, k};
    relate(image, relation, scratch);
    multiply(table, as_const(relation), source.matrix(image), mixed.matrix(image));
    if (sums != nullptr) row_sums(as_const(relation), sums + image * k);
  });
}

}  // namespace refine_itr
