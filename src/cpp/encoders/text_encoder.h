// Token ids of a sentence -> its embedding.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "encoders/graph_layer.h"
#include "matrix_view.h"
#include "ops/gru.h"
#include "packed_matrix.h"
#include "workspace.h"

namespace refine_itr {

// GRU over the words' rows of the gate table -> pooling -> l2norm. A sentence without words gives
// zeros.
class TextEncoder {
 public:
  // gate_table (V, 3D) = embedding W_ih^T + b_ih, which folds the embedding into the GRU's input.
  TextEncoder(ConstMatrix gate_table, SharedGates w_hh, SequencePooling pooling);

  std::int64_t vocabulary() const noexcept { return vocabulary_; }
  std::int64_t dim() const noexcept { return w_hh_->n_in(); }

  // tokens in 0 .. V-1, sentences one after the other; out (count, D).
  void encode(const std::int32_t* tokens, Sequences sentences, Matrix out, Workspace& workspace,
              int threads) const;

 private:
  std::int64_t vocabulary_;
  std::int64_t stride_;  // of rows of the table
  std::vector<float> gate_table_;
  SharedGates w_hh_;
  SequencePooling pooling_;
};

}  // namespace refine_itr
