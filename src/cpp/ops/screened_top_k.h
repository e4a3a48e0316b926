// top_k for many queries: the gallery is narrowed to 8 bits part by part, just for them, and what
// these cannot rule out is scored in float32. The same ids and scores, bit for bit
// (ops/narrow_search.h).
#pragma once

#include "isa/table.h"
#include "matrix_view.h"
#include "ops/row_filter.h"
#include "workspace.h"

namespace refine_itr {

// Whether narrowing pays for so many queries.
bool screening_pays(const KernelTable& table, std::int64_t queries, ConstMatrix gallery,
                    RowFilter filter, std::int64_t k) noexcept;

// As top_k, without a filter. Where narrow numbers tell too few rows apart, the rest of the gallery is
// scored in float32.
void screened_top_k(ConstMatrix queries, ConstMatrix gallery, Matrix scores, std::int64_t* ids,
                    Workspace& workspace, int threads);

}  // namespace refine_itr
