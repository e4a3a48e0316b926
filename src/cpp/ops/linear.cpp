#include "ops/linear.h"

namespace refine_itr {

void linear(ConstMatrix x, const PackedMatrix& weight, Epilogue extra, Matrix out,
            int threads) noexcept {
  extra.bias = weight.bias();
  gemm_parallel(weight.table(), {x, packed_right(weight), out, extra}, threads);
}

}  // namespace refine_itr
