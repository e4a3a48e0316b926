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

void multiply(const PackedRows& left, ConstMatrix a, const RightMatrix& b, Matrix out) noexcept {
  pack_rows(a, left, 0);
  gemm_serial({left, b, out, {}});
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

MixedRows::MixedRows(const KernelTable& table, Precision precision, ConstBatch relations,
                     ConstBatch regions)
    : table_(table),
      precision_(precision == Precision::fp32 || table.pack_pairs == nullptr ? Precision::fp32
                                                                             : Precision::bf16),
      relations_(relations),
      regions_(regions) {}

std::int64_t MixedRows::work() const noexcept {
  return rows() * cols() * (regions_.rows + kElementWork);
}

void MixedRows::prepare(int threads, WorkspaceScope& scope) {
  const std::int64_t k = regions_.rows;
  const std::int64_t most = table_.gemm_rows[static_cast<int>(precision_)];
  const std::int64_t columns = ceil_div(cols(), table_.gemm_cols) * table_.gemm_cols;
  scratches_ = scope.take<Scratch>(threads);
  for (int i = 0; i < threads; ++i) {
    Scratch& scratch = scratches_[i];
    scratch.left = take_rows(table_, precision_, k, k, most, scope);
    scratch.pairs = precision_ == Precision::bf16
                        ? scope.take<std::uint32_t>(columns * scratch.left.depth)
                        : nullptr;
    scratch.mixed = take_batch(scope, 1, k, cols()).matrix(0);
  }
}

RightMatrix MixedRows::right_side(std::int64_t image, const Scratch& scratch) const noexcept {
  const ConstMatrix v = regions_.matrix(image);
  if (precision_ == Precision::fp32) return plain_right(table_, v);
  const std::int64_t depth = scratch.left.depth;
  table_.pack_pairs(v.data, v.stride, v.rows, v.cols, scratch.pairs, depth);
  return {scratch.pairs, depth * table_.gemm_cols, table_.gemm_cols, v.cols, true, nullptr, nullptr};
}

void MixedRows::pack(Range rows, const PackedRows& packed, std::int64_t first,
                     int rank) const noexcept {
  const std::int64_t k = regions_.rows;
  const std::int64_t most = table_.gemm_rows[static_cast<int>(precision_)];
  const Scratch& scratch = scratches_[rank];
  while (rows.size() > 0) {
    const std::int64_t image = rows.begin / k;
    const std::int64_t row = rows.begin % k;
    const std::int64_t n = std::min(k - row, rows.size());
    const Matrix mixed = scratch.mixed.part({0, n});
    multiply(with_rows(scratch.left, n, most), relations_.matrix(image).part({row, row + n}),
             right_side(image, scratch), mixed);
    pack_rows(as_const(mixed), packed, first);
    rows.begin += n;
    first += n;
  }
}

}  // namespace refine_itr
