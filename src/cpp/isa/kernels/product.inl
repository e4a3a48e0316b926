// Sums of A B for a few rows and registers of columns, all in registers while the depth runs by.
// PyTorch: a @ b
//
// Per word of the depth, kVecs loads of B and one broadcast of A per row feed kRows kVecs
// multiply-adds: of one float, two bfloat16 or four 8-bit integers each.

namespace refine_itr {
namespace {

// A word of memory that was written as smaller numbers.
inline std::uint32_t word_at(const std::uint32_t* p) {
  std::uint32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}

// A precision. Where the instruction set does not multiply its numbers, a word of B is widened in
// registers, in kParts parts one after the other (both at once would not fit), and A holds its
// numbers wide already: kParts words for a word of B.
struct Fp32 {
  using Sum = Vec;
  using Operand = Vec;
  static constexpr Precision kPrecision = Precision::fp32;
  static constexpr int kParts = 1;

  static Sum none() { return zero(); }
  static Sum sum_at(const std::uint32_t* p) { return load(reinterpret_cast<const float*>(p)); }
  static Operand read(const std::uint32_t* p, int) {
    return load(reinterpret_cast<const float*>(p));
  }
  static Operand read_n(const std::uint32_t* p, std::int64_t n, int) {
    return load_n(reinterpret_cast<const float*>(p), n);
  }
  static Operand spread(const std::uint32_t* p) {
    return broadcast(*reinterpret_cast<const float*>(p));
  }
  static Sum multiply_add(Operand a, Operand b, Sum sum) { return fma(a, b, sum); }
  static Sum join(Sum a, Sum b) { return add(a, b); }
  static Vec number(Sum sum) { return sum; }
};

#if defined(REFINE_ITR_NATIVE_BF16)

struct Bf16 {
  using Sum = Vec;
  using Operand = Words;
  static constexpr Precision kPrecision = Precision::bf16;
  static constexpr int kParts = 1;

  static Sum none() { return zero(); }
  static Sum sum_at(const std::uint32_t* p) { return load(reinterpret_cast<const float*>(p)); }
  static Operand read(const std::uint32_t* p, int) { return load_words(p); }
  static Operand read_n(const std::uint32_t* p, std::int64_t n, int) { return load_words_n(p, n); }
  static Operand spread(const std::uint32_t* p) { return broadcast_word(word_at(p)); }
  static Sum multiply_add(Operand a, Operand b, Sum sum) { return dot_bf16(sum, a, b); }
  static Sum join(Sum a, Sum b) { return add(a, b); }
  static Vec number(Sum sum) { return sum; }
};

#else

// Half the memory for the speed of float.
struct Bf16 : Fp32 {
  static constexpr Precision kPrecision = Precision::bf16;
  static constexpr int kParts = 2;

  static Operand read(const std::uint32_t* p, int part) { return widen(load_words(p), part); }
  static Operand read_n(const std::uint32_t* p, std::int64_t n, int part) {
    return widen(load_words_n(p, n), part);
  }

 private:
  static Operand widen(Words pairs, int part) {
    return part == 0 ? bf16_even(pairs) : bf16_odd(pairs);
  }
};

#endif

struct Int8 {
  using Sum = Words;
  using Operand = Words;
  static constexpr Precision kPrecision = Precision::int8;
  static constexpr int kParts = 1;
  static constexpr bool kOffset = true;  // A is unsigned

  static Sum none() { return zero_words(); }
  static Sum sum_at(const std::uint32_t* p) { return load_words(p); }
  static Operand spread(const std::uint32_t* p) { return broadcast_word(word_at(p)); }
  static Sum join(Sum a, Sum b) { return add_words(a, b); }
  static Vec number(Sum sum) { return to_float(sum); }
  static Operand read(const std::uint32_t* p, int) { return load_words(p); }
  static Operand read_n(const std::uint32_t* p, std::int64_t n, int) { return load_words_n(p, n); }
  static Sum multiply_add(Operand a, Operand b, Sum sum) { return dot_int8(sum, a, b); }
};

#if defined(REFINE_ITR_NATIVE_INT8)
constexpr int kWeightLevels = 127;
#else
constexpr int kWeightLevels = 63;  // two products with activations of eight bits fit into 16 bits
#endif

template <class P, int kRows, int kVecs>
struct Sums {
  typename P::Sum sum[kRows][kVecs];

  void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) sum[r][v] = P::none();
    }
  }
  void join(const Sums& other) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) sum[r][v] = P::join(sum[r][v], other.sum[r][v]);
    }
  }
};

// `a` and `b` at the word in hand. kWhole: whole registers of b may be read, else `cols` of them.
template <class P, int kRows, int kVecs, bool kWhole>
inline void product_step(const std::uint32_t* a, const std::uint32_t* b, std::int64_t cols,
                         Sums<P, kRows, kVecs>& acc) {
#pragma GCC unroll 2
  for (int part = 0; part < P::kParts; ++part) {
    typename P::Operand columns[kVecs];
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) {
      const std::uint32_t* column = b + v * kWidth;
      columns[v] = kWhole ? P::read(column, part) : P::read_n(column, lanes_of(cols, v), part);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename P::Operand x = P::spread(a + r * kPassStride + part);
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        acc.sum[r][v] = P::multiply_add(x, columns[v], acc.sum[r][v]);
      }
    }
  }
}

// Few sums do not hide the latency of a multiply-add: then several words run at once, each with
// its own sums.
template <int kSums>
constexpr int kSets = kSums >= 8 ? 1 : kSums >= 4 ? 2 : 4;

// Every step also asks for a cache line of what is needed next.
template <class P, int kRows, int kVecs, bool kWhole>
inline void multiply(const Product& product, std::int64_t cols, Sums<P, kRows, kVecs>& total) {
  constexpr int kCount = kSets<kRows * kVecs>;
  Sums<P, kRows, kVecs> acc[kCount];
#pragma GCC unroll 4
  for (int s = 0; s < kCount; ++s) acc[s].clear();
  constexpr std::int64_t kPass = kPassWords / P::kParts;
  const std::uint32_t* a = product.a;
  const std::uint32_t* b = product.b;
  const std::uint32_t* ahead = product.ahead;
  const auto step = [&](std::int64_t k, Sums<P, kRows, kVecs>& sums) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += product.ahead_step;
    product_step<P, kRows, kVecs, kWhole>(a + k * P::kParts, b, cols, sums);
    b += product.b_stride;
  };
  for (std::int64_t left = product.depth; left > 0; left -= kPass) {
    const std::int64_t depth = left < kPass ? left : kPass;
    std::int64_t k = 0;
    for (; k + kCount <= depth; k += kCount) {
#pragma GCC unroll 4
      for (int s = 0; s < kCount; ++s) step(k + s, acc[s]);
    }
    for (; k < depth; ++k) step(k, acc[0]);
    a += product.a_pass;
  }
  total = acc[0];
#pragma GCC unroll 4
  for (int s = 1; s < kCount; ++s) total.join(acc[s]);
}

// What turns sums into numbers: those of n columns of a register, from `column` on.
template <class P>
struct Columns {
  Words offset = zero_words();
  Vec scale = zero();

  Columns(const Product& product, std::int64_t column, std::int64_t n) {
    if constexpr (P::kPrecision == Precision::int8) {
      offset = load_words_n(product.col_offset + column, n);
      scale = load_n(product.col_scale + column, n);
    }
  }

  Vec number(const Product& product, std::int64_t r, typename P::Sum sum) const {
    if constexpr (P::kPrecision != Precision::int8) {
      return sum;
    } else {
      const Vec of_row = mul(broadcast(product.row_scale[r]), scale);
      return mul(to_float(sub_words(sum, offset)), of_row);
    }
  }
};

}  // namespace
}  // namespace refine_itr
