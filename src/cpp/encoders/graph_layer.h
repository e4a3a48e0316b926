// A graph layer with its folded weights: what the image encoder strings together.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "matrix_view.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

using SharedMatrix = std::shared_ptr<const PackedMatrix>;
using SharedGates = std::shared_ptr<const PackedGates>;

class GraphLayer {
 public:
  virtual ~GraphLayer() = default;
  // regions and out (b, K, D), disjoint.
  virtual void apply(ConstBatch regions, Batch out, Workspace& workspace, int threads) const = 0;
  virtual std::int64_t dim() const noexcept = 0;
  // The K it is made for, or 0 if it takes any.
  virtual std::int64_t regions() const noexcept = 0;
};

// ops/light_gcn.h: light_gcn_folded.
class LightGcnLayer final : public GraphLayer {
 public:
  // sigma (K, K), f_bias (D).
  LightGcnLayer(ConstMatrix sigma, SharedMatrix f, const float* f_bias);

  void apply(ConstBatch regions, Batch out, Workspace& workspace, int threads) const override;
  std::int64_t dim() const noexcept override { return f_->n_out(); }
  std::int64_t regions() const noexcept override { return regions_; }

 private:
  std::int64_t regions_;
  std::vector<float> sigma_;
  SharedMatrix f_;
  std::vector<float> f_bias_;
};

// ops/vsrn_gcn.h: vsrn_gcn_folded.
class VsrnGcnLayer final : public GraphLayer {
 public:
  // u, w, f_bias (D).
  VsrnGcnLayer(SharedMatrix m, const float* u, const float* w, float c, float scale,
               SharedMatrix f, const float* f_bias);

  void apply(ConstBatch regions, Batch out, Workspace& workspace, int threads) const override;
  std::int64_t dim() const noexcept override { return f_->n_out(); }
  std::int64_t regions() const noexcept override { return 0; }

 private:
  SharedMatrix m_;
  std::vector<float> u_;
  std::vector<float> w_;
  float c_;
  float scale_;
  SharedMatrix f_;
  std::vector<float> f_bias_;
};

}  // namespace refine_itr
