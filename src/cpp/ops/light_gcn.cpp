#include "ops/light_gcn.h"

#include "isa/dispatch.h"
#include "ops/linear.h"
#include "ops/relation.h"

namespace refine_itr {
namespace {

// A = sigma (V V^T) of the regions V of every image.
Batch relate_light(ConstBatch regions, const float* sigma, float* sums, WorkspaceScope& scope,
                   int threads) {
  const KernelTable& table = active_table();
  const ConstMatrix weights{sigma, regions.rows, regions.rows, regions.rows};
  return relate_regions(table, regions, sums, scope, threads,
                        [&](std::int64_t image, Matrix relation, const RelationScratch& scratch) {
                          gram(table, regions.matrix(image), scratch.gram);
                          multiply(scratch.left, weights, plain_right(table, as_const(scratch.gram)),
                                   relation);
                        });
}

}  // namespace

void light_gcn(ConstBatch regions, const float* sigma, const PackedMatrix& g,
               const PackedMatrix& r, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  const Batch projected = take_batch(scope, regions.batch, regions.rows, regions.cols);
  linear(regions.flat(), g, {}, projected.flat(), workspace, threads);
  const Batch relations = relate_light(regions, sigma, nullptr, scope, threads);
  MixedRows mixed(active_table(), r.precision(), as_const(relations), as_const(projected));
  linear(mixed, r, add_residual(regions), out.flat(), workspace, threads);
}

void light_gcn_folded(ConstBatch regions, const float* sigma, const PackedMatrix& f,
                      const float* f_bias, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  float* sums = scope.take<float>(regions.batch * regions.rows);
  const Batch relations = relate_light(regions, sigma, sums, scope, threads);
  MixedRows mixed(active_table(), f.precision(), as_const(relations), regions);
  Epilogue extra = add_residual(regions);
  extra.row_factor = sums;
  extra.col_factor = f_bias;
  linear(mixed, f, extra, out.flat(), workspace, threads);
}

}  // namespace refine_itr
