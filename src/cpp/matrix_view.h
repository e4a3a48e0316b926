// Non-owning views. Elements of a row are adjacent; rows are `stride` elements apart.
#pragma once

#include <cstdint>

namespace refine_itr {

struct Range {
  std::int64_t begin;
  std::int64_t end;

  std::int64_t size() const { return end - begin; }
};

template <class T>
struct MatrixView {
  T* data;  // (rows, cols)
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;

  T* row(std::int64_t i) const { return data + i * stride; }
  MatrixView part(Range of) const { return {row(of.begin), of.size(), cols, stride}; }
};

using Matrix = MatrixView<float>;
using ConstMatrix = MatrixView<const float>;

// A batch of equally large matrices, one after the other: (batch, rows, cols).
template <class T>
struct BatchView {
  T* data;
  std::int64_t batch;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride = cols;

  MatrixView<T> matrix(std::int64_t i) const {
    return {data + i * rows * stride, rows, cols, stride};
  }
  MatrixView<T> flat() const { return {data, batch * rows, cols, stride}; }
};

using Batch = BatchView<float>;
using ConstBatch = BatchView<const float>;

inline ConstMatrix as_const(Matrix m) { return {m.data, m.rows, m.cols, m.stride}; }
inline ConstBatch as_const(Batch b) { return {b.data, b.batch, b.rows, b.cols, b.stride}; }

// Part `index` of `parts` nearly equal, consecutive parts of 0..n-1.
inline Range split_range(std::int64_t n, std::int64_t parts, std::int64_t index) {
  return {n * index / parts, n * (index + 1) / parts};
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace refine_itr
