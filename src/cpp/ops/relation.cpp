#include "ops/relation.h"

#include <algorithm>

namespace refine_itr {
namespace {

constexpr std::int64_t kStrip = 4;  // rows of one block of KernelTable::dot_rows

}  // namespace

void gram(const KernelTable& table, ConstMatrix v, Matrix out) noexcept {
  for (std::int64_t i = 0; i < v.rows; i += kStrip) {
    const std::int64_t rows = std::min(kStrip, v.rows - i);
    dot_rows(table, {v.row(i), rows, v.cols, v.stride}, {v.data, i + rows, v.cols, v.stride},
             {out.row(i), rows, i + rows, out.stride});
  }
  for (std::int64_t i = 0; i < v.rows; ++i) {
    for (std::int64_t j = i + 1; j < v.rows; ++j) out.row(i)[j] = out.row(j)[i];
  }
}

void dot_rows(const KernelTable& table, ConstMatrix a, ConstMatrix b, Matrix out) noexcept {
  table.dot_rows({a.data, b.data, out.data, a.stride, b.stride, out.stride, a.rows, b.rows, a.cols,
                  nullptr, 0});
}

void multiply(const PackedRows& memory, ConstMatrix a, ConstMatrix b, Matrix out) noexcept {
  pack_rows(a, {0, a.rows}, memory);
  gemm_serial({memory, plain_right(*memory.table, b), out, {}});
}

Epilogue add_residual(ConstBatch regions) noexcept {
  Epilogue epilogue;
  epilogue.residual = regions.data;
  epilogue.residual_stride = regions.stride;
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
