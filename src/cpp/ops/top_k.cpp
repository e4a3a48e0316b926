#include "ops/top_k.h"

#include <algorithm>

#include "isa/dispatch.h"
#include "ops/best_list.h"
#include "ops/cache.h"
#include "ops/gallery_scan.h"
#include "ops/offer_scores.h"
#include "ops/screened_top_k.h"

namespace refine_itr {
namespace {

void search_chunk(const KernelTable& table, ConstMatrix queries, ConstMatrix gallery,
                  RowFilter filter, Matrix scores, std::int64_t* ids, Workspace& workspace,
                  int threads) {
  const std::int64_t q = queries.rows;
  const std::int64_t k = scores.cols;
  const int used = threads_for(threads, q * gallery.rows * gallery.cols);
  WorkspaceScope scope(workspace);
  BestList* lists = scope.take<BestList>(used * q);
  Candidate* candidates = scope.take<Candidate>(used * q * k);
  for (std::int64_t i = 0; i < used * q; ++i) lists[i] = {candidates + i * k, k, 0};
  const WordRows aligned = word_rows(as_const(aligned_copy(queries, scope)));
  const bool near = q == 1 && gallery.rows * gallery.cols <= kNearWords;
  const GalleryScan scan{table,   Precision::fp32,    kQueryStrip,
                         aligned, word_rows(gallery), filter,      near};
  float* scratch = scope.take<float>(used * scan_scratch(kQueryStrip, gallery.cols));

  scan_gallery(scan, scratch, used, [&](int rank, std::int64_t query, Range run, const float* x) {
    offer_scores(table, lists[rank * q + query], filter, run, 0, x);
  });
  for (std::int64_t i = 0; i < q; ++i) {
    for (int rank = 1; rank < used; ++rank) lists[i].offer(lists[rank * q + i]);
    lists[i].write(scores.row(i), ids + i * k);
  }
}

}  // namespace

void top_k(ConstMatrix queries, ConstMatrix gallery, RowFilter filter, Matrix scores,
           std::int64_t* ids, Workspace& workspace, int threads) {
  if (scores.cols == 0) return;
  const KernelTable& table = active_table();
  if (screening_pays(table, queries.rows, gallery, filter, scores.cols)) {
    screened_top_k(queries, gallery, scores, ids, workspace, threads);
    return;
  }
  const auto list_bytes = scores.cols * static_cast<std::int64_t>(sizeof(Candidate));
  in_query_chunks(queries, scores, ids, list_bytes,
                  [&](ConstMatrix part, Matrix part_scores, std::int64_t* part_ids) {
                    search_chunk(table, part, gallery, filter, part_scores, part_ids, workspace,
                                 threads);
                  });
}

}  // namespace refine_itr
