#include "ops/select_regions.h"

#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "arrays.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

py::array_t<std::int64_t> run_select_regions(const py::object& boxes,
                                             const py::object& class_scores, std::int64_t k,
                                             std::optional<std::int64_t> least,
                                             float iou_threshold, float score_threshold,
                                             float keep_threshold, bool inclusive) {
  const auto corners = read<float>(boxes, "boxes", {"p", 4});
  const auto scores = read<float>(class_scores, "class_scores", {corners.dim(0), "c"});
  require_count("k", k);
  const SelectionRule rule{least.value_or(k), k,    iou_threshold, score_threshold,
                           keep_threshold,    inclusive ? 1.0F : 0.0F};
  if (rule.least < 0 || rule.least > k) {
    throw py::value_error("least: expected 0 to k = " + std::to_string(k) + "; got " +
                          std::to_string(rule.least));
  }
  std::vector<std::int64_t> selected;
  {
    const py::gil_scoped_release release;
    selected = select_regions(corners.matrix(), scores.matrix(), rule);
  }
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(selected.size()), selected.data());
}

}  // namespace

void register_select_regions(py::module_& m) {
  m.def("select_regions", &run_select_regions, py::arg("boxes"), py::arg("class_scores"),
        py::arg("k"), py::kw_only(), py::arg("least") = py::none(),
        py::arg("iou_threshold") = 0.3F, py::arg("score_threshold") = 0.0F,
        py::arg("keep_threshold") = 0.0F, py::arg("inclusive") = false);
}

}  // namespace refine_itr::bindings
