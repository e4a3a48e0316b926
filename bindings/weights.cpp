#include <memory>
#include <string>

#include "arrays.h"
#include "lease.h"
#include "names.h"
#include "packed_matrix.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

void check_depth(std::int64_t n_in, Precision precision) {
  if (precision != Precision::int8 || n_in <= kMostInt8Inputs) return;
  throw py::value_error("weight: expected at most " + std::to_string(kMostInt8Inputs) +
                        " inputs in int8; got " + std::to_string(n_in));
}

std::shared_ptr<PackedMatrix> pack_matrix(const py::object& weight, const py::object& bias,
                                          const std::string& precision) {
  const auto w = read<float>(weight, "weight", {"n_out", "n_in"});
  const float* b = read_optional_vector(bias, "bias", w.dim(0));
  const Precision wanted = precision_of(precision);
  check_depth(w.dim(1), wanted);
  const py::gil_scoped_release release;
  return std::make_shared<PackedMatrix>(w.matrix(), b, wanted);
}

std::shared_ptr<PackedGates> pack_gates(const py::object& weight, const py::object& bias,
                                        const std::string& precision) {
  const std::int64_t dim = read<float>(weight, "weight", {"3 D", "D"}).dim(1);
  const auto w = read<float>(weight, "weight", {3 * dim, dim});
  const float* b = read_optional_vector(bias, "bias", 3 * dim);
  const Precision wanted = precision_of(precision);
  check_depth(dim, wanted);
  const py::gil_scoped_release release;
  return std::make_shared<PackedGates>(w.matrix(), b, wanted);
}

template <class Packed, class Pack>
void register_weight(py::module_& m, const char* name, Pack pack) {
  py::class_<Packed, std::shared_ptr<Packed>>(m, name)
      .def(py::init(pack), py::arg("weight"), py::arg("bias") = py::none(),
           py::arg("precision") = "fp32")
      .def_property_readonly("n_in", &Packed::n_in)
      .def_property_readonly("n_out", &Packed::n_out)
      .def_property_readonly("precision",
                             [](const Packed& packed) { return name_of(packed.precision()); })
      .def_property_readonly("nbytes", &Packed::nbytes);
}

}  // namespace

void register_weights(py::module_& m) {
  register_weight<PackedMatrix>(m, "PackedMatrix", &pack_matrix);
  register_weight<PackedGates>(m, "PackedGates", &pack_gates);
  py::class_<SharedWorkspace>(m, "Workspace")
      .def(py::init<>())
      .def_property_readonly("nbytes", [](SharedWorkspace& shared) {
        const WorkspaceLease lease(shared);
        return (*lease).nbytes();
      });
}

}  // namespace refine_itr::bindings
