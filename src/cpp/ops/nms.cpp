#include "ops/nms.h"

#include <algorithm>
#include <cmath>

#include "ops/boxes.h"

namespace refine_itr {

std::vector<std::int64_t> nms(ConstMatrix boxes, const float* objectness,
                              const std::int64_t* groups, std::int64_t k, float iou_threshold,
                              float edge) {
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < boxes.rows; ++i) {
    if (!std::isnan(objectness[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return objectness[a] != objectness[b] ? objectness[a] > objectness[b] : a < b;
  });
  std::vector<std::int64_t> kept;
  for (const std::int64_t i : order) {
    if (static_cast<std::int64_t>(kept.size()) >= k) break;
    const bool gone = std::any_of(kept.begin(), kept.end(), [&](std::int64_t j) {
      return groups[i] == groups[j] && box_iou(boxes.row(i), boxes.row(j), edge) > iou_threshold;
    });
    if (!gone) kept.push_back(i);
  }
  return kept;
}

}  // namespace refine_itr
