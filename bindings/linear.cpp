#include "ops/linear.h"

#include "arrays.h"
#include "lease.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

Epilogue read_residual(const py::object& residual, const Array<float>& out) {
  Epilogue extra;
  if (residual.is_none()) return extra;
  const auto added = read<float>(residual, "residual", {out.dim(0), out.dim(1)});
  // The residual itself may be the output, but not a part of it.
  if (added.data != out.data) require_disjoint(span("out", out), {span("residual", added)});
  extra.residual = added.data;
  extra.residual_stride = added.dim(1);
  return extra;
}

void run_linear(const py::object& x, const PackedMatrix& weight, const py::object& out,
                SharedWorkspace& workspace, const py::object& residual, int threads) {
  const auto input = read<float>(x, "x", {"m", weight.n_in()});
  const auto output = write<float>(out, "out", {input.dim(0), weight.n_out()});
  require_disjoint(span("out", output), {span("x", input)});
  const Epilogue extra = read_residual(residual, output);
  require_threads(threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  linear(input.matrix(), weight, extra, output.matrix(), *lease, threads);
}

}  // namespace

void register_linear(py::module_& m) {
  m.def("linear", &run_linear, py::arg("x"), py::arg("weight"), py::arg("out"),
        py::arg("workspace"), py::kw_only(), py::arg("residual") = py::none(), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
