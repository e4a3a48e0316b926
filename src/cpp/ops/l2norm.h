// x / ||x||; an all-zero vector gives zeros. VSRN divides without an epsilon, which gives NaN.
#pragma once

#include "matrix_view.h"

namespace refine_itr {

// region: each feature is one vector over the K regions (what VSRN's weights expect); feature: each
// region is one vector over its D features.
enum class NormAxis { none, region, feature };

// x and out (n, K, D); out may be x.
void l2norm(ConstBatch x, NormAxis axis, Batch out, int threads);

}  // namespace refine_itr
