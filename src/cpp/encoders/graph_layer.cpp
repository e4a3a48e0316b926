#include "encoders/graph_layer.h"

#include <utility>

#include "ops/light_gcn.h"
#include "ops/vsrn_gcn.h"

namespace refine_itr {

LightGcnLayer::LightGcnLayer(ConstMatrix sigma, SharedMatrix f, const float* f_bias)
    : regions_(sigma.rows),
      sigma_(sigma.data, sigma.data + sigma.rows * sigma.cols),
      f_(std::move(f)),
      f_bias_(f_bias, f_bias + f_->n_out()) {}

void LightGcnLayer::apply(ConstBatch regions, Batch out, Workspace& workspace, int threads) const {
  light_gcn_folded(regions, sigma_.data(), *f_, f_bias_.data(), out, workspace, threads);
}

VsrnGcnLayer::VsrnGcnLayer(SharedMatrix m, const float* u, const float* w, float c, float scale,
                           SharedMatrix f, const float* f_bias)
    : m_(std::move(m)),
      u_(u, u + m_->n_out()),
      w_(w, w + m_->n_out()),
      c_(c),
      scale_(scale),
      f_(std::move(f)),
      f_bias_(f_bias, f_bias + f_->n_out()) {}

void VsrnGcnLayer::apply(ConstBatch regions, Batch out, Workspace& workspace, int threads) const {
  const FoldedRelation relation{*m_, u_.data(), w_.data(), c_, scale_};
  vsrn_gcn_folded(regions, relation, *f_, f_bias_.data(), out, workspace, threads);
}

}  // namespace refine_itr
