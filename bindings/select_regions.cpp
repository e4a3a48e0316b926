#include "ops/select_regions.h"

#include <vector>

#include "arrays.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

py::array_t<std::int64_t> run_select_regions(const py::object& boxes,
                                             const py::object& class_scores, std::int64_t k,
                                             float iou_threshold, float score_threshold) {
  const auto corners = read<float>(boxes, "boxes", {"p", 4});
  const auto scores = read<float>(class_scores, "class_scores", {corners.dim(0), "c"});
  if (k < 0) throw py::value_error("k: expected 0 or more; got " + std::to_string(k));
  std::vector<std::int64_t> selected;
  {
    const py::gil_scoped_release release;
    selected = select_regions(corners.matrix(), scores.matrix(), k, iou_threshold, score_threshold);
  }
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(selected.size()), selected.data());
}

}  // namespace

void register_select_regions(py::module_& m) {
  m.def("select_regions", &run_select_regions, py::arg("boxes"), py::arg("class_scores"),
        py::arg("k"), py::kw_only(), py::arg("iou_threshold") = 0.3F,
        py::arg("score_threshold") = 0.0F);
}

}  // namespace refine_itr::bindings
