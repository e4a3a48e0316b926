#include "ops/select_regions.h"

#include <algorithm>
#include <limits>

#include "ops/boxes.h"

namespace refine_itr {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kWordBits = 64;

// One bit for each pair of boxes.
class Overlaps {
 public:
  Overlaps(ConstMatrix boxes, float threshold, float edge)
      : words_(ceil_div(boxes.rows, kWordBits)),
        bits_(static_cast<std::size_t>(boxes.rows * words_)) {
    for (std::int64_t i = 0; i < boxes.rows; ++i) {
      for (std::int64_t j = 0; j < boxes.rows; ++j) {
        if (box_iou(boxes.row(i), boxes.row(j), edge) > threshold) set(i, j);
      }
    }
  }

  std::int64_t words() const { return words_; }
  const std::uint64_t* row(std::int64_t i) const { return bits_.data() + i * words_; }

 private:
  void set(std::int64_t i, std::int64_t j) {
    bits_[static_cast<std::size_t>(i * words_ + j / kWordBits)] |= std::uint64_t{1}
                                                                   << (j % kWordBits);
  }

  std::int64_t words_;
  std::vector<std::uint64_t> bits_;
};

// One class: raises best[i] to the score of every proposal i that survives.
void suppress_class(ConstMatrix scores, std::int64_t c, float score_threshold,
                    const Overlaps& overlaps, std::vector<std::int64_t>& order,
                    std::vector<std::uint64_t>& gone, std::vector<float>& best) {
  const auto score = [&](std::int64_t i) { return scores.row(i)[c]; };
  order.clear();
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    if (score(i) >= score_threshold) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return score(a) != score(b) ? score(a) > score(b) : a < b;
  });
  std::fill(gone.begin(), gone.end(), 0);
  for (const std::int64_t i : order) {
    if ((gone[static_cast<std::size_t>(i / kWordBits)] >> (i % kWordBits)) & 1) continue;
    float& slot = best[static_cast<std::size_t>(i)];
    slot = std::max(slot, score(i));
    for (std::int64_t w = 0; w < overlaps.words(); ++w) {
      gone[static_cast<std::size_t>(w)] |= overlaps.row(i)[w];
    }
  }
}

float best_score(const float* scores, std::int64_t n) {
  float best = kNone;
  for (std::int64_t c = 0; c < n; ++c) {
    if (scores[c] > best) best = scores[c];
  }
  return best;
}

}  // namespace

std::vector<std::int64_t> select_regions(ConstMatrix boxes, ConstMatrix class_scores,
                                         const SelectionRule& rule) {
  const auto p = static_cast<std::size_t>(boxes.rows);
  const Overlaps overlaps(boxes, rule.iou_threshold, rule.edge);
  std::vector<float> surviving(p, kNone);
  std::vector<std::int64_t> order;
  std::vector<std::uint64_t> gone(static_cast<std::size_t>(overlaps.words()));
  for (std::int64_t c = 0; c < class_scores.cols; ++c) {
    suppress_class(class_scores, c, rule.score_threshold, overlaps, order, gone, surviving);
  }
  std::vector<float> any(p);
  std::vector<std::int64_t> selected(p);
  for (std::size_t i = 0; i < p; ++i) {
    selected[i] = static_cast<std::int64_t>(i);
    any[i] = best_score(class_scores.row(selected[i]), class_scores.cols);
  }
  std::sort(selected.begin(), selected.end(), [&](std::int64_t a, std::int64_t b) {
    const auto i = static_cast<std::size_t>(a);
    const auto j = static_cast<std::size_t>(b);
    if (surviving[i] != surviving[j]) return surviving[i] > surviving[j];
    return any[i] != any[j] ? any[i] > any[j] : a < b;
  });
  const auto good = std::count_if(surviving.begin(), surviving.end(),
                                  [&](float score) { return score >= rule.keep_threshold; });
  const auto wanted = std::clamp<std::int64_t>(good, rule.least, rule.most);
  selected.resize(std::min(p, static_cast<std::size_t>(wanted)));
  return selected;
}

}  // namespace refine_itr
