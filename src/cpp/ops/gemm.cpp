#include "ops/gemm.h"

#include <algorithm>

#include "parallel.h"

namespace refine_itr {
namespace {

// A block of C (280 x 256 at most) and its panels of B (256 x 256) share the second-level cache.
constexpr std::int64_t kBlockTiles = 20;
constexpr std::int64_t kBlockCols = 256;
// A large product is cut finer than into one part a thread: one that another process holds up then
// leaves the rest to the others.
constexpr std::int64_t kWorkPerPart = 16 << 20;
constexpr std::int64_t kPartsPerThread = 4;

struct APanel {
  alignas(64) float data[kGemmMaxRows * kGemmPanelStride];
};

void copy_rows(ConstMatrix a, Range rows, Range depth, APanel& panel) noexcept {
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    const float* source = a.row(r);
    std::copy(source + depth.begin, source + depth.end,
              panel.data + (r - rows.begin) * kGemmPanelStride);
  }
}

GemmTile make_tile(const KernelTable& table, const Gemm& gemm, Range rows, std::int64_t panel,
                   Range depth, const APanel& a) noexcept {
  const std::int64_t column = panel * table.gemm_cols;
  const Epilogue& e = gemm.epilogue;
  GemmTile tile{};
  tile.a = a.data;
  tile.b = gemm.b.data + panel * gemm.b.panel_stride + depth.begin * gemm.b.row_stride;
  tile.c = gemm.c.row(rows.begin) + column;
  tile.b_stride = gemm.b.row_stride;
  tile.c_stride = gemm.c.stride;
  tile.rows = rows.size();
  tile.cols = std::min(table.gemm_cols, gemm.b.cols - column);
  tile.depth = depth.size();
  tile.b_padded = gemm.b.padded;
  tile.accumulate = depth.begin > 0;
  if (tile.accumulate) return tile;
  if (e.bias != nullptr) tile.bias = e.bias + column;
  if (e.residual != nullptr) {
    tile.residual = e.residual + rows.begin * e.residual_stride + column;
    tile.residual_stride = e.residual_stride;
  }
  if (e.row_factor != nullptr) {
    tile.row_factor = e.row_factor + rows.begin;
    tile.col_factor = e.col_factor + column;
  }
  return tile;
}

// One block: `rows` x `panels`, one pass over `depth`.
void gemm_block(const KernelTable& table, const Gemm& gemm, Range rows, Range panels,
                Range depth) noexcept {
  APanel a;
  for (std::int64_t r = rows.begin; r < rows.end; r += table.gemm_rows) {
    const Range tile_rows{r, std::min(rows.end, r + table.gemm_rows)};
    copy_rows(gemm.a, tile_rows, depth, a);
    for (std::int64_t p = panels.begin; p < panels.end; ++p) {
      table.gemm_tile(make_tile(table, gemm, tile_rows, p, depth, a));
    }
  }
}

struct Grid {
  std::int64_t row_parts;
  std::int64_t col_parts;
};

// The split into up to `parts` whose largest part has the fewest tiles. Of equal ones, the one with
// more row parts: they copy disjoint rows of A.
Grid choose_grid(std::int64_t row_tiles, std::int64_t panels, std::int64_t parts) noexcept {
  Grid best{1, 1};
  std::int64_t least = row_tiles * panels;
  for (std::int64_t row_parts = parts; row_parts >= 1; --row_parts) {
    const std::int64_t col_parts = parts / row_parts;
    const std::int64_t tiles = ceil_div(row_tiles, row_parts) * ceil_div(panels, col_parts);
    if (tiles < least) {
      least = tiles;
      best = {row_parts, col_parts};
    }
  }
  return best;
}

}  // namespace

RightMatrix packed_right(const PackedMatrix& w) noexcept {
  return packed_right(w.table(), w.panels(), w.n_out(), w.n_in());
}

RightMatrix packed_right(const KernelTable& table, const float* panels, std::int64_t cols,
                         std::int64_t depth) noexcept {
  return {panels, table.gemm_cols * depth, table.gemm_cols, depth, cols, true};
}

RightMatrix plain_right(const KernelTable& table, ConstMatrix b) noexcept {
  return {b.data, table.gemm_cols, b.stride, b.rows, b.cols, false};
}

void gemm_part(const KernelTable& table, const Gemm& gemm, Range rows, Range panels) noexcept {
  const std::int64_t block_rows = kBlockTiles * table.gemm_rows;
  const std::int64_t block_panels = std::max<std::int64_t>(1, kBlockCols / table.gemm_cols);
  for (std::int64_t r = rows.begin; r < rows.end; r += block_rows) {
    const Range row_block{r, std::min(rows.end, r + block_rows)};
    for (std::int64_t p = panels.begin; p < panels.end; p += block_panels) {
      const Range panel_block{p, std::min(panels.end, p + block_panels)};
      // A product over no depth still has its epilogue: at least one pass.
      std::int64_t k = 0;
      do {
        const Range depth{k, std::min<std::int64_t>(gemm.b.depth, k + kGemmDepth)};
        gemm_block(table, gemm, row_block, panel_block, depth);
        k += kGemmDepth;
      } while (k < gemm.b.depth);
    }
  }
}

void gemm_serial(const KernelTable& table, const Gemm& gemm) noexcept {
  gemm_part(table, gemm, {0, gemm.c.rows}, {0, panel_count(table, gemm.b.cols)});
}

void gemm_parallel(const KernelTable& table, const Gemm& gemm, int threads) noexcept {
  const std::int64_t work = gemm.c.rows * gemm.b.cols * gemm.b.depth;
  const std::int64_t row_tiles = ceil_div(gemm.c.rows, table.gemm_rows);
  const std::int64_t panels = panel_count(table, gemm.b.cols);
  const int used = threads_for(threads, work);
  const auto cuts = std::clamp<std::int64_t>(work / used / kWorkPerPart, 1, kPartsPerThread);
  const Grid grid = choose_grid(row_tiles, panels, used == 1 ? 1 : used * cuts);
  const std::int64_t parts = grid.row_parts * grid.col_parts;
  parallel_tasks(used, parts, [&](std::int64_t part, int) {
    const Range tiles = split_range(row_tiles, grid.row_parts, part / grid.col_parts);
    const Range rows{tiles.begin * table.gemm_rows,
                     std::min(gemm.c.rows, tiles.end * table.gemm_rows)};
    gemm_part(table, gemm, rows, split_range(panels, grid.col_parts, part % grid.col_parts));
  });
}

}  // namespace refine_itr
