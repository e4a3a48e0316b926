#include "encoders/text_encoder.h"

#include <algorithm>
#include <utility>

#include "ops/l2norm.h"

namespace refine_itr {

TextEncoder::TextEncoder(ConstMatrix gate_table, SharedGates w_hh, SequencePooling pooling)
    : vocabulary_(gate_table.rows),
      stride_(spread_stride(gate_table.cols)),
      gate_table_(static_cast<std::size_t>(gate_table.rows * stride_)),
      w_hh_(std::move(w_hh)),
      pooling_(pooling) {
  for (std::int64_t i = 0; i < gate_table.rows; ++i) {
    std::copy_n(gate_table.row(i), gate_table.cols, gate_table_.data() + i * stride_);
  }
}

void TextEncoder::encode(const std::int32_t* tokens, Sequences sentences, Matrix out,
                         Workspace& workspace, int threads) const {
  gru({gate_table_.data(), tokens, stride_}, sentences, *w_hh_, pooling_, out, workspace,
      threads);
  const Batch embeddings{out.data, 1, out.rows, out.cols};
  l2norm(as_const(embeddings), NormAxis::feature, embeddings, threads);
}

}  // namespace refine_itr
