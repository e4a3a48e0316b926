#include "arrays.h"
#include "lease.h"
#include "ops/light_gcn.h"
#include "ops/vsrn_gcn.h"
#include "register.h"
#include "weight_shape.h"

namespace refine_itr::bindings {
namespace {

// The arguments that every layer has.
struct LayerArrays {
  Array<const float> regions;
  Array<float> out;
};

LayerArrays read_layer(const py::object& regions, const py::object& out, int threads) {
  const auto input = read<float>(regions, "regions", {"b", "K", "D"});
  const auto output = write<float>(out, "out", {input.dim(0), input.dim(1), input.dim(2)});
  require_disjoint(span("out", output), {span("regions", input)});
  require_threads(threads);
  return {input, output};
}

void run_light_gcn(const py::object& regions, const py::object& sigma, const PackedMatrix& g,
                   const PackedMatrix& r, const py::object& out, SharedWorkspace& workspace,
                   int threads) {
  const LayerArrays layer = read_layer(regions, out, threads);
  const std::int64_t k = layer.regions.dim(1);
  const std::int64_t d = layer.regions.dim(2);
  const auto weights = read<float>(sigma, "sigma", {k, k});
  require_disjoint(span("out", layer.out), {span("sigma", weights)});
  require_square(g, "g", d);
  require_square(r, "r", d);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  light_gcn(layer.regions.batch(), weights.data, g, r, layer.out.batch(), *lease, threads);
}

void run_light_gcn_folded(const py::object& regions, const py::object& sigma,
                          const PackedMatrix& f, const py::object& f_bias, const py::object& out,
                          SharedWorkspace& workspace, int threads) {
  const LayerArrays layer = read_layer(regions, out, threads);
  const std::int64_t k = layer.regions.dim(1);
  const std::int64_t d = layer.regions.dim(2);
  const auto weights = read<float>(sigma, "sigma", {k, k});
  const auto bias = read<float>(f_bias, "f_bias", {d});
  require_disjoint(span("out", layer.out), {span("sigma", weights), span("f_bias", bias)});
  require_square(f, "f", d);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  light_gcn_folded(layer.regions.batch(), weights.data, f, bias.data, layer.out.batch(), *lease,
                   threads);
}

void run_vsrn_gcn(const py::object& regions, const PackedMatrix& theta, const PackedMatrix& phi,
                  const PackedMatrix& g, const PackedMatrix& r, float scale, const py::object& out,
                  SharedWorkspace& workspace, int threads) {
  const LayerArrays layer = read_layer(regions, out, threads);
  const std::int64_t d = layer.regions.dim(2);
  require_square(theta, "theta", d);
  require_square(phi, "phi", d);
  require_square(g, "g", d);
  require_square(r, "r", d);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  vsrn_gcn(layer.regions.batch(), theta, phi, g, r, scale, layer.out.batch(), *lease, threads);
}

void run_vsrn_gcn_folded(const py::object& regions, const PackedMatrix& m, const py::object& u,
                         const py::object& w, float c, float scale, const PackedMatrix& f,
                         const py::object& f_bias, const py::object& out,
                         SharedWorkspace& workspace, int threads) {
  const LayerArrays layer = read_layer(regions, out, threads);
  const std::int64_t d = layer.regions.dim(2);
  const auto u_row = read<float>(u, "u", {d});
  const auto w_row = read<float>(w, "w", {d});
  const auto bias = read<float>(f_bias, "f_bias", {d});
  require_disjoint(span("out", layer.out),
                   {span("u", u_row), span("w", w_row), span("f_bias", bias)});
  require_square(m, "m", d);
  require_square(f, "f", d);
  const FoldedRelation relation{m, u_row.data, w_row.data, c, scale};
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  vsrn_gcn_folded(layer.regions.batch(), relation, f, bias.data, layer.out.batch(), *lease,
                  threads);
}

}  // namespace

void register_graph(py::module_& m) {
  m.def("light_gcn", &run_light_gcn, py::arg("regions"), py::arg("sigma"), py::arg("g"),
        py::arg("r"), py::arg("out"), py::arg("workspace"), py::kw_only(), py::arg("threads") = 0);
  m.def("light_gcn_folded", &run_light_gcn_folded, py::arg("regions"), py::arg("sigma"),
        py::arg("f"), py::arg("f_bias"), py::arg("out"), py::arg("workspace"), py::kw_only(),
        py::arg("threads") = 0);
  m.def("vsrn_gcn", &run_vsrn_gcn, py::arg("regions"), py::arg("theta"), py::arg("phi"),
        py::arg("g"), py::arg("r"), py::arg("scale"), py::arg("out"), py::arg("workspace"),
        py::kw_only(), py::arg("threads") = 0);
  m.def("vsrn_gcn_folded", &run_vsrn_gcn_folded, py::arg("regions"), py::arg("m"), py::arg("u"),
        py::arg("w"), py::arg("c"), py::arg("scale"), py::arg("f"), py::arg("f_bias"),
        py::arg("out"), py::arg("workspace"), py::kw_only(), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
