#include "ops/gru.h"

#include <algorithm>

#include "isa/dispatch.h"
#include "ops/gemm.h"
#include "parallel.h"

namespace refine_itr {
namespace {

// Sequences run in groups, longest first, so that those of a group end at about the same step. A
// group's states (112 x 4D) stay in the cache while W_hh passes by.
constexpr std::int64_t kGroupRows = 112;

struct GruCall {
  GateSource gates;
  Sequences sequences;
  const PackedMatrix& w_hh;
  SequencePooling pooling;
  Matrix out;
  const KernelTable& table;
  std::int64_t dim;
};

// Some sequences that run together, and memory for their states.
struct Group {
  const std::int64_t* members;  // (count), longest first
  std::int64_t count;
  Matrix hidden;   // (count, D)
  Matrix product;  // (count, 3D), W_hh h + b_hh
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
    float* h = group.hidden.row(i);
    float* out = call.out.row(group.members[i]);
    std::fill(h + units.begin, h + units.end, 0.0F);
    std::fill(out + units.begin, out + units.end, 0.0F);
  }
}

void hidden_product(const GruCall& call, const Group& group, std::int64_t active,
                    Team team) noexcept {
  Epilogue bias;
  bias.bias = call.w_hh.bias();
  const KernelTable& table = call.w_hh.table();
  const Gemm gemm{as_const(group.hidden), packed_right(call.w_hh), group.product, bias};
  const std::int64_t panels = panel_count(table, 3 * call.dim);
  gemm_part(table, gemm, {0, active}, split_range(panels, team.size, team.rank));
}

void gate_step(const GruCall& call, const Group& group, std::int64_t active, std::int64_t step,
               Range units) noexcept {
  for (std::int64_t i = 0; i < active; ++i) {
    const std::int64_t member = group.members[i];
    const float* x = call.gates.row(call.sequences.offsets[member] + step);
    // The first state is zero, so its product is the bias.
    const float* u = step == 0 ? call.w_hh.bias() : group.product.row(i);
    float* h = group.hidden.row(i);
    call.table.gru_gates(x, u, h, call.dim, units.begin, units.end);
    pool_step(call.pooling, h, call.out.row(member), units, step, call.sequences.length(member));
  }
}

// All steps of a group. The threads of a team share its columns: each has some panels of the
// product and some hidden units.
void run_group(const GruCall& call, const Group& group, Team team) noexcept {
  const Range units = split_range(call.dim, team.size, team.rank);
  clear_states(call, group, units);
  std::int64_t active = group.count;
  for (std::int64_t step = 0;; ++step) {
    while (active > 0 && call.sequences.length(group.members[active - 1]) <= step) --active;
    if (active == 0) return;
    if (step > 0) {
      team.barrier();  // the states are complete, and nobody reads the last product any more
      hidden_product(call, group, active, team);
      team.barrier();
    }
    gate_step(call, group, active, step, units);
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

void gru(GateSource gates, Sequences sequences, const PackedMatrix& w_hh, SequencePooling pooling,
         Matrix out, Workspace& workspace, int threads) {
  const std::int64_t dim = w_hh.n_in();
  const GruCall call{gates, sequences, w_hh, pooling, out, active_table(), dim};
  const std::int64_t tile = w_hh.table().gemm_rows;
  const int used = threads_for(threads, sequences.count * 3 * dim * dim);  // of one step
  const std::int64_t share = ceil_div(ceil_div(sequences.count, used), tile) * tile;
  const std::int64_t size = std::clamp(share, tile, kGroupRows / tile * tile);
  const std::int64_t groups = ceil_div(sequences.count, size);

  WorkspaceScope scope(workspace);
  const std::int64_t* order = longest_first(sequences, scope);
  float* memory = scope.take<float>(4 * dim * size * used);
  const auto group_at = [&](std::int64_t index, int slot) {
    const std::int64_t first = index * size;
    const std::int64_t count = std::min(size, sequences.count - first);
    float* hidden = memory + 4 * dim * size * slot;
    return Group{order + first, count, {hidden, count, dim, dim},
                 {hidden + dim * size, count, 3 * dim, 3 * dim}};
  };
  if (groups >= used) {
    parallel_tasks(used, groups, [&](std::int64_t index, int rank) {
      run_group(call, group_at(index, rank), Team{0, 1});
    });
    return;
  }
  // Too few sequences for a group each: the threads share the columns of one group.
  parallel_team(used, [&](Team team) {
    for (std::int64_t index = 0; index < groups; ++index) {
      team.barrier();
      run_group(call, group_at(index, 0), team);
    }
  });
}

}  // namespace refine_itr
