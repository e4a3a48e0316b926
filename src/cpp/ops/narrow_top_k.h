// top_k by way of a narrow gallery: the same ids and scores, bit for bit.
//
// A query q and a row g became q' = s c and g' = t d, with errors q - q' and g - g'. By
// Cauchy-Schwarz
//
//   q g - q' g' = (q - q') g + q' (g - g'),    so
//   |q g - q' g'| <= ||q - q'|| ||g|| + (||q|| + ||q - q'||) ||g - g'||.
//
// What is compared is not q g but what dot_rows makes of it, and not q' g' but what dot_rows_bf16
// or dot_rows_int8 make of it. With u = 2^-24 and D features the former differs by at most
// 1.01 (D + 8) u ||q|| ||g||. Of the latter, bfloat16 sums D products of codes with up to two
// roundings each (2.1 (D + 8) u); the int8 sum is exact in each lane, and adding lanes and taking
// the offset off rounds numbers that are at most 255 sum |d| <= 2.1 ||c|| sqrt(D) ||d|| (a query's
// largest code is 127; where it is 63, 127 stands for 255), with ||q'|| ||g'|| <= 4 ||q|| ||g||:
// less than (70 sqrt(D) + 70) u. Scaling and adding up the bound take less than 64 u. All this
// together is below
//
//   slack ||q|| ||g||,   slack = (D + 256) 2^-21 = 8 (D + 256) u.
//
// kFloor is more than what underflow can take, also when the processor takes denormal numbers for
// zero. A query whose products could overflow gets an infinite bound, and so does a row or query
// that is not finite: such pairs are always scored in float32.
//
// So: score <= upper = approximation + bound and score >= lower = approximation - bound. When k
// rows have a lower bound of t, a row with upper < t is none of the best k. The other rows are
// scored in float32 by dot_rows, the highest upper bounds first, until the next upper bound is
// below the worst of k scores.
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
