// Boxes of a detector: x1, y1, x2, y2.
#pragma once

#include <algorithm>

namespace refine_itr {

// `edge` is 0 where x2 and y2 are borders, 1 where they name the last pixel inside (as Caffe's
// detectors have it): a box from 3 to 3 is then one pixel wide.
inline float box_area(const float* b, float edge) {
  return std::max(0.0F, b[2] - b[0] + edge) * std::max(0.0F, b[3] - b[1] + edge);
}

// Intersection over union. NaN, hence above no threshold, for two boxes without area.
inline float box_iou(const float* a, const float* b, float edge) {
  const float common[4] = {std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]),
                           std::min(a[3], b[3])};
  const float shared = box_area(common, edge);
  return shared / (box_area(a, edge) + box_area(b, edge) - shared);
}

}  // namespace refine_itr
