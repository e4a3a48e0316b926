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

// R source, with R = left right^T scale.
class VsrnRows final : public MixedRows {
 public:
  VsrnRows(ConstBatch left, ConstBatch right, float scale, ConstBatch source, Precision precision)
      : MixedRows(active_table(), precision, source, nullptr),
        left_(left),
        right_(right),
        scale_(scale) {}

 private:
  void relate(std::int64_t image, Range rows, Matrix relation,
              const RelationScratch& scratch) const noexcept override {
    dot(left_.matrix(image).part(rows), right_.matrix(image), relation, scratch);
    scale_relation(relation, scale_);
  }

  ConstBatch left_;
  ConstBatch right_;
  float scale_;
};

// R V, with the folded R of V and of V M.
class FoldedVsrnRows final : public MixedRows {
 public:
  FoldedVsrnRows(ConstBatch regions, ConstBatch products, const FoldedRelation& relation,
                 Precision precision, float* sums)
      : MixedRows(active_table(), precision, regions, sums),
        regions_(regions),
        products_(products),
        relation_(relation) {}

 private:
  void relate(std::int64_t image, Range rows, Matrix relation,
              const RelationScratch& scratch) const noexcept override {
    const ConstMatrix v = regions_.matrix(image);
    dot(products_.matrix(image).part(rows), v, relation, scratch);
    multiply_vector(v.part(rows), relation_.u, scratch.row_terms);
    multiply_vector(v, relation_.w, scratch.col_terms);
    add_terms(relation, scratch.row_terms, scratch.col_terms, relation_.c);
    scale_relation(relation, relation_.scale);
  }

  // out (v.rows) = V x, in float32.
  void multiply_vector(ConstMatrix v, const float* x, float* out) const noexcept {
    table().dot_rows({v.data, x, out, v.stride, v.cols, 1, v.rows, 1, v.cols, nullptr, 0});
  }

  ConstBatch regions_;
  ConstBatch products_;
  const FoldedRelation& relation_;
};

}  // namespace

void vsrn_gcn(ConstBatch regions, const PackedMatrix& theta, const PackedMatrix& phi,
              const PackedMatrix& g, const PackedMatrix& r, float scale, Batch out,
              Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  const auto apply = [&](const PackedMatrix& weight) {
    const Batch result = take_batch(scope, regions.batch, regions.rows, regions.cols);
    linear(regions.flat(), weight, {}, result.flat(), workspace, threads);
    return as_const(result);
  };
  VsrnRows mixed(apply(theta), apply(phi), scale, apply(g), r.precision());
  linear(mixed, r, add_residual(regions), out.flat(), workspace, threads);
}

void vsrn_gcn_folded(ConstBatch regions, const FoldedRelation& relation, const PackedMatrix& f,
                     const float* f_bias, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  float* sums = scope.take<float>(regions.batch * regions.rows);
  // V M lies where the result will: the rows of A that a block of rows needs are made before it.
  linear(regions.flat(), relation.m, {}, out.flat(), workspace, threads);
  FoldedVsrnRows mixed(regions, as_const(out), relation, f.precision(), sums);
  Epilogue extra = add_residual(regions);
  extra.row_factor = sums;
  extra.col_factor = f_bias;
  linear(mixed, f, extra, out.flat(), workspace, threads);
}

}  // namespace refine_itr
