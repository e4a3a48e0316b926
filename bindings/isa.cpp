#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "isa/dispatch.h"
#include "parallel.h"
#include "register.h"

namespace refine_itr::bindings {

void register_isa(pybind11::module_& m) {
  m.def("isa", [] { return std::string(active_table().name); });
  m.def("available_isas", &available_isas);
  m.def("force_isa", &force_isa, pybind11::arg("name"));
  m.def("max_threads", &max_threads);
}

}  // namespace refine_itr::bindings
