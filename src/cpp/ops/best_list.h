// The best k of what is offered.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "matrix_view.h"

namespace refine_itr {

struct Candidate {
  float score;
  std::int64_t id;
};

// A strict order of all: descending score, equal ones by lower id, NaN after all numbers.
inline bool better(const Candidate& a, const Candidate& b) noexcept {
  const bool a_nan = std::isnan(a.score);
  const bool b_nan = std::isnan(b.score);
  if (a_nan != b_nan) return b_nan;
  if (!a_nan && a.score != b.score) return a.score > b.score;
  return a.id < b.id;
}

// A heap with the worst on top.
struct BestList {
  Candidate* items;  // (capacity)
  std::int64_t capacity;
  std::int64_t size;

  // Whether a score must reach worst() to enter.
  bool bounded() const noexcept { return size == capacity && !std::isnan(items[0].score); }
  float worst() const noexcept { return items[0].score; }

  void offer(Candidate c) noexcept {
    if (size < capacity) {
      items[size++] = c;
      std::push_heap(items, items + size, better);
    } else if (better(c, items[0])) {
      std::pop_heap(items, items + size, better);
      items[size - 1] = c;
      std::push_heap(items, items + size, better);
    }
  }

  void offer(const BestList& other) noexcept {
    for (std::int64_t i = 0; i < other.size; ++i) offer(other.items[i]);
  }

  // Best first; where there are fewer than k, -inf and the id -1. scores (k), ids (k).
  void write(float* scores, std::int64_t* ids) noexcept {
    using Float = std::numeric_limits<float>;
    std::sort_heap(items, items + size, better);
    for (std::int64_t i = 0; i < capacity; ++i) {
      scores[i] = i < size ? items[i].score : -Float::infinity();
      ids[i] = i < size ? items[i].id : -1;
      // Which NaN a sum gives depends on the order of its terms.
      if (std::isnan(scores[i])) scores[i] = Float::quiet_NaN();
    }
  }
};

}  // namespace refine_itr
