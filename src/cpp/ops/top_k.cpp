#include "ops/top_k.h"

#include <algorithm>
#include <cmath>

#include "isa/dispatch.h"
#include "ops/gemm.h"
#include "parallel.h"

namespace refine_itr {
namespace {

// Gallery rows scored at once: no score outlives its block.
constexpr std::int64_t kGalleryBlock = 256;
// Queries scored at once against one block of the gallery.
constexpr std::int64_t kQueryBlock = 112;
// Queries, and bytes of one thread's candidates, that are held at once; they bound the workspace.
constexpr std::int64_t kQueryChunk = 1024;
constexpr std::int64_t kCandidateBytes = 32 << 20;
// From so many queries on, packing a block of the gallery pays.
constexpr std::int64_t kPackFrom = 32;

struct Candidate {
  float score;
  std::int64_t id;
};

bool better(const Candidate& a, const Candidate& b) noexcept {
  const bool a_nan = std::isnan(a.score);
  const bool b_nan = std::isnan(b.score);
  if (a_nan != b_nan) return b_nan;
  if (!a_nan && a.score != b.score) return a.score > b.score;
  return a.id < b.id;
}

// The best `capacity` candidates offered, a heap with the worst on top.
struct BestList {
  Candidate* items;  // (capacity)
  std::int64_t capacity;
  std::int64_t size;

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
};

// scores (n) of the gallery rows first_id, first_id + 1, ...: ids only ever rise within a list, so
// an equal score never enters.
void offer_scores(const KernelTable& table, BestList& list, const float* scores, std::int64_t n,
                  std::int64_t first_id) noexcept {
  std::int64_t i = 0;
  while (i < n) {
    const bool bounded = list.size == list.capacity && !std::isnan(list.items[0].score);
    if (bounded) i = table.find_above(scores, i, n, list.items[0].score);
    if (i == n) return;
    list.offer({scores[i], first_id + i});
    ++i;
  }
}

struct Search {
  const KernelTable& table;
  ConstMatrix queries;
  ConstMatrix gallery;
  bool pack;
};

struct Scratch {
  float* scores;  // (kQueryBlock, kGalleryBlock)
  float* panels;  // a block of the gallery, packed
};

void scan_block(const Search& search, ConstMatrix block, std::int64_t first_id, Scratch scratch,
                BestList* lists) noexcept {
  const KernelTable& table = search.table;
  if (search.pack) pack_panels(block, table.gemm_cols, scratch.panels);
  for (std::int64_t q = 0; q < search.queries.rows; q += kQueryBlock) {
    const std::int64_t rows = std::min(kQueryBlock, search.queries.rows - q);
    const ConstMatrix queries{search.queries.row(q), rows, block.cols, search.queries.stride};
    const Matrix scores{scratch.scores, rows, block.rows, kGalleryBlock};
    if (search.pack) {
      const RightMatrix right = packed_right(table, scratch.panels, block.rows, block.cols);
      gemm_serial(table, {queries, right, scores, {}});
    } else {
      table.dot_rows(queries.data, queries.stride, rows, block.data, block.stride, block.rows,
                     block.cols, scores.data, scores.stride);
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      offer_scores(table, lists[q + i], scores.row(i), block.rows, first_id);
    }
  }
}

void scan_gallery(const Search& search, Range rows, std::int64_t block_rows, Scratch scratch,
                  BestList* lists) noexcept {
  for (std::int64_t g = rows.begin; g < rows.end; g += block_rows) {
    const std::int64_t n = std::min(block_rows, rows.end - g);
    const ConstMatrix block{search.gallery.row(g), n, search.gallery.cols, search.gallery.stride};
    scan_block(search, block, g, scratch, lists);
  }
}

// Merges each query's lists, one per thread at a distance of `queries`, and writes them out.
void merge_lists(BestList* lists, std::int64_t queries, int used, Matrix scores,
                 std::int64_t* ids) noexcept {
  for (std::int64_t q = 0; q < queries; ++q) {
    BestList& list = lists[q];
    for (int t = 1; t < used; ++t) {
      const BestList& other = lists[t * queries + q];
      for (std::int64_t i = 0; i < other.size; ++i) list.offer(other.items[i]);
    }
    std::sort_heap(list.items, list.items + list.size, better);
    for (std::int64_t i = 0; i < scores.cols; ++i) {
      scores.row(q)[i] = list.items[i].score;
      ids[q * scores.cols + i] = list.items[i].id;
    }
  }
}

void search_chunk(const Search& search, Matrix scores, std::int64_t* ids, Workspace& workspace,
                  int threads) {
  const std::int64_t q = search.queries.rows;
  const std::int64_t n = search.gallery.rows;
  const std::int64_t k = scores.cols;
  const int used = threads_for(threads, q * n * search.gallery.cols);
  const std::int64_t width = search.table.gemm_cols;
  const std::int64_t block =
      std::clamp(ceil_div(ceil_div(n, used), width) * width, width, kGalleryBlock);

  WorkspaceScope scope(workspace);
  BestList* lists = scope.take<BestList>(used * q);
  Candidate* candidates = scope.take<Candidate>(used * q * k);
  for (std::int64_t i = 0; i < used * q; ++i) lists[i] = {candidates + i * k, k, 0};
  float* score_memory = scope.take<float>(used * kQueryBlock * kGalleryBlock);
  const std::int64_t panel_size = search.pack ? kGalleryBlock * search.gallery.cols : 0;
  float* panel_memory = scope.take<float>(used * panel_size);

  const std::int64_t blocks = ceil_div(n, block);
  parallel_tasks(used, used, [&](std::int64_t part, int) {
    const Range own = split_range(blocks, used, part);
    const Scratch scratch{score_memory + part * kQueryBlock * kGalleryBlock,
                          panel_memory + part * panel_size};
    scan_gallery(search, {own.begin * block, std::min(n, own.end * block)}, block, scratch,
                 lists + part * q);
  });
  merge_lists(lists, q, used, scores, ids);
}

}  // namespace

void top_k(ConstMatrix queries, ConstMatrix gallery, Matrix scores, std::int64_t* ids,
           Workspace& workspace, int threads) {
  if (scores.cols == 0) return;
  const KernelTable& table = active_table();
  const auto list_bytes = scores.cols * static_cast<std::int64_t>(sizeof(Candidate));
  const auto chunk = std::clamp<std::int64_t>(kCandidateBytes / list_bytes, 1, kQueryChunk);
  const bool pack = std::min(chunk, queries.rows) >= kPackFrom;
  for (std::int64_t q = 0; q < queries.rows; q += chunk) {
    const std::int64_t rows = std::min(chunk, queries.rows - q);
    const Search search{table, {queries.row(q), rows, queries.cols, queries.stride}, gallery, pack};
    search_chunk(search, {scores.row(q), rows, scores.cols, scores.stride}, ids + q * scores.cols,
                 workspace, threads);
  }
}

}  // namespace refine_itr
