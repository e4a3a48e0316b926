#include "ops/narrow_top_k.h"

#include "isa/dispatch.h"
#include "ops/narrow_search.h"
#include "ops/screened_top_k.h"

namespace refine_itr {
namespace {

// Where arithmetic, not memory, is the limit, 8 bits are twice as fast as bfloat16, or more.
bool gains_from_screening(const KernelTable& table, NarrowPrecision precision) noexcept {
  return precision == NarrowPrecision::bf16 && table.screening == Precision::int8;
}

}  // namespace

void narrow_top_k(ConstMatrix queries, ConstMatrix gallery, const NarrowGallery& narrow,
                  RowFilter filter, Matrix scores, std::int64_t* ids, Workspace& workspace,
                  int threads) {
  if (scores.cols == 0) return;
  const KernelTable& table = narrow.table();
  NarrowRows rows = narrow.rows();
  rows.n = gallery.rows;
  if (gains_from_screening(table, rows.precision) &&
      screening_pays(table, queries.rows, gallery, filter, scores.cols)) {
    screened_top_k(queries, gallery, scores, ids, workspace, threads);
    return;
  }
  in_query_chunks(queries, scores, ids, shortlist_bytes(scores.cols),
                  [&](ConstMatrix part, Matrix part_scores, std::int64_t* part_ids) {
                    WorkspaceScope scope(workspace);
                    const NarrowSearch search = start_search(table, part, gallery, rows.precision,
                                                             scores.cols, scope, threads);
                    const GalleryScan scan = narrow_scan(search, rows, filter);
                    float* scratch = scope.take<float>(
                        search.threads * scan_scratch(scan.strip, scan.gallery.words));
                    scan_gallery(scan, scratch, search.threads,
                                 [&](int rank, std::int64_t query, Range run, float* x) {
                                   offer_run(search, rows, filter, 0, rank, query, run, x);
                                 });
                    finish_search(search, part_scores, part_ids);
                  });
}

}  // namespace refine_itr
