#include "ops/linear.h"

#include "parallel.h"

namespace refine_itr {

void linear(ConstMatrix x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            Workspace& workspace, int threads) {
  const KernelTable& table = weight.table();
  WorkspaceScope scope(workspace);
  const PackedRows rows =
      take_rows(table, weight.precision(), x.rows, x.cols, table.gemm_rows, scope);
  parallel_ranges(threads_for(threads, x.rows * x.cols * kElementWork), x.rows,
                  [&](Range range) { pack_rows(x, range, rows); });
  extra.bias = weight.bias();
  gemm_parallel({rows, packed_right(weight), out, extra}, threads);
}

}  // namespace refine_itr
