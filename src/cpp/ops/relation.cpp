#include "ops/relation.h"

#include <algorithm>

namespace refine_itr {
namespace {

constexpr std::int64_t kStrip = 4;  // rows of one block of KernelTable::dot_rows

}  // namespace

void gram(const KernelTable& table, ConstMatrix v, Matrix out) noexcept {
  for (std::int64_t i = 0; i < v.rows; i += kStrip) {
    const std::int64_t rows = std::min(kStrip, v.rows - i);
    table.dot_rows(v.row(i), v.stride, rows, v.data, v.stride, i + rows, v.cols, out.row(i),
                   out.stride);
  }
  for (std::int64_t i = 0; i < v.rows; ++i) {
    for (std::int64_t j = i + 1; j < v.rows; ++j) out.row(i)[j] = out.row(j)[i];
  }
}

void dot_rows(const KernelTable& table, ConstMatrix a, ConstMatrix b, Matrix out) noexcept {
  table.dot_rows(a.data, a.stride, a.rows, b.data, b.stride, b.rows, a.cols, out.data, out.stride);
}

void multiply(const KernelTable& table, ConstMatrix a, ConstMatrix b, Matrix out) noexcept {
  gemm_serial(table, {a, plain_right(table, b), out, {}});
}

Batch take_batch(WorkspaceScope& scope, ConstBatch shape) {
  float* data = scope.take<float>(shape.batch * shape.rows * shape.cols);
  return {data, shape.batch, shape.rows, shape.cols};
}

Epilogue add_residual(ConstBatch regions) noexcept {
  Epilogue epilogue;
  epilogue.residual = regions.data;
  epilogue.residual_stride = regions.cols;
  return epilogue;
}

void row_sums(ConstMatrix a, float* sums) noexcept {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    float sum = 0.0F;
    for (std::int64_t j = 0; j < a.cols; ++j) sum += a.row(i)[j];
    sums[i] = sum;
  }
}

}  // namespace refine_itr
