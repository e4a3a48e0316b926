// One pass over a gallery: every row is read once, scored against all queries while it is in the
// cache, and its scores are looked at before the next rows overwrite them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "isa/table.h"
#include "matrix_view.h"
#include "ops/cache.h"
#include "ops/kernel_scope.h"
#include "ops/row_filter.h"
#include "parallel.h"
#include "workspace.h"

namespace refine_itr {

// Queries scored at once in float32: whole tiles of all kernels. KernelTable::code_strip in narrow
// numbers.
constexpr std::int64_t kQueryStrip = 12;
// Rows of the gallery likewise, those that a single query meets at once included.
constexpr std::int64_t kRowTile = 24;
// The next part is fetched during so many strips of queries; later ones would fetch too little at
// a time.
constexpr std::int64_t kAheadStrips = 4;

// Queries, and bytes of what one thread holds of them, that are searched for at once: they bound the
// workspace.
constexpr std::int64_t kQueryChunk = 1024;
constexpr std::int64_t kListBytes = 32 << 20;

// search(queries, scores, ids) for equal parts of them; `list_bytes` is what a query takes.
template <class Search>
void in_query_chunks(ConstMatrix queries, Matrix scores, std::int64_t* ids,
                     std::int64_t list_bytes, const Search& search) {
  const std::int64_t chunk = std::clamp<std::int64_t>(kListBytes / list_bytes, 1, kQueryChunk);
  const std::int64_t parts = ceil_div(queries.rows, chunk);
  for (std::int64_t i = 0; i < parts; ++i) {
    const Range part = split_range(queries.rows, parts, i);
    search(ConstMatrix{queries.row(part.begin), part.size(), queries.cols, queries.stride},
           Matrix{scores.row(part.begin), part.size(), scores.cols, scores.stride},
           ids + part.begin * scores.cols);
  }
}

// Rows of 32-bit words: floats, pairs of bfloat16, or fours of 8-bit integers.
struct WordRows {
  const std::int32_t* data;
  std::int64_t rows;
  std::int64_t words;
  std::int64_t stride;

  const std::int32_t* row(std::int64_t i) const { return data + i * stride; }
};

inline WordRows word_rows(ConstMatrix m) {
  return {reinterpret_cast<const std::int32_t*>(m.data), m.rows, m.cols, m.stride};
}

// A chunk of the gallery stays in the second-level cache while all queries pass over it, with the
// next one on its way.
inline std::int64_t chunk_rows(std::int64_t row_words) noexcept {
  const std::int64_t rows = cached_words() / 4 / std::max<std::int64_t>(row_words, 1);
  return std::clamp<std::int64_t>(rows / kRowTile * kRowTile, kRowTile, 42 * kRowTile);
}

// Floats that each thread needs for a scan.
inline std::int64_t scan_scratch(std::int64_t strip, std::int64_t row_words) noexcept {
  return strip * chunk_rows(row_words);
}

struct GalleryScan {
  const KernelTable& table;
  Precision precision;
  std::int64_t strip;  // queries scored at once
  WordRows queries;
  WordRows gallery;
  RowFilter filter;
  bool near;  // the gallery comes fast enough without being asked for ahead
};

using DotKernel = void (*)(const DotRows& rows) noexcept;

// The kernel that scores rows of a precision.
inline DotKernel dot_kernel(const KernelTable& table, Precision precision) noexcept {
  switch (precision) {
    case Precision::fp32: return table.dot_rows;
    case Precision::bf16: return table.dot_rows_bf16;
    default: return table.dot_rows_int8;
  }
}

namespace detail {

// Part `strip` of the memory of the chunk that comes next, for the kernel to fetch.
inline Range ahead_part(Range bytes, std::int64_t strips, std::int64_t strip) {
  const std::int64_t parts = std::min(strips, kAheadStrips);
  if (strip >= parts) return {0, 0};
  const Range part = split_range(bytes.size(), parts, strip);
  return {bytes.begin + part.begin, bytes.begin + part.end};
}

}  // namespace detail

// offer(rank, query, run, scores) for each query and the rows of `run`; `ahead` are the bytes of the
// gallery that are needed next.
template <class Offer>
void scan_run(const GalleryScan& scan, Range run, Range ahead, float* scores, int rank,
              const Offer& offer) noexcept {
  const auto dot = dot_kernel(scan.table, scan.precision);
  const std::int64_t strips = ceil_div(scan.queries.rows, scan.strip);
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    const std::int64_t q = strip * scan.strip;
    const std::int64_t n = std::min(scan.strip, scan.queries.rows - q);
    const Range fetch = detail::ahead_part(ahead, strips, strip);
    const char* memory = reinterpret_cast<const char*>(scan.gallery.data);
    dot({scan.queries.row(q), scan.gallery.row(run.begin), scores, scan.queries.stride,
         scan.gallery.stride, run.size(), n, run.size(), scan.gallery.words, memory + fetch.begin,
         fetch.size()});
    for (std::int64_t i = 0; i < n; ++i) offer(rank, q + i, run, scores + i * run.size());
  }
}

// offer(rank, query, run, scores) for each query and each run of rows, from the thread `rank` of
// at most `threads`; scores (run.size()) may be overwritten. A thread's runs have rising ids.
// scratch (threads * scan_scratch(scan.strip, scan.gallery.words)).
template <class Offer>
void scan_gallery(const GalleryScan& scan, float* scratch, int threads,
                  const Offer& offer) noexcept {
  const std::int64_t rows = chunk_rows(scan.gallery.words);
  const std::int64_t chunks = ceil_div(scan.gallery.rows, rows);
  const auto chunk_range = [&](std::int64_t chunk) {
    return Range{std::min(chunk * rows, scan.gallery.rows),
                 std::min((chunk + 1) * rows, scan.gallery.rows)};
  };
  std::atomic<std::int64_t> next{0};
  parallel_team(threads, [&](Team team) {
    const KernelScope kernels(scan.table, scan.precision);
    float* scores = scratch + team.rank * scan_scratch(scan.strip, scan.gallery.words);
    // A thread claims its next chunk before it works on this one, to know what to fetch.
    for (std::int64_t chunk = next++, claimed; chunk < chunks; chunk = claimed) {
      claimed = next++;
      const Range own = chunk_range(chunk);
      const Range coming = chunk_range(claimed);
      const std::int64_t row_bytes = 4 * scan.gallery.stride;
      Range ahead{coming.begin * row_bytes, coming.end * row_bytes};
      if (scan.near || scan.filter.bits != nullptr) ahead = {0, 0};
      Range left = own;
      for (Range run = scan.filter.next_run(left); run.size() > 0;
           run = scan.filter.next_run(left)) {
        scan_run(scan, run, ahead, scores, team.rank, offer);
        left.begin = run.end;
      }
    }
  });
}

// Words from one query to the next, for so many that are used: cache lines of an odd number, so that
// queries do not fall on the same cache sets.
inline std::int64_t query_stride(std::int64_t words) noexcept {
  return (ceil_div(words, kLineWords) | 1) * kLineWords;
}

// The queries where rows start at cache lines, padded with zeros.
inline Matrix aligned_copy(ConstMatrix queries, WorkspaceScope& scope) {
  const std::int64_t stride = query_stride(queries.cols);
  const Matrix copy{scope.take<float>(queries.rows * stride), queries.rows, queries.cols, stride};
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    std::copy_n(queries.row(i), queries.cols, copy.row(i));
    std::fill(copy.row(i) + queries.cols, copy.row(i) + stride, 0.0F);
  }
  return copy;
}

}  // namespace refine_itr
