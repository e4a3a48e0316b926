#include <memory>

#include "arrays.h"
#include "lease.h"
#include "packed_matrix.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

std::shared_ptr<PackedMatrix> pack(const py::object& weight, const py::object& bias) {
  const auto w = read<float>(weight, "weight", {"n_out", "n_in"});
  const float* b = read_optional_vector(bias, "bias", w.dim(0));
  const py::gil_scoped_release release;
  return std::make_shared<PackedMatrix>(w.matrix(), b);
}

}  // namespace

void register_weights(py::module_& m) {
  py::class_<PackedMatrix, std::shared_ptr<PackedMatrix>>(m, "PackedMatrix")
      .def(py::init(&pack), py::arg("weight"), py::arg("bias") = py::none())
      .def_property_readonly("n_in", &PackedMatrix::n_in)
      .def_property_readonly("n_out", &PackedMatrix::n_out)
      .def_property_readonly("nbytes", &PackedMatrix::nbytes);
  py::class_<SharedWorkspace>(m, "Workspace")
      .def(py::init<>())
      .def_property_readonly("nbytes", [](SharedWorkspace& shared) {
        const WorkspaceLease lease(shared);
        return (*lease).nbytes();
      });
}

}  // namespace refine_itr::bindings
