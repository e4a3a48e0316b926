#include "ops/relation.h"

#include <algorithm>

#include "parallel.h"

namespace refine_itr {
namespace {

constexpr std::int64_t kStrip = 4;  // rows of one block of KernelTable::dot_rows

Precision mixing_precision(const KernelTable& table, Precision product) noexcept {
  const bool wide = product == Precision::fp32 || table.pack_pairs == nullptr;
  return wide ? Precision::fp32 : Precision::bf16;
}

std::int64_t tile_rows(const KernelTable& table, Precision precision) noexcept {
  return table.gemm_rows[static_cast<int>(precision)];
}

// Words of a row of `cols` bfloat16 for KernelTable::dot_rows_bf16.
std::int64_t code_words(std::int64_t cols) noexcept {
  return ceil_div(cols, 2 * kMaxWidth) * kMaxWidth;
}

Matrix take_matrix(WorkspaceScope& scope, std::int64_t rows, std::int64_t cols) {
  return take_batch(scope, 1, rows, cols).matrix(0);
}

void row_sums(ConstMatrix a, float* sums) noexcept {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    float sum = 0.0F;
    for (std::int64_t j = 0; j < a.cols; ++j) sum += a.row(i)[j];
    sums[i] = sum;
  }
}

}  // namespace

Epilogue add_residual(ConstBatch regions) noexcept {
  Epilogue epilogue;
  epilogue.residual = regions.data;
  epilogue.residual_stride = regions.stride;
  return epilogue;
}

void multiply(const PackedRows& left, ConstMatrix a, const RightMatrix& b, Matrix out) noexcept {
  pack_rows(a, left, 0);
  gemm_serial({left, b, out, {}});
}

MixedRows::MixedRows(const KernelTable& table, Precision precision, ConstBatch source, float* sums)
    : table_(table),
      precision_(mixing_precision(table, precision)),
      narrow_dots_(precision_ == Precision::bf16 && table.code_group == 1),
      source_(source),
      sums_(sums) {}

std::int64_t MixedRows::work() const noexcept {
  return rows() * cols() * (2 * source_.rows + kElementWork);
}

void MixedRows::prepare(int threads, WorkspaceScope& scope) {
  const std::int64_t k = source_.rows;
  const std::int64_t columns = ceil_div(cols(), table_.gemm_cols) * table_.gemm_cols;
  scratches_ = scope.take<RelationScratch>(threads);
  for (int i = 0; i < threads; ++i) {
    RelationScratch& scratch = scratches_[i];
    scratch = {};
    scratch.relation = take_matrix(scope, k, k);
    scratch.gram = take_matrix(scope, k, k);
    scratch.mixed = take_matrix(scope, k, cols());
    scratch.row_terms = scope.take<float>(k);
    scratch.col_terms = scope.take<float>(k);
    scratch.weights =
        take_rows(table_, Precision::fp32, k, k, tile_rows(table_, Precision::fp32), scope);
    scratch.left = take_rows(table_, precision_, k, k, tile_rows(table_, precision_), scope);
    if (precision_ == Precision::fp32) continue;
    scratch.pairs = scope.take<std::uint32_t>(columns * scratch.left.depth);
    for (std::uint16_t*& codes : scratch.codes) {
      codes = scope.take<std::uint16_t>(2 * k * spread_stride(code_words(cols())));
    }
  }
}

void MixedRows::pack(Range rows, const PackedRows& packed, std::int64_t first,
                     int rank) const noexcept {
  const std::int64_t k = source_.rows;
  const RelationScratch& scratch = scratches_[rank];
  while (rows.size() > 0) {
    const std::int64_t image = rows.begin / k;
    const std::int64_t begin = rows.begin % k;
    const Range part{begin, std::min(k, begin + rows.size())};
    const Matrix relation = scratch.relation.part({0, part.size()});
    const Matrix mixed = scratch.mixed.part({0, part.size()});
    relate(image, part, relation, scratch);
    if (sums_ != nullptr) row_sums(as_const(relation), sums_ + rows.begin);
    multiply(with_rows(scratch.left, part.size(), tile_rows(table_, precision_)),
             as_const(relation), right_side(image, scratch), mixed);
    pack_rows(as_const(mixed), packed, first);
    rows.begin += part.size();
    first += part.size();
  }
}

RightMatrix MixedRows::right_side(std::int64_t image,
                                  const RelationScratch& scratch) const noexcept {
  const ConstMatrix v = source_.matrix(image);
  if (precision_ == Precision::fp32) return plain_right(table_, v);
  const std::int64_t depth = scratch.left.depth;
  table_.pack_pairs(v.data, v.stride, v.rows, v.cols, scratch.pairs, depth);
  return {scratch.pairs, depth * table_.gemm_cols, table_.gemm_cols, v.cols, true, nullptr,
          nullptr};
}

void MixedRows::gram(ConstMatrix v, Matrix out, const RelationScratch& scratch) const noexcept {
  const DotSide side = dot_side(v, scratch.codes[0]);
  for (std::int64_t i = 0; i < v.rows; i += kStrip) {
    const std::int64_t rows = std::min(kStrip, v.rows - i);
    const DotSide strip{side.data + i * side.stride, side.stride, side.words};
    dot_sides(strip, rows, side, i + rows, out.part({i, i + rows}));
  }
  for (std::int64_t i = 0; i < v.rows; ++i) {
    for (std::int64_t j = i + 1; j < v.rows; ++j) out.row(i)[j] = out.row(j)[i];
  }
}

void MixedRows::dot(ConstMatrix a, ConstMatrix b, Matrix out,
                    const RelationScratch& scratch) const noexcept {
  dot_sides(dot_side(a, scratch.codes[0]), a.rows, dot_side(b, scratch.codes[1]), b.rows, out);
}

MixedRows::DotSide MixedRows::dot_side(ConstMatrix rows, std::uint16_t* codes) const noexcept {
  if (!narrow_dots_) {
    return {reinterpret_cast<const std::uint32_t*>(rows.data), rows.stride, rows.cols};
  }
  const std::int64_t words = code_words(rows.cols);
  const std::int64_t stride = spread_stride(words);
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    std::uint16_t* row = codes + 2 * i * stride;
    table_.narrow_halves(rows.row(i), rows.cols, 1.0F, row);
    std::fill(row + rows.cols, row + 2 * words, std::uint16_t{0});
  }
  return {reinterpret_cast<const std::uint32_t*>(codes), stride, words};
}

void MixedRows::dot_sides(DotSide a, std::int64_t rows_a, DotSide b, std::int64_t rows_b,
                          Matrix out) const noexcept {
  const auto run = narrow_dots_ ? table_.dot_rows_bf16 : table_.dot_rows;
  run({a.data, b.data, out.data, a.stride, b.stride, out.stride, rows_a, rows_b, a.words, nullptr,
       0});
}

}  // namespace refine_itr
