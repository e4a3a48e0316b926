// The rows that can be among the best k of one query, by bounds of their scores.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "isa/table.h"
#include "ops/best_list.h"
#include "ops/gallery_scan.h"

namespace refine_itr {

// Scores one row as it is scored among others.
struct RowScorer {
  const KernelTable& table;
  const std::int32_t* query;  // floats
  WordRows gallery;

  // `next` is the row that will be asked for after this one.
  float operator()(std::int64_t row, std::int64_t next) const noexcept {
    float score;
    table.dot_rows({query, gallery.row(row), &score, 0, gallery.stride, 1, 1, 1, gallery.words,
                    gallery.row(next), 4 * gallery.words});
    return score;
  }
};

struct ScoreRange {
  float upper;
  float lower;
  std::int64_t id;
};

struct Shortlist {
  ScoreRange* items;  // (capacity)
  std::int64_t capacity;
  std::int64_t size;
  float threshold;      // k rows are known to score as much
  BestList exact;       // of rows that are scored already
  std::int64_t scored;  // how many these were

  // Rows with a higher upper bound than this must be offered: those that reach the threshold.
  float limit() const noexcept {
    return std::nextafter(threshold, -std::numeric_limits<float>::infinity());
  }

  void offer(ScoreRange range, const RowScorer& score) noexcept {
    items[size++] = range;
    if (size == capacity) make_room(score);
  }

  // Drops what cannot be among the best k.
  void tighten() noexcept {
    const std::int64_t k = exact.capacity;
    if (size >= k) {
      std::nth_element(items, items + k - 1, items + size,
                       [](const auto& a, const auto& b) { return a.lower > b.lower; });
      threshold = std::max(threshold, items[k - 1].lower);
    }
    if (exact.bounded()) threshold = std::max(threshold, exact.worst());
    const auto hopeless = [this](const ScoreRange& range) { return range.upper < threshold; };
    size = std::remove_if(items, items + size, hopeless) - items;
  }

  // Scores the items, the most promising first, into `best`, as long as they can enter.
  void settle(const RowScorer& score, BestList& best) noexcept {
    std::sort(items, items + size,
              [](const auto& a, const auto& b) { return a.upper > b.upper; });
    for (std::int64_t i = 0; i < size; ++i) {
      if (best.bounded() && items[i].upper < best.worst()) break;
      ++scored;
      best.offer({score(items[i].id, items[std::min(i + 1, size - 1)].id), items[i].id});
    }
    size = 0;
  }

 private:
  void make_room(const RowScorer& score) noexcept {
    tighten();
    if (size <= capacity / 2) return;
    settle(score, exact);  // the bounds tell too little apart
    tighten();
  }
};

}  // namespace refine_itr
