#include "encoders/image_encoder.h"

#include <algorithm>
#include <utility>

#include "ops/gru.h"
#include "ops/linear.h"
#include "ops/pooling.h"

namespace refine_itr {
namespace {

// Workspace that one chunk of images may take: some 100 images at K = 36, D = 512 with a GRU.
constexpr std::int64_t kChunkBytes = 64 << 20;

}  // namespace

ImageEncoder::ImageEncoder(ImageEncoderConfig config) : config_(std::move(config)) {}

std::int64_t ImageEncoder::regions() const noexcept {
  for (const auto& layer : config_.layers) {
    if (layer->regions() != 0) return layer->regions();
  }
  return static_cast<std::int64_t>(config_.coefficients.size());
}

std::int64_t ImageEncoder::least_regions() const noexcept {
  return config_.pooling == RegionPooling::max_of_top ? config_.pool_top : 1;
}

std::int64_t ImageEncoder::chunk_size(std::int64_t regions) const noexcept {
  // Two buffers of regions and, for a GRU, 3D gates a region. And the left side of a product, packed,
  // of the precision that takes most.
  const std::int64_t numbers =
      (config_.pooling == RegionPooling::gru ? 5 : 2) * spread_stride(dim());
  const std::int64_t packed = ceil_div(std::max(features(), dim()), kPassWords) * kPassStride;
  const auto bytes = regions * (numbers + packed) * static_cast<std::int64_t>(sizeof(float));
  return std::max<std::int64_t>(1, kChunkBytes / std::max<std::int64_t>(1, bytes));
}

void ImageEncoder::encode(ConstBatch regions, Matrix out, Workspace& workspace,
                          int threads) const {
  const std::int64_t chunk = chunk_size(regions.rows);
  for (std::int64_t i = 0; i < regions.batch; i += chunk) {
    const std::int64_t images = std::min(chunk, regions.batch - i);
    const ConstBatch part{regions.matrix(i).data, images, regions.rows, regions.cols};
    encode_chunk(part, {out.row(i), images, out.cols, out.stride}, workspace, threads);
  }
}

void ImageEncoder::encode_chunk(ConstBatch regions, Matrix out, Workspace& workspace,
                                int threads) const {
  WorkspaceScope scope(workspace);
  const Batch projected = take_batch(scope, regions.batch, regions.rows, dim());
  const Batch spare = take_batch(scope, regions.batch, regions.rows, dim());
  linear(regions.flat(), *config_.fc, {}, projected.flat(), workspace, threads);
  pool(apply_layers(projected, spare, workspace, threads), out, workspace, threads);
  if (!config_.scale.empty()) {
    for (std::int64_t i = 0; i < out.rows; ++i) {
      float* row = out.row(i);
      for (std::int64_t d = 0; d < out.cols; ++d) {
        const auto index = static_cast<std::size_t>(d);
        row[d] = row[d] * config_.scale[index] + config_.shift[index];
      }
    }
  }
  const Batch embeddings{out.data, 1, out.rows, out.cols};
  l2norm(as_const(embeddings), NormAxis::feature, embeddings, threads);
}

// From `projected`, with `spare` to use, to the regions that are pooled, in one of the two.
ConstBatch ImageEncoder::apply_layers(Batch projected, Batch spare, Workspace& workspace,
                                      int threads) const {
  if (config_.normalize_projection) {
    l2norm(as_const(projected), config_.norm_axis, projected, threads);
  }
  for (const auto& layer : config_.layers) {
    layer->apply(as_const(projected), spare, workspace, threads);
    std::swap(projected, spare);
  }
  l2norm(as_const(projected), config_.norm_axis, projected, threads);
  return as_const(projected);
}

void ImageEncoder::pool(ConstBatch regions, Matrix out, Workspace& workspace, int threads) const {
  switch (config_.pooling) {
    case RegionPooling::gru: return pool_gru(regions, out, workspace, threads);
    case RegionPooling::mean: return mean_regions(regions, out, threads);
    case RegionPooling::max_of_top:
      return top_mean_regions(regions, config_.pool_top, out, workspace, threads);
    case RegionPooling::gpo:
      return gpo_regions(regions, config_.coefficients.data(), out, workspace, threads);
  }
}

void ImageEncoder::pool_gru(ConstBatch regions, Matrix out, Workspace& workspace,
                            int threads) const {
  WorkspaceScope scope(workspace);
  const Batch gates = take_batch(scope, regions.batch, regions.rows, 3 * dim());
  std::int64_t* offsets = scope.take<std::int64_t>(regions.batch + 1);
  for (std::int64_t i = 0; i <= regions.batch; ++i) offsets[i] = i * regions.rows;
  linear(regions.flat(), *config_.w_ih, {}, gates.flat(), workspace, threads);
  gru({gates.data, nullptr, gates.stride}, {offsets, regions.batch}, *config_.w_hh,
      SequencePooling::last, out, workspace, threads);
}

}  // namespace refine_itr
