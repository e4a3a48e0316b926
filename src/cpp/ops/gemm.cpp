#include "ops/gemm.h"

#include <algorithm>

#include "ops/cache.h"
#include "ops/kernel_scope.h"
#include "parallel.h"

namespace refine_itr {
namespace {

// With blocks of fewer tiles, the threads would read the right-hand matrix too often.
constexpr std::int64_t kLeastBlockTiles = 3;

std::int64_t tile_rows_of(const PackedRows& rows) noexcept {
  return rows.table->gemm_rows[static_cast<int>(rows.precision)];
}

// Tiles are filled in place, number by number: to copy in sixteens what was written in eights waits
// until everything before it has left for the cache, the last tile's results included.

// The columns of the panels named; set_rows adds the rows.
GemmTile make_tile(const Gemm& gemm, Range panels) noexcept {
  const std::int64_t column = panels.begin * gemm.a.table->gemm_cols;
  const std::int64_t end = std::min(panels.end * gemm.a.table->gemm_cols, gemm.b.cols);
  const Epilogue& e = gemm.epilogue;
  GemmTile tile{};
  tile.product.b = gemm.b.data + panels.begin * gemm.b.panel_stride;
  tile.product.b_stride = gemm.b.row_stride;
  if (gemm.b.col_scale != nullptr) {
    tile.product.col_scale = gemm.b.col_scale + column;
    tile.product.col_offset = gemm.b.col_offset + column;
  }
  tile.cols = end - column;
  tile.panel_stride = gemm.b.panel_stride;
  tile.b_padded = gemm.b.padded;
  tile.c_stride = gemm.c.stride;
  if (e.bias != nullptr) tile.bias = e.bias + column;
  tile.residual_stride = e.residual_stride;
  if (e.col_factor != nullptr) tile.col_factor = e.col_factor + column;
  return tile;
}

// The rows tile(index), beside the panels of make_tile.
void set_rows(GemmTile& tile, const Gemm& gemm, Range panels, std::int64_t index) noexcept {
  const std::int64_t column = panels.begin * gemm.a.table->gemm_cols;
  const Range rows = gemm.a.tile(index);
  const Epilogue& e = gemm.epilogue;
  gemm.a.set_left(tile.product, index);
  tile.rows = rows.size();
  tile.c = gemm.c.row(rows.begin) + column;
  if (e.residual != nullptr) tile.residual = e.residual + rows.begin * e.residual_stride + column;
  if (e.row_factor != nullptr) tile.row_factor = e.row_factor + rows.begin;
}

// The panels that come after those named, as far as there are as many; or nothing.
Words words_after(const Gemm& gemm, Range panels) noexcept {
  const bool more = gemm.b.padded && panels.end * gemm.a.table->gemm_cols < gemm.b.cols;
  return {gemm.b.data + panels.end * gemm.b.panel_stride,
          more ? panels.size() * gemm.b.panel_stride : 0};
}

std::int64_t panel_count(const Gemm& gemm) noexcept {
  return ceil_div(gemm.b.cols, gemm.a.table->gemm_cols);
}

// The part of a product that is rows `rows`, with those rows packed into `packed`.
Gemm rows_of(const Gemm& gemm, Range rows, const PackedRows& packed) noexcept {
  Gemm part{with_rows(packed, rows.size(), tile_rows_of(packed)), gemm.b, gemm.c, gemm.epilogue};
  part.c.data = gemm.c.row(rows.begin);
  part.c.rows = rows.size();
  Epilogue& e = part.epilogue;
  if (e.residual != nullptr) e.residual += rows.begin * e.residual_stride;
  if (e.row_factor != nullptr) e.row_factor += rows.begin;
  return part;
}

// Many rows: each thread packs a block of them, which stays in its cache, and multiplies it.
void multiply_blocks(const Gemm& gemm, LeftRows& a, std::int64_t block_rows, int threads,
                     WorkspaceScope& scope) {
  PackedRows* packed = scope.take<PackedRows>(threads);
  for (int i = 0; i < threads; ++i) {
    packed[i] = take_rows(*gemm.a.table, gemm.a.precision, block_rows, a.cols(),
                          tile_rows_of(gemm.a), scope);
  }
  a.prepare(threads, scope);
  parallel_tasks(threads, ceil_div(a.rows(), block_rows), [&](std::int64_t block, int rank) {
    const Range rows{block * block_rows, std::min(a.rows(), (block + 1) * block_rows)};
    const Gemm part = rows_of(gemm, rows, packed[rank]);
    a.pack(rows, part.a, 0, rank);
    gemm_serial(part);
  });
}

// Few rows: all are packed, then the threads share the columns.
void multiply_columns(Gemm gemm, LeftRows& a, int threads, WorkspaceScope& scope) {
  const KernelTable& table = *gemm.a.table;
  gemm.a = take_rows(table, gemm.a.precision, a.rows(), a.cols(), tile_rows_of(gemm.a), scope);
  const int packing = threads_for(threads, a.work());
  a.prepare(packing, scope);
  parallel_team(packing, [&](Team team) {
    const Range rows = split_range(a.rows(), team.size, team.rank);
    a.pack(rows, gemm.a, rows.begin, team.rank);
  });
  parallel_ranges(threads, panel_count(gemm),
                  [&](Range panels) { gemm_part(gemm, panels); });
}

// Rows of a block: as many tiles as the cache holds, but so few that every thread has some blocks,
// as one that another process holds up then leaves the rest to the others.
std::int64_t rows_of_block(std::int64_t tile_rows, std::int64_t rows, std::int64_t row_words,
                           int threads) noexcept {
  const std::int64_t tile_words = tile_rows * ceil_div(row_words, kPassWords) * kPassStride;
  const std::int64_t words = cached_words();
  const auto cached = words / std::clamp<std::int64_t>(tile_words, 1, words);
  const std::int64_t tiles = ceil_div(rows, tile_rows);
  const std::int64_t blocks = ceil_div(tiles, cached);
  // A multiple of the threads, so that all end at about the same time.
  const auto even = ceil_div(std::max<std::int64_t>(blocks, 2 * threads), threads) * threads;
  return std::max<std::int64_t>(1, ceil_div(rows, even));
}

}  // namespace

Range PackedRows::tile(std::int64_t index) const {
  return {index * tile_rows, std::min(rows, (index + 1) * tile_rows)};
}

void PackedRows::set_left(Product& product, std::int64_t index) const {
  product.a = words + index * tile_words();
  product.a_pass = pass();
  product.depth = depth;
  product.row_scale = row_scale + index * tile_rows;
}

void set_ahead(Product& product, const KernelTable& table, Words next, std::int64_t steps,
               Turn turn) noexcept {
  product.ahead = product.b;
  product.ahead_step = 0;
  if (next.count == 0) return;
  const std::int64_t step = std::min(table.most_ahead, ceil_div(next.count, steps * turn.count));
  const std::int64_t first = turn.index * steps * step;
  if (first >= next.count) return;
  product.ahead = next.data + first;
  product.ahead_step = step;
}

PackedRows take_rows(const KernelTable& table, Precision precision, std::int64_t rows,
                     std::int64_t depth, std::int64_t most, WorkspaceScope& scope) {
  const std::int64_t group = table.left_group[static_cast<int>(precision)];
  PackedRows packed{&table, precision, rows, words_of(table, precision, depth),
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

void pack_rows(ConstMatrix a, const PackedRows& packed, std::int64_t first) noexcept {
  const auto pack = packed.table->pack_row[static_cast<int>(packed.precision)];
  for (std::int64_t i = 0; i < a.rows; ++i) {
    const std::int64_t r = first + i;
    const std::int64_t tile = r / packed.tile_rows;
    std::uint32_t* words =
        packed.words + tile * packed.tile_words() + r % packed.tile_rows * kPassStride;
    pack(a.row(i), a.cols, words, packed.pass(), packed.row_scale + r);
  }
}

std::int64_t PlainRows::work() const noexcept {
  return matrix_.rows * matrix_.cols * kElementWork;
}

void PlainRows::pack(Range rows, const PackedRows& packed, std::int64_t first,
                     int) const noexcept {
  pack_rows(matrix_.part(rows), packed, first);
}

RightMatrix packed_right(const PackedMatrix& w) noexcept {
  return {w.panel(0),  w.panel_width() * w.depth(), w.panel_width(), w.n_out(), true,
          w.col_scale(), w.col_offset()};
}

RightMatrix plain_right(const KernelTable& table, ConstMatrix b) noexcept {
  return {reinterpret_cast<const std::uint32_t*>(b.data), table.gemm_cols, b.stride, b.cols, false,
          nullptr, nullptr};
}

void gemm_part(const Gemm& gemm, Range panels) noexcept {
  const KernelScope kernels(*gemm.a.table, gemm.a.precision);
  const auto run = gemm.a.table->gemm_tile[static_cast<int>(gemm.a.precision)];
  const std::int64_t most = gemm.a.table->gemm_panels[static_cast<int>(gemm.a.precision)];
  for (std::int64_t p = panels.begin; p < panels.end; p += most) {
    const Range together{p, std::min(p + most, panels.end)};
    const Words next = words_after(gemm, together);
    GemmTile tile = make_tile(gemm, together);
    for (std::int64_t i = 0; i < gemm.a.tiles(); ++i) {
      set_rows(tile, gemm, together, i);
      set_ahead(tile.product, *gemm.a.table, next, together.size() * tile.product.depth,
                {i, gemm.a.tiles()});
      run(tile);
    }
  }
}

void gemm_serial(const Gemm& gemm) noexcept {
  if (gemm.a.rows > 0) gemm_part(gemm, {0, panel_count(gemm)});
}

void gemm_parallel(const KernelTable& table, Precision precision, LeftRows& a,
                   const RightMatrix& b, Matrix c, const Epilogue& epilogue, Workspace& workspace,
                   int threads) {
  if (a.rows() == 0) return;
  WorkspaceScope scope(workspace);
  Gemm gemm{{}, b, c, epilogue};
  gemm.a.table = &table;
  gemm.a.precision = precision;
  const int used = threads_for(threads, a.rows() * b.cols * words_of(table, precision, a.cols()));
  const std::int64_t row_words = ceil_div(a.cols(), table.left_group[static_cast<int>(precision)]);
  const std::int64_t tile_rows = tile_rows_of(gemm.a);
  const std::int64_t block = rows_of_block(tile_rows, a.rows(), row_words, used);
  if (used == 1 || block >= kLeastBlockTiles * tile_rows) {
    multiply_blocks(gemm, a, block, used, scope);
  } else {
    multiply_columns(gemm, a, used, scope);
  }
}

}  // namespace refine_itr
