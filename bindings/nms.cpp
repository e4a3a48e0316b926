#include "ops/nms.h"

#include "arrays.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

py::array_t<std::int64_t> run_nms(const py::object& boxes, const py::object& objectness,
                                  const py::object& groups, std::int64_t k, float iou_threshold,
                                  bool inclusive) {
  const auto corners = read<float>(boxes, "boxes", {"m", 4});
  const auto values = read<float>(objectness, "objectness", {corners.dim(0)});
  const auto labels = read<std::int64_t>(groups, "groups", {corners.dim(0)});
  require_count("k", k);
  std::vector<std::int64_t> kept;
  {
    const py::gil_scoped_release release;
    kept = nms(corners.matrix(), values.data, labels.data, k, iou_threshold, inclusive ? 1 : 0);
  }
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(kept.size()), kept.data());
}

}  // namespace

void register_nms(py::module_& m) {
  m.def("nms", &run_nms, py::arg("boxes"), py::arg("objectness"), py::arg("groups"), py::arg("k"),
        py::kw_only(), py::arg("iou_threshold") = 0.7F, py::arg("inclusive") = false);
}

}  // namespace refine_itr::bindings
