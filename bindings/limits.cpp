#include "ops/limits.h"

#include "arrays.h"
#include "names.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

double run_peak_gops(const std::string& precision, int threads) {
  const Precision wanted = precision_of(precision);
  require_threads(threads);
  const py::gil_scoped_release release;
  return peak_gops(wanted, threads);
}

double run_read_gbps(std::int64_t nbytes, int threads) {
  constexpr std::int64_t kLeast = 1 << 10;
  if (nbytes < kLeast) {
    throw py::value_error("nbytes: expected at least 1024; got " + std::to_string(nbytes));
  }
  require_threads(threads);
  const py::gil_scoped_release release;
  Workspace workspace;
  return read_gbps(nbytes, workspace, threads);
}

}  // namespace

void register_limits(py::module_& m) {
  m.def("peak_gops", &run_peak_gops, py::arg("precision"), py::arg("threads") = 0);
  m.def("read_gbps", &run_read_gbps, py::arg("nbytes"), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
