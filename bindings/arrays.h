// numpy arrays -> views: the ONE place where memory safety is checked.
//
// The native module can be called directly, so nothing here trusts the Python layer. An array is
// never converted: what does not fit is refused with what was expected and what came.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "matrix_view.h"

namespace refine_itr::bindings {

namespace py = pybind11;

// One expected dimension: a size, or a name for any size.
struct Dim {
  Dim(const char* name) : name(name), size(-1) {}  // NOLINT: reads as a shape, {"n", 512}
  Dim(std::int64_t size) : name(nullptr), size(size) {}

  const char* name;
  std::int64_t size;
};

using Shape = std::initializer_list<Dim>;

// A checked array. It borrows the memory: the argument that it came from outlives it.
template <class T>
struct Array {
  T* data;
  std::vector<std::int64_t> shape;

  std::int64_t dim(std::size_t i) const { return shape[i]; }
  MatrixView<T> matrix() const { return {data, shape[0], shape[1], shape[1]}; }
  BatchView<T> batch() const { return {data, shape[0], shape[1], shape[2]}; }
  std::int64_t nbytes() const {
    std::int64_t size = sizeof(T);
    for (const std::int64_t n : shape) size *= n;
    return size;
  }
};

// The byte range of an array, with its name for messages.
struct Span {
  const char* name;
  const void* data;
  std::int64_t nbytes;
};

template <class T>
Span span(const char* name, const Array<T>& array) {
  return {name, array.data, array.nbytes()};
}

namespace detail {

enum class Access { read, write };

// Checks everything but the dtype's identity, which `same_dtype` says. Raises TypeError (not an
// array, or of another dtype) or ValueError.
std::vector<std::int64_t> checked_shape(const py::handle& object, const char* name,
                                        const char* dtype, bool same_dtype, Shape shape,
                                        Access access);

template <class T>
constexpr const char* dtype_name();
template <>
constexpr const char* dtype_name<float>() { return "float32"; }
template <>
constexpr const char* dtype_name<std::uint8_t>() { return "uint8"; }
template <>
constexpr const char* dtype_name<std::int32_t>() { return "int32"; }
template <>
constexpr const char* dtype_name<std::int64_t>() { return "int64"; }

}  // namespace detail

// An input array of T, C-contiguous, of the shape given.
template <class T>
Array<const T> read(const py::handle& object, const char* name, Shape shape) {
  const bool same = py::isinstance<py::array_t<T>>(object);
  auto sizes = detail::checked_shape(object, name, detail::dtype_name<T>(), same, shape,
                                     detail::Access::read);
  const auto array = py::reinterpret_borrow<py::array>(object);
  return {static_cast<const T*>(array.data()), std::move(sizes)};
}

// An output array: also writeable.
template <class T>
Array<T> write(const py::handle& object, const char* name, Shape shape) {
  const bool same = py::isinstance<py::array_t<T>>(object);
  auto sizes = detail::checked_shape(object, name, detail::dtype_name<T>(), same, shape,
                                     detail::Access::write);
  auto array = py::reinterpret_borrow<py::array>(object);
  return {static_cast<T*>(array.mutable_data()), std::move(sizes)};
}

// A vector of n numbers, or null for None.
const float* read_optional_vector(const py::object& object, const char* name, std::int64_t n);

// ValueError if `out` shares memory with one of `others`.
void require_disjoint(const Span& out, std::initializer_list<Span> others);

// ValueError unless offsets rise from 0 to `total` without falling.
void require_offsets(const Array<const std::int64_t>& offsets, std::int64_t total);

// ValueError unless 0 <= token < vocabulary for all.
void require_tokens(const Array<const std::int32_t>& tokens, std::int64_t vocabulary);

// ValueError unless count >= 0.
void require_count(const char* name, std::int64_t count);

// ValueError unless 0 (all) <= threads <= 256.
void require_threads(int threads);

}  // namespace refine_itr::bindings
