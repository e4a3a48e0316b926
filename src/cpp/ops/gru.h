// A GRU over a batch of sequences of any lengths (torch.nn.GRU, one layer; gate order r, z, n).
#pragma once

#include "matrix_view.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// The input's share of the gates, biases included: 3D numbers a step.
struct GateSource {
  const float* rows;            // (rows, 3D)
  const std::int32_t* tokens;   // step -> row, or null: step i has row i
  std::int64_t stride;          // of rows

  const float* row(std::int64_t step) const {
    return rows + (tokens != nullptr ? tokens[step] : step) * stride;
  }
};

// Steps offsets[i] .. offsets[i + 1] - 1 are sequence i.
struct Sequences {
  const std::int64_t* offsets;  // (count + 1), non-decreasing
  std::int64_t count;

  std::int64_t length(std::int64_t i) const { return offsets[i + 1] - offsets[i]; }
};

// Of the hidden states of a sequence.
enum class SequencePooling { last, mean };

// out (count, D); zeros for an empty sequence.
void gru(GateSource gates, Sequences sequences, const PackedGates& w_hh, SequencePooling pooling,
         Matrix out, Workspace& workspace, int threads);

}  // namespace refine_itr
