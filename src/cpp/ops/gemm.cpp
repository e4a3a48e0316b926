#include "ops/gemm.h"

#include <algorithm>

#include "parallel.h"

namespace refine_itr {
namespace {

// Words of packed rows that stay in the second-level cache while all panels pass by.
constexpr std::int64_t kBlockWords = 128 << 10;
// A large product is cut finer than into one part a thread: one that another process holds up then
// leaves the rest to the others.
constexpr std::int64_t kWorkPerPart = 16 << 20;
constexpr std::int64_t kPartsPerThread = 4;

// Tile `index` for one panel, of which it is the `turn`-th.
GemmTile make_tile(const Gemm& gemm, std::int64_t index, std::int64_t panel,
                   std::int64_t turn) noexcept {
  const std::int64_t width = gemm.a.table->gemm_cols;
  const std::int64_t column = panel * width;
  const Range rows = gemm.a.tile(index);
  const Epilogue& e = gemm.epilogue;
  GemmTile tile{};
  tile.product = gemm.a.left(index);
  tile.product.b = gemm.b.data + panel * gemm.b.panel_stride;
  tile.product.b_stride = gemm.b.row_stride;
  tile.product.ahead = tile.product.b;
  if (gemm.b.padded && column + width < gemm.b.cols) {
    set_ahead(tile.product, tile.product.b + gemm.b.panel_stride, gemm.b.panel_stride, turn);
  }
  if (gemm.b.col_scale != nullptr) {
    tile.product.col_scale = gemm.b.col_scale + column;
    tile.product.col_offset = gemm.b.col_offset + column;
  }
  tile.rows = rows.size();
  tile.cols = std::min(width, gemm.b.cols - column);
  tile.b_padded = gemm.b.padded;
  tile.c = gemm.c.row(rows.begin) + column;
  tile.c_stride = gemm.c.stride;
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

std::int64_t panel_count(const Gemm& gemm) noexcept {
  return ceil_div(gemm.b.cols, gemm.a.table->gemm_cols);
}

struct Grid {
  std::int64_t row_parts;
  std::int64_t col_parts;
};

// The split into up to `parts` whose largest part has the fewest tiles. Of equal ones, the one with
// more row parts: a thread then writes whole rows.
Grid choose_grid(std::int64_t tiles, std::int64_t panels, std::int64_t parts) noexcept {
  Grid best{1, 1};
  std::int64_t least = tiles * panels;
  for (std::int64_t row_parts = parts; row_parts >= 1; --row_parts) {
    const std::int64_t col_parts = parts / row_parts;
    const std::int64_t largest = ceil_div(tiles, row_parts) * ceil_div(panels, col_parts);
    if (largest < least) {
      least = largest;
      best = {row_parts, col_parts};
    }
  }
  return best;
}

}  // namespace

Range PackedRows::tile(std::int64_t index) const {
  return {index * tile_rows, std::min(rows, (index + 1) * tile_rows)};
}

Product PackedRows::left(std::int64_t index) const {
  Product product{};
  product.a = words + index * tile_words();
  product.a_pass = pass();
  product.depth = depth;
  product.row_scale = row_scale + index * tile_rows;
  return product;
}

void set_ahead(Product& product, const std::uint32_t* next, std::int64_t words,
               std::int64_t turn) noexcept {
  const std::int64_t first = turn * product.depth * kLineWords;
  if (first < words) product.ahead = next + first;
}

PackedRows take_rows(const KernelTable& table, Precision precision, std::int64_t rows,
                     std::int64_t depth, std::int64_t most, WorkspaceScope& scope) {
  const std::int64_t group = table.left_group[static_cast<int>(precision)];
  PackedRows packed{&table, precision, rows, words_of(precision, depth),
                    ceil_div(depth, group), most, nullptr, nullptr};
  packed.words = scope.take<std::uint32_t>(packed.tiles() * packed.tile_words());
  packed.row_scale = scope.take<float>(rows);
  return with_rows(packed, rows, most);
}

PackedRows with_rows(PackedRows packed, std::int64_t rows, std::int64_t most) noexcept {
  const std::int64_t tiles = std::max<std::int64_t>(1, ceil_div(rows, most));
  packed.rows = rows;
  packed.tile_rows = std::max<std::int64_t>(1, ceil_div(rows, tiles));
  return packed;
}

void pack_rows(ConstMatrix a, Range rows, const PackedRows& packed) noexcept {
  const auto pack = packed.table->pack_row[static_cast<int>(packed.precision)];
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    const std::int64_t tile = r / packed.tile_rows;
    std::uint32_t* first =
        packed.words + tile * packed.tile_words() + r % packed.tile_rows * kPassStride;
    pack(a.row(r), a.cols, first, packed.pass(), packed.row_scale + r);
  }
}

RightMatrix packed_right(const PackedMatrix& w) noexcept {
  return {w.panel(0),  w.panel_width() * w.depth(), w.panel_width(), w.n_out(), true,
          w.col_scale(), w.col_offset()};
}

RightMatrix plain_right(const KernelTable& table, ConstMatrix b) noexcept {
  return {reinterpret_cast<const std::uint32_t*>(b.data), table.gemm_cols, b.stride, b.cols, false,
          nullptr, nullptr};
}

void gemm_part(const Gemm& gemm, Range tiles, Range panels) noexcept {
  const auto run = gemm.a.table->gemm_tile[static_cast<int>(gemm.a.precision)];
  const std::int64_t block = std::max<std::int64_t>(
      1, kBlockWords / std::max<std::int64_t>(1, gemm.a.tile_words()));
  for (std::int64_t t = tiles.begin; t < tiles.end; t += block) {
    const std::int64_t end = std::min(tiles.end, t + block);
    for (std::int64_t p = panels.begin; p < panels.end; ++p) {
      for (std::int64_t i = t; i < end; ++i) run(make_tile(gemm, i, p, i - t));
    }
  }
}

void gemm_serial(const Gemm& gemm) noexcept {
  if (gemm.a.rows > 0) gemm_part(gemm, {0, gemm.a.tiles()}, {0, panel_count(gemm)});
}

void gemm_parallel(const Gemm& gemm, int threads) noexcept {
  if (gemm.a.rows == 0) return;
  const std::int64_t work = gemm.a.rows * gemm.b.cols * gemm.a.depth;
  const std::int64_t panels = panel_count(gemm);
  const int used = threads_for(threads, work);
  const auto cuts = std::clamp<std::int64_t>(work / used / kWorkPerPart, 1, kPartsPerThread);
  const Grid grid = choose_grid(gemm.a.tiles(), panels, used == 1 ? 1 : used * cuts);
  const std::int64_t parts = grid.row_parts * grid.col_parts;
  parallel_tasks(used, parts, [&](std::int64_t part, int) {
    gemm_part(gemm, split_range(gemm.a.tiles(), grid.row_parts, part / grid.col_parts),
              split_range(panels, grid.col_parts, part % grid.col_parts));
  });
}

}  // namespace refine_itr
