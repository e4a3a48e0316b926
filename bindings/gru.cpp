#include "ops/gru.h"

#include "arrays.h"
#include "lease.h"
#include "names.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

void run_gru(const py::object& gates, const py::object& offsets, const PackedGates& w_hh,
             const py::object& out, SharedWorkspace& workspace, const std::string& pooling,
             int threads) {
  const std::int64_t d = w_hh.dim();
  const auto input = read<float>(gates, "gates", {"total", 3 * d});
  const auto bounds = read<std::int64_t>(offsets, "offsets", {"n + 1"});
  require_offsets(bounds, input.dim(0));
  const auto output = write<float>(out, "out", {bounds.dim(0) - 1, d});
  require_disjoint(span("out", output), {span("gates", input), span("offsets", bounds)});
  const SequencePooling pooled = sequence_pooling(pooling);
  require_threads(threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  gru({input.data, nullptr, 3 * d}, {bounds.data, output.dim(0)}, w_hh, pooled, output.matrix(),
      *lease, threads);
}

}  // namespace

void register_gru(py::module_& m) {
  m.def("gru", &run_gru, py::arg("gates"), py::arg("offsets"), py::arg("w_hh"), py::arg("out"),
        py::arg("workspace"), py::kw_only(), py::arg("pooling") = "last", py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
