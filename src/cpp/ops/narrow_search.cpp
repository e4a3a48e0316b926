#include "ops/narrow_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace refine_itr {
namespace {

constexpr float kUnbounded = std::numeric_limits<float>::infinity();
constexpr float kFloor = 0x1p-80F;
constexpr float kLargestProduct = 0x1p120F;
// More than what rounding takes from a sum or product of bounds.
constexpr float kUp = 1.0F + 0x1p-20F;

// Room for the best k four times, so that ordering the list pays off.
std::int64_t shortlist_capacity(std::int64_t k) noexcept { return 4 * k + 256; }

// Where query `index` goes, whose words lie as KernelTable::dot_rows_int8 has them.
void place_query(const KernelTable& table, const std::uint32_t* row, std::int64_t words,
                 std::int64_t stride, std::int64_t index, std::uint32_t* codes) noexcept {
  const std::int64_t group = table.code_group;
  if (group == 1) {
    std::copy_n(row, words, codes + index * stride);
    return;
  }
  std::uint32_t* first = codes + index / group * group * words + index % group;
  for (std::int64_t k = 0; k < words; ++k) first[k * group] = row[k];
}

NarrowQueries narrow_queries(const KernelTable& table, ConstMatrix queries,
                             NarrowPrecision precision, WorkspaceScope& scope) {
  const std::int64_t offset = precision == NarrowPrecision::int8 ? table.dot_offset : 0;
  const std::int64_t row_bytes = narrow_row_bytes(queries.cols, precision);
  const std::int64_t words = row_bytes / 4;
  const std::int64_t stride = table.code_group == 1 ? query_stride(words) : words;
  const std::int64_t room = ceil_div(queries.rows, table.code_group) * table.code_group;
  auto* codes = scope.take<std::uint32_t>(room * stride);
  auto* rows = scope.take<NarrowRow>(queries.rows);
  auto* row = scope.take<std::byte>(row_bytes);
  for (std::int64_t q = 0; q < queries.rows; ++q) {
    rows[q] = narrow_row(table, queries.row(q), queries.cols, precision, table.dot_levels, row);
    for (std::int64_t i = 0; offset != 0 && i < row_bytes; ++i) {
      row[i] = static_cast<std::byte>(static_cast<std::int64_t>(row[i]) + offset);
    }
    place_query(table, reinterpret_cast<const std::uint32_t*>(row), words, stride, q, codes);
  }
  return {{reinterpret_cast<const std::int32_t*>(codes), queries.rows, words, stride}, rows, offset};
}

ScoreBounds bounds_of(const NarrowRow& query, std::int64_t offset, const NarrowRows& rows) noexcept {
  const float slack = 0x1p-21F * static_cast<float>(rows.dim + 256);
  const bool safe = query.norm * rows.largest_norm < kLargestProduct;
  const float from_norm = (query.error + slack * query.norm) * kUp;
  return {query.scale,
          static_cast<float>(offset),
          safe ? from_norm : kUnbounded,
          (query.norm + query.error) * kUp,
          kFloor,
          rows.scales,
          rows.sums,
          rows.norms,
          rows.errors};
}

ScoreBounds bounds_from(const ScoreBounds& bounds, std::int64_t row) noexcept {
  ScoreBounds moved = bounds;
  moved.scale += row;
  moved.sum += row;
  moved.norm += row;
  moved.error += row;
  return moved;
}

float lower_bound(const ScoreBounds& bounds, std::int64_t i, float upper) noexcept {
  const float bound =
      bounds.floor + bounds.from_norm * bounds.norm[i] + bounds.from_error * bounds.error[i];
  const float lower = upper - 2.0F * bound;
  return std::isnan(lower) ? -kUnbounded : lower;
}

// upper: bounds of the rows of `run`, whose ids are `first` higher.
void offer_bounds(const KernelTable& table, const ScoreBounds& bounds, RowFilter filter, Range run,
                  std::int64_t first, const float* upper, const RowScorer& score,
                  Shortlist& list) noexcept {
  const std::int64_t n = run.size();
  for (std::int64_t i = 0;; ++i) {
    i = table.find_above(upper, i, n, list.limit());
    if (i == n) return;
    if (!filter.allows(run.begin + i)) continue;
    list.offer({upper[i], lower_bound(bounds, i, upper[i]), first + run.begin + i}, score);
  }
}

// What one thread holds of each query, one thread after the other.
Shortlist* take_lists(WorkspaceScope& scope, std::int64_t count, std::int64_t k) {
  const std::int64_t capacity = shortlist_capacity(k);
  auto* lists = scope.take<Shortlist>(count);
  auto* ranges = scope.take<ScoreRange>(count * capacity);
  auto* candidates = scope.take<Candidate>(count * k);
  for (std::int64_t i = 0; i < count; ++i) {
    lists[i] = {ranges + i * capacity, capacity, 0, -kUnbounded, {candidates + i * k, k, 0}, 0};
  }
  return lists;
}

// One query's lists, `used` at a distance of `stride`, into the first one's `exact`.
void settle_all(Shortlist* lists, std::int64_t stride, int used, const RowScorer& score) noexcept {
  BestList& best = lists[0].exact;
  float threshold = -kUnbounded;
  for (int rank = 0; rank < used; ++rank) {
    lists[rank * stride].tighten();
    threshold = std::max(threshold, lists[rank * stride].threshold);
  }
  for (int rank = 1; rank < used; ++rank) best.offer(lists[rank * stride].exact);
  for (int rank = 0; rank < used; ++rank) {
    Shortlist& list = lists[rank * stride];
    list.threshold = threshold;
    list.tighten();
    list.settle(score, best);
  }
}

}  // namespace

std::int64_t shortlist_bytes(std::int64_t k) noexcept {
  return shortlist_capacity(k) * static_cast<std::int64_t>(sizeof(ScoreRange));
}

NarrowSearch start_search(const KernelTable& table, ConstMatrix queries, ConstMatrix gallery,
                          NarrowPrecision precision, std::int64_t k, WorkspaceScope& scope,
                          int threads) {
  const int used = threads_for(threads, queries.rows * gallery.rows * gallery.cols);
  return {table,
          precision_of(precision),
          gallery,
          word_rows(as_const(aligned_copy(queries, scope))),
          narrow_queries(table, queries, precision, scope),
          take_lists(scope, used * queries.rows, k),
          used};
}

GalleryScan narrow_scan(const NarrowSearch& search, const NarrowRows& rows, RowFilter filter) {
  const std::int64_t words = rows.row_bytes / 4;
  const WordRows codes{reinterpret_cast<const std::int32_t*>(rows.codes), rows.n, words, words};
  return {search.table, search.precision, search.table.code_strip, search.coded.codes, codes, filter,
          false};
}

void offer_run(const NarrowSearch& search, const NarrowRows& rows, RowFilter filter,
               std::int64_t first, int rank, std::int64_t query, Range run, float* x) noexcept {
  const ScoreBounds bounds =
      bounds_from(bounds_of(search.coded.rows[query], search.coded.offset, rows), run.begin);
  search.table.upper_bounds(bounds, x, run.size());
  offer_bounds(search.table, bounds, filter, run, first, x, search.scorer(query),
               search.lists[rank * search.queries() + query]);
}

void finish_search(const NarrowSearch& search, Matrix scores, std::int64_t* ids) noexcept {
  parallel_tasks(search.threads, search.queries(), [&](std::int64_t query, int) {
    Shortlist* lists = search.lists + query;
    settle_all(lists, search.queries(), search.threads, search.scorer(query));
    lists->exact.write(scores.row(query), ids + query * scores.cols);
  });
}

}  // namespace refine_itr
