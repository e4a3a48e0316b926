#include "ops/vsrn_gcn.h"

#include "isa/dispatch.h"
#include "ops/linear.h"
#include "ops/relation.h"

namespace refine_itr {
namespace {

void scale_relation(Matrix relation, float scale) noexcept {
  for (std::int64_t i = 0; i < relation.rows; ++i) {
    float* row = relation.row(i);
    for (std::int64_t j = 0; j < relation.cols; ++j) row[j] *= scale;
  }
}

// relation += row_terms 1^T + 1 col_terms^T + c
void add_terms(Matrix relation, const float* row_terms, const float* col_terms, float c) noexcept {
  for (std::int64_t i = 0; i < relation.rows; ++i) {
    float* row = relation.row(i);
    for (std::int64_t j = 0; j < relation.cols; ++j) row[j] += row_terms[i] + col_terms[j] + c;
  }
}

}  // namespace

void vsrn_gcn(ConstBatch regions, const PackedMatrix& theta, const PackedMatrix& phi,
              const PackedMatrix& g, const PackedMatrix& r, float scale, Batch out,
              Workspace& workspace, int threads) {
  const KernelTable& table = active_table();
  WorkspaceScope scope(workspace);
  const Batch left = take_batch(scope, regions.batch, regions.rows, regions.cols);
  const Batch right = take_batch(scope, regions.batch, regions.rows, regions.cols);
  linear(regions.flat(), theta, {}, left.flat(), workspace, threads);
  linear(regions.flat(), phi, {}, right.flat(), workspace, threads);
  const Batch relations =
      relate_regions(table, regions, nullptr, scope, threads,
                     [&](std::int64_t image, Matrix relation, const RelationScratch&) {
                       dot_rows(table, as_const(left).matrix(image),
                                as_const(right).matrix(image), relation);
                       scale_relation(relation, scale);
                     });
  const Batch projected = left;  // no longer needed
  linear(regions.flat(), g, {}, projected.flat(), workspace, threads);
  MixedRows mixed(table, r.precision(), as_const(relations), as_const(projected));
  linear(mixed, r, add_residual(regions), out.flat(), workspace, threads);
}

void vsrn_gcn_folded(ConstBatch regions, const FoldedRelation& relation, const PackedMatrix& f,
                     const float* f_bias, Batch out, Workspace& workspace, int threads) {
  const KernelTable& table = active_table();
  const std::int64_t k = regions.rows;
  WorkspaceScope scope(workspace);
  float* sums = scope.take<float>(regions.batch * k);
  float* row_terms = scope.take<float>(regions.batch * k);
  float* col_terms = scope.take<float>(regions.batch * k);
  const ConstMatrix u{relation.u, 1, regions.cols, regions.cols};
  const ConstMatrix w{relation.w, 1, regions.cols, regions.cols};
  // Until the last product, out holds V M.
  linear(regions.flat(), relation.m, {}, out.flat(), workspace, threads);
  const Batch relations =
      relate_regions(table, regions, sums, scope, threads,
                     [&](std::int64_t image, Matrix related, const RelationScratch&) {
                       const ConstMatrix v = regions.matrix(image);
                       float* rows = row_terms + image * k;
                       float* cols = col_terms + image * k;
                       dot_rows(table, as_const(out).matrix(image), v, related);
                       dot_rows(table, v, u, {rows, k, 1, 1});
                       dot_rows(table, v, w, {cols, k, 1, 1});
                       add_terms(related, rows, cols, relation.c);
                       scale_relation(related, relation.scale);
                     });
  MixedRows mixed(table, f.precision(), as_const(relations), regions);
  Epilogue extra = add_residual(regions);
  extra.row_factor = sums;
  extra.col_factor = f_bias;
  linear(mixed, f, extra, out.flat(), workspace, threads);
}

}  // namespace refine_itr
