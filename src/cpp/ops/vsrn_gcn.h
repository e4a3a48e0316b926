// One graph layer of VSRN over a batch:
//   R = theta(V) phi(V)^T scale;  out = r(R g(V)) + V,  theta(x) = x W_theta^T + b_theta, ...
// scale is 1/K or 1; r carries the BatchNorm.
#pragma once

#include "matrix_view.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// regions and out (b, K, D), disjoint.
void vsrn_gcn(ConstBatch regions, const PackedMatrix& theta, const PackedMatrix& phi,
              const PackedMatrix& g, const PackedMatrix& r, float scale, Batch out,
              Workspace& workspace, int threads);

// theta and phi folded into V M V^T, with m the packed M^T (so that linear(V, m) = V M):
//   R = (V M V^T + (V u) 1^T + 1 (V w)^T + c) scale
//   M = W_theta^T W_phi, u = W_theta^T b_phi, w = W_phi^T b_theta, c = b_theta . b_phi
struct FoldedRelation {
  const PackedMatrix& m;
  const float* u;  // (D)
  const float* w;  // (D)
  float c;
  float scale;
};

// out = (R V) F^T + (R 1) f_bias^T + o_bias + V, as light_gcn_folded.
void vsrn_gcn_folded(ConstBatch regions, const FoldedRelation& relation, const PackedMatrix& f,
                     const float* f_bias, Batch out, Workspace& workspace, int threads);

}  // namespace refine_itr
