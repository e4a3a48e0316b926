#include "ops/linear.h"

namespace refine_itr {

void linear(LeftRows& x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            Workspace& workspace, int threads) {
  extra.bias = weight.bias();
  gemm_parallel(weight.table(), weight.precision(), x, packed_right(weight), out, extra, workspace,
                threads);
}

void linear(ConstMatrix x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            Workspace& workspace, int threads) {
  PlainRows rows(x);
  linear(rows, weight, extra, out, workspace, threads);
}

}  // namespace refine_itr
