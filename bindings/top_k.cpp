#include "ops/top_k.h"

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>

#include "arrays.h"
#include "lease.h"
#include "names.h"
#include "narrow_gallery.h"
#include "ops/narrow_top_k.h"
#include "register.h"

namespace refine_itr::bindings {
namespace {

struct SearchArguments {
  ConstMatrix queries;
  ConstMatrix gallery;
  RowFilter filter;
  Matrix scores;
  std::int64_t* ids;
};

SearchArguments search_arguments(const py::object& queries, const py::object& gallery,
                                 const py::object& scores, const py::object& ids,
                                 const py::object& allowed, int threads) {
  const auto wanted = read<float>(queries, "queries", {"q", "D"});
  const auto rows = read<float>(gallery, "gallery", {"n", wanted.dim(1)});
  const auto found = write<float>(scores, "scores", {wanted.dim(0), "k"});
  if (found.dim(1) > rows.dim(0)) {
    throw py::value_error("scores: expected at most " + std::to_string(rows.dim(0)) +
                          " columns, the size of the gallery; got " +
                          std::to_string(found.dim(1)));
  }
  const auto names = write<std::int64_t>(ids, "ids", {found.dim(0), found.dim(1)});
  Array<const std::uint8_t> bits{nullptr, {0}};
  if (!allowed.is_none()) {
    bits = read<std::uint8_t>(allowed, "allowed", {ceil_div(rows.dim(0), 8)});
  }
  require_disjoint(span("scores", found),
                   {span("queries", wanted), span("gallery", rows), span("allowed", bits)});
  require_disjoint(span("ids", names), {span("queries", wanted), span("gallery", rows),
                                        span("scores", found), span("allowed", bits)});
  require_threads(threads);
  return {wanted.matrix(), rows.matrix(), {bits.data}, found.matrix(), names.data};
}

void run_top_k(const py::object& queries, const py::object& gallery, const py::object& scores,
               const py::object& ids, SharedWorkspace& workspace, const py::object& allowed,
               int threads) {
  const auto given = search_arguments(queries, gallery, scores, ids, allowed, threads);
  const WorkspaceLease lease(workspace);
  const py::gil_scoped_release release;
  top_k(given.queries, given.gallery, given.filter, given.scores, given.ids, *lease, threads);
}

// A NarrowGallery as Python holds it: searches go on at the same time, changes wait for them.
class SharedNarrowGallery {
 public:
  SharedNarrowGallery(ConstMatrix rows, NarrowPrecision precision) : narrow_(rows, precision) {}

  template <class Body>
  auto look(const Body& body) const {
    const py::gil_scoped_release release;
    const std::shared_lock lock(mutex_);
    return body(narrow_);
  }

  template <class Body>
  void change(const Body& body) {
    const py::gil_scoped_release release;
    const std::unique_lock lock(mutex_);
    body(narrow_);
  }

 private:
  NarrowGallery narrow_;
  mutable std::shared_mutex mutex_;
};

std::unique_ptr<SharedNarrowGallery> make_narrow(const py::object& gallery,
                                                 const std::string& precision) {
  const auto rows = read<float>(gallery, "gallery", {"n", "D"});
  const auto named = find_named<NarrowPrecision>(
      "precision", precision,
      {{"bf16", NarrowPrecision::bf16}, {"int8", NarrowPrecision::int8}});
  if (rows.dim(1) > kMostNarrowFeatures) {
    throw py::value_error("gallery: expected at most " + std::to_string(kMostNarrowFeatures) +
                          " features; got " + std::to_string(rows.dim(1)));
  }
  const py::gil_scoped_release release;
  return std::make_unique<SharedNarrowGallery>(rows.matrix(), named);
}

std::int64_t dim_of(const SharedNarrowGallery& shared) {
  return shared.look([](const NarrowGallery& narrow) { return narrow.dim(); });
}

void append(SharedNarrowGallery& shared, const py::object& rows) {
  const auto more = read<float>(rows, "rows", {"m", dim_of(shared)});
  shared.change([&](NarrowGallery& narrow) { narrow.append(more.matrix()); });
}

void replace(SharedNarrowGallery& shared, std::int64_t index, const py::object& row) {
  const auto given = read<float>(row, "row", {dim_of(shared)});
  shared.change([&](NarrowGallery& narrow) {
    if (index < 0 || index >= narrow.n()) {
      throw std::out_of_range("index: expected 0 .. " + std::to_string(narrow.n() - 1) +
                              "; got " + std::to_string(index));
    }
    narrow.replace(index, given.data);
  });
}

void run_narrow_top_k(const SharedNarrowGallery& shared, const py::object& queries,
                      const py::object& gallery, const py::object& scores, const py::object& ids,
                      SharedWorkspace& workspace, const py::object& allowed, int threads) {
  const auto given = search_arguments(queries, gallery, scores, ids, allowed, threads);
  const WorkspaceLease lease(workspace);
  shared.look([&](const NarrowGallery& narrow) {
    if (given.gallery.rows > narrow.n() || given.gallery.cols != narrow.dim()) {
      throw std::invalid_argument(
          "gallery: expected float32 (m, " + std::to_string(narrow.dim()) +
          "), m <= " + std::to_string(narrow.n()) + ", rows of this narrow gallery; got (" +
          std::to_string(given.gallery.rows) + ", " + std::to_string(given.gallery.cols) + ")");
    }
    narrow_top_k(given.queries, given.gallery, narrow, given.filter, given.scores, given.ids,
                 *lease, threads);
  });
}

template <class Value>
auto property(Value (NarrowGallery::*value)() const noexcept) {
  return [value](const SharedNarrowGallery& shared) {
    return shared.look([value](const NarrowGallery& narrow) { return (narrow.*value)(); });
  };
}

std::string precision_name(const SharedNarrowGallery& shared) {
  const auto named = property(&NarrowGallery::precision)(shared);
  return named == NarrowPrecision::bf16 ? "bf16" : "int8";
}

}  // namespace

void register_top_k(py::module_& m) {
  m.def("top_k", &run_top_k, py::arg("queries"), py::arg("gallery"), py::arg("scores"),
        py::arg("ids"), py::arg("workspace"), py::kw_only(), py::arg("allowed") = py::none(),
        py::arg("threads") = 0);
  py::class_<SharedNarrowGallery>(m, "NarrowGallery")
      .def(py::init(&make_narrow), py::arg("gallery"), py::arg("precision"))
      .def("__len__", property(&NarrowGallery::n))
      .def_property_readonly("n", property(&NarrowGallery::n))
      .def_property_readonly("dim", property(&NarrowGallery::dim))
      .def_property_readonly("nbytes", property(&NarrowGallery::nbytes))
      .def_property_readonly("precision", &precision_name)
      .def("append", &append, py::arg("rows"))
      .def("replace", &replace, py::arg("index"), py::arg("row"))
      .def("top_k", &run_narrow_top_k, py::arg("queries"), py::arg("gallery"), py::arg("scores"),
           py::arg("ids"), py::arg("workspace"), py::kw_only(), py::arg("allowed") = py::none(),
           py::arg("threads") = 0);
}

}  // namespace refine_itr::bindings
