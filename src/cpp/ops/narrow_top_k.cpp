#include "ops/narrow_top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "isa/dispatch.h"
#include "ops/gallery_scan.h"
#include "ops/shortlist.h"

namespace refine_itr {
namespace {

constexpr float kUnbounded = std::numeric_limits<float>::infinity();
constexpr float kFloor = 0x1p-80F;
constexpr float kLargestProduct = 0x1p120F;
// More than what rounding takes from a sum or product of bounds.
constexpr float kUp = 1.0F + 0x1p-20F;

// Room for the best k four times, so that ordering the list pays off.
std::int64_t shortlist_capacity(std::int64_t k) { return 4 * k + 256; }

struct NarrowQueries {
  WordRows codes;
  ScoreBounds* bounds;  // (q): what depends on the query, and the gallery's vectors
};

ScoreBounds bounds_of(const NarrowRow& query, float offset, const NarrowGallery& narrow) noexcept {
  const float slack = 0x1p-21F * static_cast<float>(narrow.dim() + 256);
  const bool safe = query.norm * narrow.largest_norm() < kLargestProduct;
  const float from_norm = (query.error + slack * query.norm) * kUp;
  return {query.scale,
          offset,
          safe ? from_norm : kUnbounded,
          (query.norm + query.error) * kUp,
          kFloor,
          narrow.scales(),
          narrow.sums(),
          narrow.norms(),
          narrow.errors()};
}

NarrowQueries narrow_queries(const KernelTable& table, ConstMatrix queries,
                             const NarrowGallery& narrow, WorkspaceScope& scope) {
  const bool int8 = narrow.precision() == NarrowPrecision::int8;
  const std::int64_t offset = int8 ? table.dot_offset : 0;
  const std::int64_t row_bytes = narrow.row_bytes();
  const std::int64_t words = row_bytes / 4;
  const std::int64_t stride = query_stride(words);
  auto* codes = scope.take<std::byte>(queries.rows * 4 * stride);
  auto* bounds = scope.take<ScoreBounds>(queries.rows);
  for (std::int64_t q = 0; q < queries.rows; ++q) {
    std::byte* row = codes + q * 4 * stride;
    const NarrowRow query =
        narrow_row(queries.row(q), queries.cols, narrow.precision(), table.dot_levels, row);
    for (std::int64_t i = 0; offset != 0 && i < row_bytes; ++i) {
      row[i] = static_cast<std::byte>(static_cast<std::int64_t>(row[i]) + offset);
    }
    bounds[q] = bounds_of(query, static_cast<float>(offset), narrow);
  }
  return {{reinterpret_cast<const std::int32_t*>(codes), queries.rows, words, stride}, bounds};
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

// upper: bounds of the rows of `run`.
void offer_bounds(const KernelTable& table, const ScoreBounds& bounds, RowFilter filter, Range run,
                  const float* upper, const RowScorer& score, Shortlist& list) noexcept {
  const std::int64_t n = run.size();
  for (std::int64_t i = 0;; ++i) {
    i = table.find_above(upper, i, n, list.limit());
    if (i == n) return;
    const std::int64_t id = run.begin + i;
    if (filter.allows(id)) list.offer({upper[i], lower_bound(bounds, i, upper[i]), id}, score);
  }
}

// What one thread holds of each query, one thread after the other.
Shortlist* take_lists(WorkspaceScope& scope, std::int64_t count, std::int64_t k) {
  const std::int64_t capacity = shortlist_capacity(k);
  auto* lists = scope.take<Shortlist>(count);
  auto* ranges = scope.take<ScoreRange>(count * capacity);
  auto* candidates = scope.take<Candidate>(count * k);
  for (std::int64_t i = 0; i < count; ++i) {
    lists[i] = {ranges + i * capacity, capacity, 0, -kUnbounded, {candidates + i * k, k, 0}};
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

void search_narrow_chunk(const KernelTable& table, ConstMatrix queries, ConstMatrix gallery,
                  const NarrowGallery& narrow, RowFilter filter, Matrix scores, std::int64_t* ids,
                  Workspace& workspace, int threads) {
  const std::int64_t q = queries.rows;
  const std::int64_t words = narrow.row_bytes() / 4;
  const int used = threads_for(threads, q * gallery.rows * gallery.cols);
  WorkspaceScope scope(workspace);
  const WordRows exact = word_rows(as_const(aligned_copy(queries, scope)));
  const NarrowQueries coded = narrow_queries(table, queries, narrow, scope);
  Shortlist* lists = take_lists(scope, used * q, scores.cols);
  const bool int8 = narrow.precision() == NarrowPrecision::int8;
  const WordRows codes{reinterpret_cast<const std::int32_t*>(narrow.codes()), gallery.rows, words,
                       words};
  const GalleryScan scan{int8 ? table.dot_rows_int8 : table.dot_rows_bf16, coded.codes, codes,
                         filter, false};
  float* scratch = scope.take<float>(used * scan.scratch_size());
  const auto scorer = [&](std::int64_t i) {
    return RowScorer{table, exact.row(i), word_rows(gallery)};
  };

  scan_gallery(scan, scratch, used, [&](int rank, std::int64_t query, Range run, float* x) {
    const ScoreBounds bounds = bounds_from(coded.bounds[query], run.begin);
    table.upper_bounds(bounds, x, run.size());
    offer_bounds(table, bounds, filter, run, x, scorer(query), lists[rank * q + query]);
  });
  parallel_tasks(used, q, [&](std::int64_t query, int) {
    settle_all(lists + query, q, used, scorer(query));
    lists[query].exact.write(scores.row(query), ids + query * scores.cols);
  });
}

}  // namespace

void narrow_top_k(ConstMatrix queries, ConstMatrix gallery, const NarrowGallery& narrow,
                  RowFilter filter, Matrix scores, std::int64_t* ids, Workspace& workspace,
                  int threads) {
  if (scores.cols == 0) return;
  const KernelTable& table = active_table();
  const auto list_bytes =
      shortlist_capacity(scores.cols) * static_cast<std::int64_t>(sizeof(ScoreRange));
  in_query_chunks(queries, scores, ids, list_bytes,
                  [&](ConstMatrix part, Matrix part_scores, std::int64_t* part_ids) {
                    search_narrow_chunk(table, part, gallery, narrow, filter, part_scores, part_ids,
                                 workspace, threads);
                  });
}

}  // namespace refine_itr
