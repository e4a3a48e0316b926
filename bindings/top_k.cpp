#include "ops/top_k.h"

#include "arrays.h"
#include "lease.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

void run_top_k(const py::object& queries, const py::object& gallery, const py::object& scores,
               const py::object& ids, SharedWorkspace& workspace, int threads) {
  const auto wanted = read<float>(queries, "queries", {"q", "D"});
  const auto rows = read<float>(gallery, "gallery", {"n", wanted.dim(1)});
  const auto found = write<float>(scores, "scores", {wanted.dim(0), "k"});
  if (found.dim(1) > rows.dim(0)) {
    throw py::value_error("scores: expected at most " + std::to_string(rows.dim(0)) +
                          " columns, the size of the gallery; got " +
                          std::to_string(found.dim(1)));
  }
  const auto names = write<std::int64_t>(ids, "ids", {found.dim(0), found.dim(1)});
  require_disjoint(span("scores", found), {span("queries", wanted), span("gallery", rows)});
  require_disjoint(span("ids", names),
                   {span("queries", wanted), span("gallery", rows), span("scores", found)});
  require_threads(threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  top_k(wanted.matrix(), rows.matrix(), found.matrix(), names.data, *lease, threads);
}

}  // namespace

void register_top_k(py::module_& m) {
  m.def("top_k", &run_top_k, py::arg("queries"), py::arg("gallery"), py::arg("scores"),
        py::arg("ids"), py::arg("workspace"), py::kw_only(), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
