#include "ops/limits.h"

#include "arrays.h"
#include "names.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

std::int64_t run_multiply_adds(const std::string& precision, std::int64_t rounds, int threads) {
  const Precision wanted = precision_of(precision);
  constexpr std::int64_t kMost = 1 << 30;
  if (rounds < 1 || rounds > kMost) {
    throw py::value_error("rounds: expected 1 to 2^30; got " + std::to_string(rounds));
  }
  require_threads(threads);
  const py::gil_scoped_release release;
  return multiply_adds(wanted, rounds, threads);
}

std::int32_t run_read_memory(const py::object& x, int threads) {
  const auto words = read<std::int32_t>(x, "x", {"n"});
  require_threads(threads);
  const py::gil_scoped_release release;
  return read_memory(reinterpret_cast<const std::uint32_t*>(words.data), words.dim(0), threads);
}

}  // namespace

void register_limits(py::module_& m) {
  m.def("multiply_adds", &run_multiply_adds, py::arg("precision"), py::arg("rounds"),
        py::arg("threads") = 0);
  m.def("read_memory", &run_read_memory, py::arg("x"), py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
