#include "ops/l2norm.h"

#include "isa/dispatch.h"
#include "parallel.h"

namespace refine_itr {
void l2norm(ConstBatch x, NormAxis axis, Batch out, int threads) {
  const KernelTable& table = active_table();
  const bool by_region = axis == NormAxis::region;
  const std::int64_t vectors = by_region ? x.batch : x.batch * x.rows;
  const std::int64_t size = by_region ? x.rows * x.cols : x.cols;
  if (axis == NormAxis::none || size == 0) return;
  const int used = threads_for(threads, vectors * size * kElementWork);
  parallel_ranges(used, vectors, [&](Range range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      if (by_region) {
        table.l2norm_columns(x.matrix(i).data, x.rows, x.cols, x.stride, out.matrix(i).data,
                             out.stride);
      } else {
        table.l2norm_row(x.flat().row(i), size, out.flat().row(i));
      }
    }
  });
}

}  // namespace refine_itr
