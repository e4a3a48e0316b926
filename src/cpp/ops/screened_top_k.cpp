#include "ops/screened_top_k.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "isa/dispatch.h"
#include "ops/narrow_search.h"
#include "ops/offer_scores.h"

namespace refine_itr {
namespace {

// Fewer rows gain less than keeping the lists takes.
constexpr std::int64_t kLeastRows = 1 << 14;
constexpr std::int64_t kLeastRowsPerHit = 512;
// Rows that are asked for before they are narrowed.
constexpr std::int64_t kRowsAhead = 4;
// To score a row by itself takes as long as screening so many.
constexpr std::int64_t kCostOfScoring = 32;

// What a thread has for itself: a chunk of the gallery, narrowed, which stays in its cache while all
// queries pass over it.
struct Chunk {
  std::byte* codes;
  float* scales;
  float* sums;
  float* norms;
  float* errors;
  float* scores;
};

NarrowPrecision screening_of(const KernelTable& table) noexcept {
  return table.screening == Precision::bf16 ? NarrowPrecision::bf16 : NarrowPrecision::int8;
}

Chunk take_chunk(const KernelTable& table, std::int64_t rows, std::int64_t row_bytes,
                 WorkspaceScope& scope) {
  const std::int64_t strip = std::max(table.code_strip, kQueryStrip);
  return {scope.take<std::byte>((rows + table.code_group - 1) * row_bytes),
          scope.take<float>(rows), scope.take<float>(rows), scope.take<float>(rows),
          scope.take<float>(rows), scope.take<float>(strip * rows)};
}

// The processor's own prefetching ends with a page of memory, which is little more than a row.
void ask_for(const float* row, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; i += kLineWords) __builtin_prefetch(row + i, 0, 2);
}

NarrowRows narrow_chunk(const NarrowSearch& search, Range rows, const Chunk& chunk) noexcept {
  const std::int64_t dim = search.gallery.cols;
  const NarrowPrecision precision = screening_of(search.table);
  const std::int64_t row_bytes = narrow_row_bytes(dim, precision);
  float largest = 0.0F;
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    ask_for(search.gallery.row(rows.begin + i) + kRowsAhead * search.gallery.stride, dim);
    const NarrowRow row = narrow_row(search.table, search.gallery.row(rows.begin + i), dim,
                                     precision, kGalleryLevels, chunk.codes + i * row_bytes);
    chunk.scales[i] = row.scale;
    chunk.sums[i] = row.sum;
    chunk.norms[i] = row.norm;
    chunk.errors[i] = row.error;
    if (std::isfinite(row.norm)) largest = std::max(largest, row.norm);
  }
  return {precision,    rows.size(), dim,         row_bytes,    chunk.codes,
          chunk.scales, chunk.sums,  chunk.norms, chunk.errors, largest};
}

// Whether the bounds of the `seen` rows that this thread screened told enough apart to go on.
bool still_pays(const NarrowSearch& search, int rank, std::int64_t seen) noexcept {
  const std::int64_t q = search.queries();
  const Shortlist* lists = search.lists + rank * q;
  std::int64_t scored = 0;
  for (std::int64_t i = 0; i < q; ++i) scored += lists[i].scored;
  return scored <= q * (2 * lists[0].capacity + seen / kCostOfScoring);
}

void screen_rows(const NarrowSearch& search, Range rows, const Chunk& chunk, int rank) noexcept {
  const NarrowRows narrow = narrow_chunk(search, rows, chunk);
  scan_run(narrow_scan(search, narrow, {nullptr}), {0, rows.size()}, {0, 0}, chunk.scores, rank,
           [&](int, std::int64_t query, Range run, float* x) {
             offer_run(search, narrow, {nullptr}, rows.begin, rank, query, run, x);
           });
}

void score_rows(const NarrowSearch& search, Range rows, const Chunk& chunk, int rank) noexcept {
  const GalleryScan scan{search.table, Precision::fp32,           kQueryStrip, search.exact,
                         word_rows(search.gallery), {nullptr}, false};
  scan_run(scan, rows, {0, 0}, chunk.scores, rank,
           [&](int, std::int64_t query, Range run, const float* x) {
             offer_scores(search.table, search.lists[rank * search.queries() + query].exact,
                          {nullptr}, run, 0, x);
           });
}

void screen(const NarrowSearch& search, WorkspaceScope& scope) {
  const std::int64_t row_bytes = narrow_row_bytes(search.gallery.cols, screening_of(search.table));
  const std::int64_t most = 4 * chunk_rows(row_bytes / 4);
  Chunk* chunks = scope.take<Chunk>(search.threads);
  for (int i = 0; i < search.threads; ++i) {
    chunks[i] = take_chunk(search.table, most, row_bytes, scope);
  }
  std::atomic<std::int64_t> next{0};
  parallel_team(search.threads, [&](Team team) {
    const KernelScope kernels(search.table, search.precision);
    bool pays = true;
    std::int64_t seen = 0;
    for (std::int64_t first; (first = most * next++) < search.gallery.rows;) {
      const Range rows{first, std::min(first + most, search.gallery.rows)};
      pays = pays && still_pays(search, team.rank, seen);
      if (pays) {
        screen_rows(search, rows, chunks[team.rank], team.rank);
        seen += rows.size();
      } else {
        score_rows(search, rows, chunks[team.rank], team.rank);
      }
    }
  });
}

}  // namespace

bool screening_pays(const KernelTable& table, std::int64_t queries, ConstMatrix gallery,
                    RowFilter filter, std::int64_t k) noexcept {
  return table.screening != Precision::fp32 && filter.bits == nullptr &&
         queries >= table.screened_queries &&
         gallery.cols <= kMostNarrowFeatures &&
         gallery.rows >= std::max(kLeastRows, k * kLeastRowsPerHit);
}

void screened_top_k(ConstMatrix queries, ConstMatrix gallery, Matrix scores, std::int64_t* ids,
                    Workspace& workspace, int threads) {
  const KernelTable& table = active_table();
  in_query_chunks(queries, scores, ids, shortlist_bytes(scores.cols),
                  [&](ConstMatrix part, Matrix part_scores, std::int64_t* part_ids) {
                    WorkspaceScope scope(workspace);
                    const NarrowSearch search =
                        start_search(table, part, gallery, screening_of(table),
                                     scores.cols, scope, threads);
                    screen(search, scope);
                    finish_search(search, part_scores, part_ids);
                  });
}

}  // namespace refine_itr
