#include <pybind11/stl.h>

#include <memory>
#include <utility>
#include <vector>

#include "arrays.h"
#include "encoders/graph_layer.h"
#include "encoders/image_encoder.h"
#include "encoders/text_encoder.h"
#include "lease.h"
#include "names.h"
#include "register.h"
#include "weight_shape.h"

namespace refine_itr::bindings {
namespace {

using Weight = std::shared_ptr<PackedMatrix>;
using GruWeight = std::shared_ptr<PackedGates>;
using Layers = std::vector<std::shared_ptr<GraphLayer>>;

// pybind11 passes None as a null pointer.
template <class Packed>
const Packed& given(const std::shared_ptr<Packed>& weight, const char* name) {
  if (weight != nullptr) return *weight;
  const char* type = std::is_same_v<Packed, PackedMatrix> ? "PackedMatrix" : "PackedGates";
  throw py::type_error(std::string(name) + ": expected " + type + "; got None");
}

std::shared_ptr<LightGcnLayer> make_light_gcn_layer(const py::object& sigma, const Weight& f,
                                                    const py::object& f_bias) {
  const std::int64_t d = given(f, "f").n_in();
  require_square(*f, "f", d);
  const std::int64_t k = read<float>(sigma, "sigma", {"K", "K"}).dim(0);
  const auto weights = read<float>(sigma, "sigma", {k, k});
  const auto bias = read<float>(f_bias, "f_bias", {d});
  return std::make_shared<LightGcnLayer>(weights.matrix(), f, bias.data);
}

std::shared_ptr<VsrnGcnLayer> make_vsrn_gcn_layer(const Weight& m, const py::object& u,
                                                  const py::object& w, float c, float scale,
                                                  const Weight& f, const py::object& f_bias) {
  const std::int64_t d = given(f, "f").n_in();
  require_square(*f, "f", d);
  require_square(given(m, "m"), "m", d);
  const auto u_row = read<float>(u, "u", {d});
  const auto w_row = read<float>(w, "w", {d});
  const auto bias = read<float>(f_bias, "f_bias", {d});
  return std::make_shared<VsrnGcnLayer>(m, u_row.data, w_row.data, c, scale, f, bias.data);
}

// Returns the K that the layers are made for, or 0 if they take any.
std::int64_t require_layers(const Layers& layers, std::int64_t d) {
  std::int64_t k = 0;
  for (const auto& layer : layers) {
    if (layer == nullptr) throw py::type_error("layers: expected graph layers; got None");
    const bool same_k = k == 0 || layer->regions() == 0 || layer->regions() == k;
    if (layer->dim() != d || !same_k) {
      throw py::value_error("layers: expected layers of " + std::to_string(d) +
                            " features and one number of regions; got one of " +
                            std::to_string(layer->dim()) + " features and " +
                            std::to_string(layer->regions()) + " regions");
    }
    if (layer->regions() != 0) k = layer->regions();
  }
  return k;
}

void require_pooling(RegionPooling pooling, std::int64_t pool_top, const Weight& w_ih,
                     const GruWeight& w_hh, std::int64_t d) {
  if (pool_top < 1) {
    throw py::value_error("pool_top: expected 1 or more; got " + std::to_string(pool_top));
  }
  if (pooling == RegionPooling::gru) {
    require_weight(given(w_ih, "w_ih"), "w_ih", 3 * d, d);
    require_weight(given(w_hh, "w_hh"), "w_hh", 3 * d, d);
  } else if (w_ih != nullptr || w_hh != nullptr) {
    throw py::value_error("w_ih, w_hh: expected None without pooling 'gru'; got weights");
  }
}

// Of GPO: (K), for the K of the layers unless they take any; empty for other poolings.
std::vector<float> copy_coefficients(RegionPooling pooling, const py::object& object,
                                     std::int64_t k) {
  constexpr const char* kName = "pool_coefficients";
  if (pooling != RegionPooling::gpo) {
    if (object.is_none()) return {};
    throw py::value_error(std::string(kName) + ": expected None without pooling 'gpo'; got " +
                          Py_TYPE(object.ptr())->tp_name);
  }
  const auto vector = read<float>(object, kName, {k != 0 ? Dim(k) : Dim("K")});
  if (vector.dim(0) == 0) {
    throw py::value_error(std::string(kName) + ": expected one or more; got none");
  }
  return {vector.data, vector.data + vector.dim(0)};
}

std::vector<float> copy_optional(const py::object& object, const char* name, std::int64_t d) {
  const float* data = read_optional_vector(object, name, d);
  return data == nullptr ? std::vector<float>() : std::vector<float>(data, data + d);
}

std::unique_ptr<ImageEncoder> make_image_encoder(
    const Weight& fc, const Layers& layers, const std::string& norm_axis,
    bool normalize_projection, const std::string& pooling, std::int64_t pool_top,
    const py::object& pool_coefficients, const Weight& w_ih, const GruWeight& w_hh,
    const py::object& embedding_scale, const py::object& embedding_shift) {
  const std::int64_t d = given(fc, "fc").n_out();
  ImageEncoderConfig config{};
  config.fc = fc;
  const std::int64_t k = require_layers(layers, d);
  config.layers.assign(layers.begin(), layers.end());
  config.norm_axis = encoder_norm_axis(norm_axis);
  config.normalize_projection = normalize_projection;
  if (normalize_projection && config.norm_axis == NormAxis::none) {
    throw py::value_error("norm_axis: expected region or feature with normalize_projection; "
                          "got 'none'");
  }
  config.pooling = region_pooling(pooling);
  require_pooling(config.pooling, pool_top, w_ih, w_hh, d);
  config.pool_top = pool_top;
  config.coefficients = copy_coefficients(config.pooling, pool_coefficients, k);
  config.w_ih = w_ih;
  config.w_hh = w_hh;
  config.scale = copy_optional(embedding_scale, "embedding_scale", d);
  config.shift = copy_optional(embedding_shift, "embedding_shift", d);
  if (embedding_scale.is_none() != embedding_shift.is_none()) {
    throw py::value_error("embedding_scale, embedding_shift: expected both or neither; got one");
  }
  return std::make_unique<ImageEncoder>(std::move(config));
}

void encode_images(const ImageEncoder& encoder, const py::object& regions, const py::object& out,
                   SharedWorkspace& workspace, int threads) {
  const Dim k = encoder.regions() != 0 ? Dim(encoder.regions()) : Dim("K");
  const auto input = read<float>(regions, "regions", {"b", k, encoder.features()});
  if (input.dim(1) < encoder.least_regions()) {
    throw py::value_error("regions: expected at least " + std::to_string(encoder.least_regions()) +
                          " regions an image; got " + std::to_string(input.dim(1)));
  }
  const auto output = write<float>(out, "out", {input.dim(0), encoder.dim()});
  require_disjoint(span("out", output), {span("regions", input)});
  require_threads(threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  encoder.encode(input.batch(), output.matrix(), *lease, threads);
}

std::unique_ptr<TextEncoder> make_text_encoder(const py::object& gate_table, const GruWeight& w_hh,
                                               const std::string& pooling) {
  const std::int64_t d = given(w_hh, "w_hh").dim();
  const auto table = read<float>(gate_table, "gate_table", {"V", 3 * d});
  return std::make_unique<TextEncoder>(table.matrix(), w_hh, sequence_pooling(pooling));
}

void encode_texts(const TextEncoder& encoder, const py::object& tokens, const py::object& offsets,
                  const py::object& out, SharedWorkspace& workspace, int threads) {
  const auto words = read<std::int32_t>(tokens, "tokens", {"total"});
  const auto bounds = read<std::int64_t>(offsets, "offsets", {"n + 1"});
  require_offsets(bounds, words.dim(0));
  require_tokens(words, encoder.vocabulary());
  const auto output = write<float>(out, "out", {bounds.dim(0) - 1, encoder.dim()});
  require_disjoint(span("out", output), {span("tokens", words), span("offsets", bounds)});
  require_threads(threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  encoder.encode(words.data, {bounds.data, output.dim(0)}, output.matrix(), *lease, threads);
}

void register_layers(py::module_& m) {
  py::class_<GraphLayer, std::shared_ptr<GraphLayer>>(m, "GraphLayer");
  py::class_<LightGcnLayer, GraphLayer, std::shared_ptr<LightGcnLayer>>(m, "LightGcnLayer")
      .def(py::init(&make_light_gcn_layer), py::arg("sigma"), py::arg("f"), py::arg("f_bias"));
  py::class_<VsrnGcnLayer, GraphLayer, std::shared_ptr<VsrnGcnLayer>>(m, "VsrnGcnLayer")
      .def(py::init(&make_vsrn_gcn_layer), py::arg("m"), py::arg("u"), py::arg("w"), py::arg("c"),
           py::arg("scale"), py::arg("f"), py::arg("f_bias"));
}

}  // namespace

void register_encoders(py::module_& m) {
  register_layers(m);
  py::class_<ImageEncoder>(m, "ImageEncoder")
      .def(py::init(&make_image_encoder), py::arg("fc"), py::arg("layers"), py::kw_only(),
           py::arg("norm_axis"), py::arg("normalize_projection") = false, py::arg("pooling"),
           py::arg("pool_top") = 1, py::arg("pool_coefficients") = py::none(),
           py::arg("w_ih") = py::none(), py::arg("w_hh") = py::none(),
           py::arg("embedding_scale") = py::none(), py::arg("embedding_shift") = py::none())
      .def_property_readonly("features", &ImageEncoder::features)
      .def_property_readonly("dim", &ImageEncoder::dim)
      .def("encode", &encode_images, py::arg("regions"), py::arg("out"), py::arg("workspace"),
           py::kw_only(), py::arg("threads") = 0);
  py::class_<TextEncoder>(m, "TextEncoder")
      .def(py::init(&make_text_encoder), py::arg("gate_table"), py::arg("w_hh"),
           py::arg("pooling"))
      .def_property_readonly("vocabulary", &TextEncoder::vocabulary)
      .def_property_readonly("dim", &TextEncoder::dim)
      .def("encode", &encode_texts, py::arg("tokens"), py::arg("offsets"), py::arg("out"),
           py::arg("workspace"), py::kw_only(), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
