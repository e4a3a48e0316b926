// Non-maximum suppression of a detector's candidates: which of them become proposals.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix_view.h"

namespace refine_itr {

// Greedy non-maximum suppression, for each group (a level of a feature pyramid) by itself; then
// the k best of all that are left (torchvision.ops.batched_nms(boxes, objectness, groups)[:k]).
//   boxes (m, 4): x1, y1, x2, y2; objectness (m); groups (m)
//   NaN does not take part. Equal ones: the lower index is the better one.
//   A box goes if its intersection over union with a better one of its group is above
//   iou_threshold. edge: see boxes.h.
// Returns at most k indices, best first. It stops at the k-th: O(m log m + k m).
std::vector<std::int64_t> nms(ConstMatrix boxes, const float* objectness,
                              const std::int64_t* groups, std::int64_t k, float iou_threshold,
                              float edge);

}  // namespace refine_itr
