#include "ops/screened_top_k.h"

#include <algorithm>
#include <cmath>

#include "isa/dispatch.h"
#include "ops/narrow_search.h"
#include "ops/offer_scores.h"

namespace refine_itr {
namespace {

// Fewer queries gain less than narrowing takes, fewer rows less than keeping the lists.
constexpr std::int64_t kLeastQueries = 128;
constexpr std::int64_t kLeastRows = 1 << 14;
constexpr std::int64_t kLeastRowsPerHit = 512;
// Codes of one part: they stay in the third-level cache.
constexpr std::int64_t kPartBytes = 4 << 20;
// To score a row by itself takes as long as screening so many.
constexpr std::int64_t kCostOfScoring = 32;

struct Part {
  std::byte* codes;
  float* scales;
  float* sums;
  float* norms;
  float* errors;
};

Part take_part(std::int64_t rows, std::int64_t row_bytes, WorkspaceScope& scope) {
  return {scope.take<std::byte>(rows * row_bytes), scope.take<float>(rows),
          scope.take<float>(rows), scope.take<float>(rows), scope.take<float>(rows)};
}

NarrowRows narrow_part(const NarrowSearch& search, Range rows, const Part& part) noexcept {
  const std::int64_t dim = search.gallery.cols;
  const std::int64_t row_bytes = narrow_row_bytes(dim, NarrowPrecision::int8);
  parallel_ranges(search.threads, rows.size(), [&](Range range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const NarrowRow row =
          narrow_row(search.table, search.gallery.row(rows.begin + i), dim, NarrowPrecision::int8,
                     kGalleryLevels, part.codes + i * row_bytes);
      part.scales[i] = row.scale;
      part.sums[i] = row.sum;
      part.norms[i] = row.norm;
      part.errors[i] = row.error;
    }
  });
  float largest = 0.0F;
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(part.norms[i])) largest = std::max(largest, part.norms[i]);
  }
  return {NarrowPrecision::int8, rows.size(), dim,        row_bytes,   part.codes,
          part.scales,           part.sums,   part.norms, part.errors, largest};
}

// Whether the bounds of `seen` rows told enough apart to go on.
bool still_pays(const NarrowSearch& search, std::int64_t seen) noexcept {
  const std::int64_t q = search.queries();
  std::int64_t scored = 0;
  for (std::int64_t i = 0; i < search.threads * q; ++i) scored += search.lists[i].scored;
  const std::int64_t usual = search.threads * 2 * search.lists[0].capacity;
  return scored <= q * (usual + seen / kCostOfScoring);
}

// All rows from `first` on in float32.
void scan_exactly(const NarrowSearch& search, std::int64_t first, WorkspaceScope& scope) {
  const ConstMatrix& g = search.gallery;
  const ConstMatrix rest{g.row(first), g.rows - first, g.cols, g.stride};
  const GalleryScan scan{search.table.dot_rows, search.exact, word_rows(rest), {nullptr}, false};
  float* scratch = scope.take<float>(search.threads * scan_scratch(g.cols));
  scan_gallery(scan, scratch, search.threads,
               [&](int rank, std::int64_t query, Range run, const float* x) {
                 offer_scores(search.table, search.lists[rank * search.queries() + query].exact,
                              {nullptr}, run, first, x);
               });
}

void screen(const NarrowSearch& search, WorkspaceScope& scope) {
  const std::int64_t row_bytes = narrow_row_bytes(search.gallery.cols, NarrowPrecision::int8);
  const std::int64_t most = ceil_div(kPartBytes / row_bytes + 1, kRowTile) * kRowTile;
  const Part part = take_part(most, row_bytes, scope);
  std::int64_t first = 0;
  while (first < search.gallery.rows && still_pays(search, first)) {
    const Range rows{first, std::min(first + most, search.gallery.rows)};
    scan_narrow(search, narrow_part(search, rows, part), first, {nullptr});
    first = rows.end;
  }
  if (first < search.gallery.rows) scan_exactly(search, first, scope);
}

}  // namespace

bool screening_pays(const KernelTable& table, std::int64_t queries, ConstMatrix gallery,
                    RowFilter filter, std::int64_t k) noexcept {
  return table.int8_is_fast && filter.bits == nullptr && queries >= kLeastQueries &&
         gallery.cols <= kMostNarrowFeatures &&
         gallery.rows >= std::max(kLeastRows, k * kLeastRowsPerHit);
}

void screened_top_k(ConstMatrix queries, ConstMatrix gallery, Matrix scores, std::int64_t* ids,
                    Workspace& workspace, int threads) {
  in_query_chunks(queries, scores, ids, shortlist_bytes(scores.cols),
                  [&](ConstMatrix part, Matrix part_scores, std::int64_t* part_ids) {
                    WorkspaceScope scope(workspace);
                    const NarrowSearch search =
                        start_search(active_table(), part, gallery, NarrowPrecision::int8,
                                     scores.cols, scope, threads);
                    screen(search, scope);
                    finish_search(search, part_scores, part_ids);
                  });
}

}  // namespace refine_itr
