// Compiled once per instruction set, with REFINE_ITR_ISA_<NAME> defined and its compiler flags.
//
// One source under several -m flags can leak, say, AVX-512 code into the baseline: an inline
// function or template instance becomes a weak symbol and the linker keeps any one copy. Hence
// everything here has internal linkage, no template of std:: is used, and the table is the one
// exported symbol. tests/native/test_objects.py checks this on the real objects.
#include "isa/table.h"
// (in this order: the kernels are written over the operations of vec.h)
#include "isa/vec.h"
//
#include "isa/kernels/product.inl"
//
#include "isa/kernels/tiles.inl"
//
#include "isa/kernels/gemm.inl"
//
#include "isa/kernels/bound.inl"
#include "isa/kernels/gates.inl"
//
#include "isa/kernels/gru.inl"
//
#include "isa/kernels/dot.inl"
#include "isa/kernels/limits.inl"
#include "isa/kernels/narrow.inl"
#include "isa/kernels/norm.inl"
#include "isa/kernels/pack.inl"
#include "isa/kernels/pooling.inl"
#include "isa/kernels/scan.inl"

#define REFINE_ITR_JOIN_(a, b) a##b
#define REFINE_ITR_JOIN(a, b) REFINE_ITR_JOIN_(a, b)
#define REFINE_ITR_TEXT_(a) #a
#define REFINE_ITR_TEXT(a) REFINE_ITR_TEXT_(a)

namespace refine_itr {

extern const KernelTable REFINE_ITR_JOIN(kTable_, REFINE_ITR_ISA_NAME);

const KernelTable REFINE_ITR_JOIN(kTable_, REFINE_ITR_ISA_NAME) = {
    REFINE_ITR_TEXT(REFINE_ITR_ISA_NAME),
    kWidth,
    {kGemmTileRows<Fp32>, kGemmTileRows<Bf16>, kGemmTileRows<Int8>},
    kGemmVecs * kWidth,
    {kGemmPanels<Fp32>, kGemmPanels<Bf16>, kGemmPanels<Int8>},
    {kGruTileRows<Fp32>, kGruTileRows<Bf16>, kGruTileRows<Int8>},
    {kDepthStep<Fp32>, kDepthStep<Bf16>, kDepthStep<Int8>},
    kMostAhead,
    {1, 2 / Bf16::kParts, 4},
    kInt8Offset,
    kWeightLevels,
    {pack_row_fp32, pack_row_bf16, pack_row_int8},
    kPackPairs,
    kEnter,
    kLeave,
    {gemm_tile<Fp32>, gemm_tile<Bf16>, gemm_tile<Int8>},
    {gru_tile<Fp32>, gru_tile<Bf16>, gru_tile<Int8>},
    dot_rows,
    dot_rows_bf16,
    dot_rows_int8,
    kCodeGroup,
    kCodeStrip,
    kDotLevels,
    kDotOffset,
    kScreening,
    kScreenedQueries,
    magnitude,
    narrow_codes,
    narrow_halves,
    l2norm_row,
    l2norm_columns,
    mean_rows,
    top_mean_rows,
    gpo_rows,
    find_above,
    upper_bounds,
    {kRoundWords<Fp32>, kRoundWords<Bf16>, kRoundWords<Int8>},
    {multiply_add_rounds<Fp32>, multiply_add_rounds<Bf16>, multiply_add_rounds<Int8>},
    read_words,
};

}  // namespace refine_itr
