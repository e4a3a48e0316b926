#include "ops/gru.h"

#include <algorithm>

#include "ops/cache.h"
#include "ops/gemm.h"
#include "ops/kernel_scope.h"
#include "parallel.h"

namespace refine_itr {
namespace {

// So few sequences do too little with a weight to gain from asking for it ahead, if it is near.
constexpr std::int64_t kFewRows = 2;

struct GruCall {
  GateSource gates;
  Sequences sequences;
  const PackedGates& w_hh;
  SequencePooling pooling;
  Matrix out;
  const KernelTable& table;

  std::int64_t tile_rows() const {
    return table.gru_rows[static_cast<int>(w_hh.precision())];
  }
  bool fetches(std::int64_t rows) const {
    return rows > kFewRows || 3 * w_hh.dim() * w_hh.depth() > kNearWords;
  }
};

// What one thread has for itself.
struct GruScratch {
  PackedRows rows;  // the states of a group
  const float** x;  // per active sequence, its gate inputs at this step
};

// Some sequences that run together: all threads of a team have a share of the units.
struct Group {
  const std::int64_t* members;  // (count), longest first
  std::int64_t count;
  Matrix states[2];  // (count, D): those before even steps, and those before odd ones
};

// Takes the hidden state after `step` into the sequence's output, which starts at zero.
void pool_step(SequencePooling pooling, const float* h, float* out, Range units, std::int64_t step,
               std::int64_t length) noexcept {
  const bool ends = step + 1 == length;
  if (pooling == SequencePooling::last) {
    if (ends) std::copy(h + units.begin, h + units.end, out + units.begin);
    return;
  }
  for (std::int64_t d = units.begin; d < units.end; ++d) out[d] += h[d];
  if (!ends) return;
  const float share = 1.0F / static_cast<float>(length);
  for (std::int64_t d = units.begin; d < units.end; ++d) out[d] *= share;
}

void clear_states(const GruCall& call, const Group& group, Range units) noexcept {
  for (std::int64_t i = 0; i < group.count; ++i) {
    float* h = group.states[0].row(i);
    float* out = call.out.row(group.members[i]);
    std::fill(h + units.begin, h + units.end, 0.0F);
    std::fill(out + units.begin, out + units.end, 0.0F);
  }
}

// The first states are zero: their product is one over no depth.
void prepare_rows(const Group& group, std::int64_t step, PackedRows& rows) noexcept {
  if (step == 0) {
    rows.depth = 0;
    std::fill(rows.row_scale, rows.row_scale + rows.rows, 0.0F);
  } else {
    pack_rows(as_const(group.states[step % 2].part({0, rows.rows})), rows, 0);
  }
}

// The units of a panel; set_rows adds the rows.
GruTile make_tile(const GruCall& call, const Group& group, std::int64_t panel) noexcept {
  const std::int64_t column = panel * call.w_hh.panel_width();
  GruTile tile{};
  tile.product.b = call.w_hh.panel(panel);
  tile.product.b_stride = call.w_hh.panel_width();
  if (call.w_hh.precision() == Precision::int8) {
    tile.product.col_scale = call.w_hh.col_scale() + column;
    tile.product.col_offset = call.w_hh.col_offset() + column;
  }
  tile.unit = panel * call.table.width;
  tile.units = std::min(call.table.width, call.w_hh.dim() - tile.unit);
  tile.dim = call.w_hh.dim();
  tile.stride = group.states[0].stride;
  tile.bias = call.w_hh.bias() + column;
  return tile;
}

// The sequences of rows tile(index) at a step.
void set_rows(GruTile& tile, const Group& group, const PackedRows& rows, const GruScratch& scratch,
              std::int64_t index, std::int64_t step) noexcept {
  const Range tile_rows = rows.tile(index);
  rows.set_left(tile.product, index);
  tile.rows = tile_rows.size();
  tile.x = scratch.x + tile_rows.begin;
  tile.h = group.states[step % 2].row(tile_rows.begin);
  tile.out = group.states[(step + 1) % 2].row(tile_rows.begin);
}

// One step of the first `active` sequences, for some panels of units. Odd steps go backwards: what
// the last step read last of W_hh is still in the cache.
void run_step(const GruCall& call, const Group& group, std::int64_t active, std::int64_t step,
              Range panels, const GruScratch& scratch) noexcept {
  for (std::int64_t i = 0; i < active; ++i) {
    scratch.x[i] = call.gates.row(call.sequences.offsets[group.members[i]] + step);
  }
  PackedRows rows = with_rows(scratch.rows, active, call.tile_rows());
  prepare_rows(group, step, rows);
  const auto run = call.table.gru_tile[static_cast<int>(call.w_hh.precision())];
  const std::int64_t direction = step % 2 == 0 ? 1 : -1;
  std::int64_t panel = direction > 0 ? panels.begin : panels.end - 1;
  for (std::int64_t left = panels.size(); left > 0; --left, panel += direction) {
    const std::int64_t next = left > 1 ? panel + direction : panel;
    const std::int64_t words = call.fetches(active) ? call.w_hh.panel_width() * rows.depth : 0;
    GruTile tile = make_tile(call, group, panel);
    for (std::int64_t t = 0; t < rows.tiles(); ++t) {
      set_rows(tile, group, rows, scratch, t, step);
      set_ahead(tile.product, call.table, {call.w_hh.panel(next), words}, rows.depth,
                {t, rows.tiles()});
      run(tile);
    }
  }
}

// All steps of a group, for the units of this thread.
void run_group(const GruCall& call, const Group& group, Team team,
               const GruScratch& scratch) noexcept {
  const std::int64_t width = call.table.width;
  const std::int64_t dim = call.w_hh.dim();
  const Range panels = split_range(ceil_div(dim, width), team.size, team.rank);
  const Range units{std::min(dim, panels.begin * width), std::min(dim, panels.end * width)};
  const KernelScope kernels(call.table, call.w_hh.precision());
  clear_states(call, group, units);
  std::int64_t active = group.count;
  for (std::int64_t step = 0;; ++step) {
    while (active > 0 && call.sequences.length(group.members[active - 1]) <= step) --active;
    if (active == 0) return;
    if (step > 0) team.barrier();  // all units of the states are there
    run_step(call, group, active, step, panels, scratch);
    for (std::int64_t i = 0; i < active; ++i) {
      const std::int64_t member = group.members[i];
      pool_step(call.pooling, group.states[(step + 1) % 2].row(i), call.out.row(member), units,
                step, call.sequences.length(member));
    }
  }
}

const std::int64_t* longest_first(Sequences sequences, WorkspaceScope& scope) {
  std::int64_t* order = scope.take<std::int64_t>(sequences.count);
  for (std::int64_t i = 0; i < sequences.count; ++i) order[i] = i;
  std::sort(order, order + sequences.count, [&](std::int64_t a, std::int64_t b) {
    const std::int64_t length_a = sequences.length(a);
    const std::int64_t length_b = sequences.length(b);
    return length_a != length_b ? length_a > length_b : a < b;
  });
  return order;
}

}  // namespace

void gru(GateSource gates, Sequences sequences, const PackedGates& w_hh, SequencePooling pooling,
         Matrix out, Workspace& workspace, int threads) {
  if (sequences.count == 0) return;
  const GruCall call{gates, sequences, w_hh, pooling, out, w_hh.table()};
  const std::int64_t dim = w_hh.dim();
  const std::int64_t most = call.tile_rows();
  const int used = threads_for(threads, sequences.count * 3 * dim * w_hh.depth());  // of one step
  // Sequences run in groups whose states stay in the cache while W_hh passes by, longest first, so
  // that those of a group end at about the same step.
  const int numbers = call.table.left_group[static_cast<int>(w_hh.precision())];  // of a word
  const std::int64_t cached = cached_words() / std::max<std::int64_t>(1, ceil_div(dim, numbers));
  const std::int64_t size =
      std::clamp(cached / most * most, most, ceil_div(sequences.count, most) * most);

  WorkspaceScope scope(workspace);
  const std::int64_t* order = longest_first(sequences, scope);
  const Batch states = take_batch(scope, 2, size, dim);
  GruScratch* scratches = scope.take<GruScratch>(used);
  for (int i = 0; i < used; ++i) {
    scratches[i] = {take_rows(call.table, w_hh.precision(), size, dim, most, scope),
                    scope.take<const float*>(size)};
  }
  parallel_team(used, [&](Team team) {
    for (std::int64_t first = 0; first < sequences.count; first += size) {
      const std::int64_t count = std::min(size, sequences.count - first);
      const Group group{order + first, count, {states.matrix(0), states.matrix(1)}};
      team.barrier();  // the states are free
      run_group(call, group, team, scratches[team.rank]);
    }
  });
}

}  // namespace refine_itr
