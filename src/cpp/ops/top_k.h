// Exact search by inner product.
#pragma once

#include "matrix_view.h"
#include "ops/row_filter.h"
#include "workspace.h"

namespace refine_itr {

// The k = scores.cols best of the gallery for each query, best first; equal scores by lower id, NaN
// after all numbers. queries (q, D), gallery (n, D), k <= n; scores (q, k); ids (q, k). Where the
// filter allows fewer than k rows, the rest is -inf with the id -1.
void top_k(ConstMatrix queries, ConstMatrix gallery, RowFilter filter, Matrix scores,
           std::int64_t* ids, Workspace& workspace, int threads);

}  // namespace refine_itr
