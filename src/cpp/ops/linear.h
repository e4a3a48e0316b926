// out = x W^T + b [+ residual] [+ row_factor col_factor^T]
#pragma once

#include "matrix_view.h"
#include "ops/gemm.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// x (m, n_in), out (m, n_out). `extra.bias` is ignored: the weight's own bias is added. out may be
// the residual itself.
void linear(LeftRows& x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            Workspace& workspace, int threads);
void linear(ConstMatrix x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            Workspace& workspace, int threads);

}  // namespace refine_itr
