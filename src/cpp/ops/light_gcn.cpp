#include "ops/light_gcn.h"

#include "isa/dispatch.h"
#include "ops/linear.h"
#include "ops/relation.h"

namespace refine_itr {
namespace {

// mixed = A source, with A = sigma (V V^T) of the regions V.
void mix_light(ConstBatch regions, const float* sigma, ConstBatch source, Batch mixed, float* sums,
               Workspace& workspace, int threads) {
  const KernelTable& table = active_table();
  const ConstMatrix weights{sigma, regions.rows, regions.rows, regions.rows};
  mix_regions(table, source, mixed, sums, workspace, threads,
              [&](std::int64_t image, const RelationScratch& scratch) {
                gram(table, regions.matrix(image), scratch.other);
                multiply(scratch.packed, weights, as_const(scratch.other), scratch.relation);
              });
}

}  // namespace

void light_gcn(ConstBatch regions, const float* sigma, const PackedMatrix& g,
               const PackedMatrix& r, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  const Batch mixed = take_batch(scope, regions.batch, regions.rows, regions.cols);
  // Until the last product, out holds g(V).
  linear(regions.flat(), g, {}, out.flat(), workspace, threads);
  mix_light(regions, sigma, as_const(out), mixed, nullptr, workspace, threads);
  linear(as_const(mixed).flat(), r, add_residual(regions), out.flat(), workspace, threads);
}

void light_gcn_folded(ConstBatch regions, const float* sigma, const PackedMatrix& f,
                      const float* f_bias, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  const Batch mixed = take_batch(scope, regions.batch, regions.rows, regions.cols);
  float* sums = scope.take<float>(regions.batch * regions.rows);
  mix_light(regions, sigma, regions, mixed, sums, workspace, threads);
  Epilogue extra = add_residual(regions);
  extra.row_factor = sums;
  extra.col_factor = f_bias;
  linear(as_const(mixed).flat(), f, extra, out.flat(), workspace, threads);
}

}  // namespace refine_itr
