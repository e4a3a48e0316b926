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
      const float* source = x.data + i * size;
      float* target = out.data + i * size;
      if (by_region) {
        table.l2norm_columns(source, x.rows, x.cols, target);
      } else {
        table.l2norm_row(source, size, target);
      }
    }
  });
}

}  // namespace refine_itr
