// Which proposals of a detector become the regions of an image.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix_view.h"

namespace refine_itr {

// Non-maximum suppression on the proposal boxes, for each class by itself; then the k proposals
// with the best surviving class score, in that order. If fewer survive, the rest follow by their
// best score in any class; equal ones by lower index. (As bottom-up attention, with a fixed K.)
//   boxes (p, 4): x1, y1, x2, y2; class_scores (p, c)
//   Of a class, scores below score_threshold, and NaN, do not take part.
//   A box goes if its intersection over union with a better one is above iou_threshold.
// Returns min(k, p) indices.
std::vector<std::int64_t> select_regions(ConstMatrix boxes, ConstMatrix class_scores,
                                         std::int64_t k, float iou_threshold,
                                         float score_threshold);

}  // namespace refine_itr
