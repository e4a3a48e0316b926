#include "ops/light_gcn.h"

#include "isa/dispatch.h"
#include "ops/linear.h"
#include "ops/relation.h"

namespace refine_itr {
namespace {

// A source, with A = sigma (V V^T) of the regions V.
class LightRows final : public MixedRows {
 public:
  LightRows(ConstBatch regions, const float* sigma, ConstBatch source, Precision precision,
            float* sums)
      : MixedRows(active_table(), precision, source, sums),
        regions_(regions),
        sigma_{sigma, regions.rows, regions.rows, regions.rows} {}

 private:
  void relate(std::int64_t image, Range rows, Matrix relation,
              const RelationScratch& scratch) const noexcept override {
    gram(regions_.matrix(image), scratch.gram, scratch);
    const std::int64_t most = table().gemm_rows[static_cast<int>(Precision::fp32)];
    multiply(with_rows(scratch.weights, rows.size(), most), sigma_.part(rows),
             plain_right(table(), as_const(scratch.gram)), relation);
  }

  ConstBatch regions_;
  ConstMatrix sigma_;
};

}  // namespace

void light_gcn(ConstBatch regions, const float* sigma, const PackedMatrix& g,
               const PackedMatrix& r, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  const Batch projected = take_batch(scope, regions.batch, regions.rows, regions.cols);
  linear(regions.flat(), g, {}, projected.flat(), workspace, threads);
  LightRows mixed(regions, sigma, as_const(projected), r.precision(), nullptr);
  linear(mixed, r, add_residual(regions), out.flat(), workspace, threads);
}

void light_gcn_folded(ConstBatch regions, const float* sigma, const PackedMatrix& f,
                      const float* f_bias, Batch out, Workspace& workspace, int threads) {
  WorkspaceScope scope(workspace);
  float* sums = scope.take<float>(regions.batch * regions.rows);
  LightRows mixed(regions, sigma, regions, f.precision(), sums);
  Epilogue extra = add_residual(regions);
  extra.row_factor = sums;
  extra.col_factor = f_bias;
  linear(mixed, f, extra, out.flat(), workspace, threads);
}

}  // namespace refine_itr
