// The search behind ops/narrow_top_k.h and ops/screened_top_k.h.
//
// A query q and a row g became q' = s c and g' = t d, with errors q - q' and g - g'. By
// Cauchy-Schwarz
//
//   q g - q' g' = (q - q') g + q' (g - g'),    so
//   |q g - q' g'| <= ||q - q'|| ||g|| + (||q|| + ||q - q'||) ||g - g'||.
//
// What is compared is not q g but what dot_rows makes of it, and not q' g' but what dot_rows_bf16
// or dot_rows_int8 make of it. With u = 2^-24 and D features the former differs by at most
// 1.01 (D + 8) u ||q|| ||g||. Of the latter, bfloat16 sums D products of codes with up to two
// roundings each (2.1 (D + 8) u); the int8 sum is exact in each lane, and adding lanes and taking
// the offset off rounds numbers that are at most 255 sum |d| <= 2.1 ||c|| sqrt(D) ||d|| (a query's
// largest code is 127; where it is 63, 127 stands for 255), with ||q'|| ||g'|| <= 4 ||q|| ||g||:
// less than (70 sqrt(D) + 70) u. Scaling and adding up the bound take less than 64 u. All this
// together is below
//
//   slack ||q|| ||g||,   slack = (D + 256) 2^-21 = 8 (D + 256) u.
//
// kFloor is more than what underflow can take, also when the processor takes denormal numbers for
// zero. A query whose products could overflow gets an infinite bound, and so does a row or query
// that is not finite: such pairs are always scored in float32.
//
// So: score <= upper = approximation + bound and score >= lower = approximation - bound. When k
// rows have a lower bound of t, a row with upper < t is none of the best k. The other rows are
// scored in float32 by dot_rows, the highest upper bounds first, until the next upper bound is
// below the worst of k scores.
#pragma once

#include "isa/table.h"
#include "matrix_view.h"
#include "narrow_gallery.h"
#include "ops/gallery_scan.h"
#include "ops/row_filter.h"
#include "ops/shortlist.h"
#include "workspace.h"

namespace refine_itr {

// What becomes of a query.
struct NarrowQueries {
  WordRows codes;
  const NarrowRow* rows;  // (q)
  std::int64_t offset;    // that their codes carry
};

// A search for some queries, while parts of the gallery pass by.
struct NarrowSearch {
  const KernelTable& table;
  Precision precision;
  ConstMatrix gallery;
  WordRows exact;        // the queries
  NarrowQueries coded;   // as well
  Shortlist* lists;      // (threads, q)
  int threads;

  std::int64_t queries() const { return exact.rows; }
  RowScorer scorer(std::int64_t query) const {
    return {table, exact.row(query), word_rows(gallery)};
  }
};

// What a thread holds of a query.
std::int64_t shortlist_bytes(std::int64_t k) noexcept;

NarrowSearch start_search(const KernelTable& table, ConstMatrix queries, ConstMatrix gallery,
                          NarrowPrecision precision, std::int64_t k, WorkspaceScope& scope,
                          int threads);

// A scan of `rows`, and what it offers: ids are `first` higher.
GalleryScan narrow_scan(const NarrowSearch& search, const NarrowRows& rows, RowFilter filter);
void offer_run(const NarrowSearch& search, const NarrowRows& rows, RowFilter filter,
               std::int64_t first, int rank, std::int64_t query, Range run, float* x) noexcept;

// The best of all that was scanned: scores (q, k), ids (q, k).
void finish_search(const NarrowSearch& search, Matrix scores, std::int64_t* ids) noexcept;

}  // namespace refine_itr
