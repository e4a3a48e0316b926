#include "ops/l2norm.h"

#include "arrays.h"
#include "names.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

void run_l2norm(const py::object& x, const std::string& axis, const py::object& out,
                int threads) {
  const auto input = read<float>(x, "x", {"n", "K", "D"});
  const auto output = write<float>(out, "out", {input.dim(0), input.dim(1), input.dim(2)});
  // In place is fine, a shifted overlap is not.
  if (input.data != output.data) require_disjoint(span("out", output), {span("x", input)});
  const NormAxis over = l2norm_axis(axis);
  require_threads(threads);
  const py::gil_scoped_release release;
  l2norm(input.batch(), over, output.batch(), threads);
}

}  // namespace

void register_l2norm(py::module_& m) {
  m.def("l2norm", &run_l2norm, py::arg("x"), py::arg("axis"), py::arg("out"), py::kw_only(),
        py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
