// One Light-GCN layer over a batch (Refine-ITR, equation 3):
//   A = sigma (V V^T);  out = r(A g(V)) + V,  g(x) = x W_g^T + b_g,  r likewise
// sigma carries the 1/K if the model has it, r the BatchNorm.
#pragma once

#include "matrix_view.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// regions and out (b, K, D), disjoint; sigma (K, K).
void light_gcn(ConstBatch regions, const float* sigma, const PackedMatrix& g,
               const PackedMatrix& r, Batch out, Workspace& workspace, int threads);

// The same with g and r folded into F = W_r W_g:
//   out = (A V) F^T + (A 1) f_bias^T + o_bias + V,  f_bias = W_r b_g, o_bias = b_r is the bias of f
void light_gcn_folded(ConstBatch regions, const float* sigma, const PackedMatrix& f,
                      const float* f_bias, Batch out, Workspace& workspace, int threads);

}  // namespace refine_itr
