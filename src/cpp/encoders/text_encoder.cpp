#include "encoders/text_encoder.h"

#include <utility>

#include "ops/l2norm.h"

namespace refine_itr {

TextEncoder::TextEncoder(ConstMatrix gate_table, SharedGates w_hh, SequencePooling pooling)
    : vocabulary_(gate_table.rows),
      gate_table_(gate_table.data, gate_table.data + gate_table.rows * gate_table.cols),
      w_hh_(std::move(w_hh)),
      pooling_(pooling) {}

void TextEncoder::encode(const std::int32_t* tokens, Sequences sentences, Matrix out,
                         Workspace& workspace, int threads) const {
  gru({gate_table_.data(), tokens, 3 * dim()}, sentences, *w_hh_, pooling_, out, workspace,
      threads);
  const Batch embeddings{out.data, 1, out.rows, out.cols};
  l2norm(as_const(embeddings), NormAxis::feature, embeddings, threads);
}

}  // namespace refine_itr
