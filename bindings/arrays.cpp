#include "arrays.h"

#include <stdexcept>

namespace refine_itr::bindings {
namespace {

constexpr int kMostThreads = 256;  // the caller and what the pool can hold

std::string shape_text(const std::vector<std::string>& sizes) {
  std::string text = "(";
  for (std::size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? "" : ", ") + sizes[i];
  return text + (sizes.size() == 1 ? ",)" : ")");
}

std::string expected_text(const char* dtype, Shape shape, detail::Access access) {
  std::vector<std::string> sizes;
  for (const Dim& dim : shape) {
    sizes.push_back(dim.name != nullptr ? dim.name : std::to_string(dim.size));
  }
  const char* writeable = access == detail::Access::write ? ", writeable" : "";
  return std::string(dtype) + " " + shape_text(sizes) + ", C-contiguous" + writeable;
}

bool is_contiguous(const py::array& array) { return (array.flags() & py::array::c_style) != 0; }

bool is_aligned(const py::array& array) {
  return (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
}

std::string actual_text(const py::array& array, detail::Access access) {
  std::vector<std::string> sizes;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) sizes.push_back(std::to_string(array.shape(i)));
  std::string text = py::str(static_cast<py::object>(array.dtype())).cast<std::string>() + " " +
                     shape_text(sizes);
  if (!is_contiguous(array)) text += ", not C-contiguous";
  if (!is_aligned(array)) text += ", not aligned to its element";
  if (access == detail::Access::write && !array.writeable()) text += ", read-only";
  return text;
}

bool fits(const py::array& array, Shape shape) {
  if (static_cast<std::size_t>(array.ndim()) != shape.size()) return false;
  py::ssize_t i = 0;
  for (const Dim& dim : shape) {
    if (dim.name == nullptr && array.shape(i) != dim.size) return false;
    ++i;
  }
  return true;
}

}  // namespace

namespace detail {

// The message is put together only when it is needed: a dtype's name is Python code.
std::vector<std::int64_t> checked_shape(const py::handle& object, const char* name,
                                        const char* dtype, bool same_dtype, Shape shape,
                                        Access access) {
  const auto expected = [&] {
    return std::string(name) + ": expected " + expected_text(dtype, shape, access) + "; got ";
  };
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(expected() + Py_TYPE(object.ptr())->tp_name);
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (!same_dtype) throw py::type_error(expected() + actual_text(array, access));
  const bool usable = is_contiguous(array) && is_aligned(array) &&
                      (access == Access::read || array.writeable());
  if (!usable || !fits(array, shape)) {
    throw py::value_error(expected() + actual_text(array, access));
  }
  return {array.shape(), array.shape() + array.ndim()};
}

}  // namespace detail

const float* read_optional_vector(const py::object& object, const char* name, std::int64_t n) {
  return object.is_none() ? nullptr : read<float>(object, name, {n}).data;
}

void require_disjoint(const Span& out, std::initializer_list<Span> others) {
  if (out.nbytes == 0) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(out.data);
  const auto end = begin + static_cast<std::uintptr_t>(out.nbytes);
  for (const Span& other : others) {
    const auto other_begin = reinterpret_cast<std::uintptr_t>(other.data);
    const auto other_end = other_begin + static_cast<std::uintptr_t>(other.nbytes);
    if (other.nbytes > 0 && begin < other_end && other_begin < end) {
      throw py::value_error(std::string(out.name) + ": expected memory of its own; got an array " +
                            "that overlaps " + other.name);
    }
  }
}

void require_offsets(const Array<const std::int64_t>& offsets, std::int64_t total) {
  const std::int64_t n = offsets.dim(0);
  bool valid = n > 0 && offsets.data[0] == 0 && offsets.data[n - 1] == total;
  for (std::int64_t i = 1; valid && i < n; ++i) valid = offsets.data[i - 1] <= offsets.data[i];
  if (valid) return;
  throw py::value_error("offsets: expected int64 (n + 1,) that rise from 0 to " +
                        std::to_string(total) + " without falling; got others");
}

void require_tokens(const Array<const std::int32_t>& tokens, std::int64_t vocabulary) {
  for (std::int64_t i = 0; i < tokens.dim(0); ++i) {
    if (tokens.data[i] >= 0 && tokens.data[i] < vocabulary) continue;
    throw py::value_error("tokens: expected ids in 0 .. " + std::to_string(vocabulary - 1) +
                          "; got " + std::to_string(tokens.data[i]) + " at " + std::to_string(i));
  }
}

void require_count(const char* name, std::int64_t count) {
  if (count >= 0) return;
  throw py::value_error(std::string(name) + ": expected 0 or more; got " + std::to_string(count));
}

void require_threads(int threads) {
  if (threads >= 0 && threads <= kMostThreads) return;
  throw py::value_error("threads: expected 0 (all) .. " + std::to_string(kMostThreads) + "; got " +
                        std::to_string(threads));
}

}  // namespace refine_itr::bindings
