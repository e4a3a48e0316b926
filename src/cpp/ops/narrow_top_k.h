// top_k by way of a narrow gallery: the same ids and scores, bit for bit (ops/narrow_search.h).
#pragma once

#include "matrix_view.h"
#include "narrow_gallery.h"
#include "ops/row_filter.h"
#include "workspace.h"

namespace refine_itr {

// As top_k; narrow begins with gallery's rows.
void narrow_top_k(ConstMatrix queries, ConstMatrix gallery, const NarrowGallery& narrow,
                  RowFilter filter, Matrix scores, std::int64_t* ids, Workspace& workspace,
                  int threads);

}  // namespace refine_itr
