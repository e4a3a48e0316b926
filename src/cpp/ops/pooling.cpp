#include "ops/pooling.h"

#include "isa/dispatch.h"
#include "parallel.h"

namespace refine_itr {
namespace {

int pooling_threads(ConstBatch regions, int threads) noexcept {
  return threads_for(threads, regions.batch * regions.rows * regions.cols * kElementWork);
}

// pool(i, list) for each image, with memory for a list of `length` vectors.
template <class Pool>
void pool_with_list(ConstBatch regions, std::int64_t length, Workspace& workspace, int threads,
                    const Pool& pool) {
  const int used = pooling_threads(regions, threads);
  WorkspaceScope scope(workspace);
  float* lists = scope.take<float>(used * length * kMaxWidth);
  parallel_tasks(used, regions.batch, [&](std::int64_t i, int rank) {
    pool(i, lists + rank * length * kMaxWidth);
  });
}

}  // namespace

void mean_regions(ConstBatch regions, Matrix out, int threads) {
  const KernelTable& table = active_table();
  parallel_ranges(pooling_threads(regions, threads), regions.batch, [&](Range images) {
    for (std::int64_t i = images.begin; i < images.end; ++i) {
      table.mean_rows(regions.matrix(i).data, regions.rows, regions.cols, regions.stride,
                      out.row(i));
    }
  });
}

void top_mean_regions(ConstBatch regions, std::int64_t top, Matrix out, Workspace& workspace,
                      int threads) {
  const KernelTable& table = active_table();
  pool_with_list(regions, top, workspace, threads, [&](std::int64_t i, float* list) {
    table.top_mean_rows(regions.matrix(i).data, regions.rows, regions.cols, regions.stride, top,
                        list, out.row(i));
  });
}

void gpo_regions(ConstBatch regions, const float* coefficients, Matrix out, Workspace& workspace,
                 int threads) {
  const KernelTable& table = active_table();
  pool_with_list(regions, regions.rows, workspace, threads, [&](std::int64_t i, float* list) {
    table.gpo_rows(regions.matrix(i).data, regions.rows, regions.cols, regions.stride,
                   coefficients, list, out.row(i));
  });
}

}  // namespace refine_itr
