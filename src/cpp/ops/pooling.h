// Pooling over the regions of an image.
#pragma once

#include "matrix_view.h"
#include "workspace.h"

namespace refine_itr {

// out (b, D) = the mean over the regions (b, K, D), K >= 1.
void mean_regions(ConstBatch regions, Matrix out, int threads);

// Per feature the mean of its `top` (1 .. K) largest values.
void top_mean_regions(ConstBatch regions, std::int64_t top, Matrix out, Workspace& workspace,
                      int threads);

// Generalised pooling (GPO, Chen et al., CVPR 2021): per feature the sum over i of coefficients[i]
// (K) times the i-th largest value.
void gpo_regions(ConstBatch regions, const float* coefficients, Matrix out, Workspace& workspace,
                 int threads);

}  // namespace refine_itr
