// Regions of an image -> its embedding.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "encoders/graph_layer.h"
#include "matrix_view.h"
#include "ops/l2norm.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

enum class RegionPooling { gru, mean, max_of_top, gpo };

// Everything is folded; shapes agree (the bindings check them).
struct ImageEncoderConfig {
  SharedMatrix fc;  // C -> D
  std::vector<std::shared_ptr<const GraphLayer>> layers;
  NormAxis norm_axis;         // of the l2norm after the layers
  bool normalize_projection;  // the same l2norm also before the layers
  RegionPooling pooling;
  std::int64_t pool_top;            // max_of_top
  std::vector<float> coefficients;  // gpo: (K); else empty
  SharedMatrix w_ih;                // gru: D -> 3D with b_ih
  SharedGates w_hh;                 // gru: D -> 3D with b_hh
  std::vector<float> scale;  // (D) or empty: BatchNorm of the embedding, x * scale + shift
  std::vector<float> shift;  // (D) or empty
};

// fc -> [l2norm] -> layers -> l2norm -> pooling -> [scale, shift] -> l2norm
class ImageEncoder {
 public:
  explicit ImageEncoder(ImageEncoderConfig config);

  std::int64_t features() const noexcept { return config_.fc->n_in(); }
  std::int64_t dim() const noexcept { return config_.fc->n_out(); }
  // The K it is made for, or 0 if it takes any.
  std::int64_t regions() const noexcept;
  // The least K that its pooling takes.
  std::int64_t least_regions() const noexcept;

  // regions (b, K, C), K >= least_regions(); out (b, D), disjoint.
  void encode(ConstBatch regions, Matrix out, Workspace& workspace, int threads) const;

 private:
  void encode_chunk(ConstBatch regions, Matrix out, Workspace& workspace, int threads) const;
  ConstBatch apply_layers(Batch projected, Batch spare, Workspace& workspace, int threads) const;
  void pool(ConstBatch regions, Matrix out, Workspace& workspace, int threads) const;
  void pool_gru(ConstBatch regions, Matrix out, Workspace& workspace, int threads) const;
  std::int64_t chunk_size(std::int64_t regions) const noexcept;

  ImageEncoderConfig config_;
};

}  // namespace refine_itr
