// Which proposals of a detector become the regions of an image.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix_view.h"

namespace refine_itr {

struct SelectionRule {
  std::int64_t least;     // regions of an image, 0 <= least <= most
  std::int64_t most;
  float iou_threshold;    // a box goes if it overlaps a better one of the class by more
  float score_threshold;  // lower scores, and NaN, take no part in the suppression
  float keep_threshold;   // beyond `least`, a region needs a surviving score of this
  float edge;             // see boxes.h
};

// Non-maximum suppression on the proposal boxes, for each class by itself; then the proposals
// with the best surviving class score, in that order, between `least` and `most` of them. Where
// fewer survive than are wanted, the rest follow by their best score in any class; equal ones by
// lower index. (As bottom-up attention; least = most for a fixed K.)
//   boxes (p, 4): x1, y1, x2, y2; class_scores (p, c)
// Returns min(p, as many as the rule wants) indices.
std::vector<std::int64_t> select_regions(ConstMatrix boxes, ConstMatrix class_scores,
                                         const SelectionRule& rule);

}  // namespace refine_itr
