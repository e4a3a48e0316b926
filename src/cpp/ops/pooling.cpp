#include "ops/pooling.h"

#include "isa/dispatch.h"
#include "parallel.h"

namespace refine_itr {
namespace {

int pooling_threads(ConstBatch regions, int threads) noexcept {
  return threads_for(threads, regions.batch * regions.rows * regions.cols * kElementWork);
}

}  // namespace

void mean_regions(ConstBatch regions, Matrix out, int threads) {
  const KernelTable& table = active_table();
  parallel_ranges(pooling_threads(regions, threads), regions.batch, [&](Range images) {
    for (std::int64_t i = images.begin; i < images.end; ++i) {
      table.mean_rows(regions.matrix(i).data, regions.rows, regions.cols, out.row(i));
    }
  });
}

void top_mean_regions(ConstBatch regions, std::int64_t top, Matrix out, Workspace& workspace,
                      int threads) {
  const KernelTable& table = active_table();
  const int used = pooling_threads(regions, threads);
  WorkspaceScope scope(workspace);
  float* scratch = scope.take<float>(used * top * kMaxWidth);
  parallel_tasks(used, regions.batch, [&](std::int64_t i, int rank) {
    table.top_mean_rows(regions.matrix(i).data, regions.rows, regions.cols, top,
                        scratch + rank * top * kMaxWidth, out.row(i));
  });
}

}  // namespace refine_itr
