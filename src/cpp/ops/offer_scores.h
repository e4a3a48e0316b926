// From the scores of a run of rows to the best of a query.
#pragma once

#include "isa/table.h"
#include "ops/best_list.h"
#include "ops/row_filter.h"

namespace refine_itr {

// scores of the rows of `run`, whose ids are `first` higher: ids only ever rise within a list, so an
// equal score never enters.
inline void offer_scores(const KernelTable& table, BestList& list, RowFilter filter, Range run,
                         std::int64_t first, const float* scores) noexcept {
  const std::int64_t n = run.size();
  std::int64_t i = 0;
  while (i < n) {
    if (list.bounded()) i = table.find_above(scores, i, n, list.worst());
    if (i == n) return;
    if (filter.allows(run.begin + i)) list.offer({scores[i], first + run.begin + i});
    ++i;
  }
}

}  // namespace refine_itr
