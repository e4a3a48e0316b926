// A row of activations in the words of a product, quantised on the way.
// PyTorch: x;  x.bfloat16();  (x * 127 / x.abs().max()).round()

namespace refine_itr {
namespace {

void pack_row_fp32(const float* x, std::int64_t depth, std::uint32_t* a, std::int64_t a_pass,
                   float*) noexcept {
  for (; depth > 0; depth -= kPassWords, x += kPassWords, a += a_pass) {
    const std::int64_t n = depth < kPassWords ? depth : kPassWords;
    for (std::int64_t i = 0; i < n; i += kWidth) {
      const std::int64_t lanes = lanes_of(n - i, 0);
      store_n(reinterpret_cast<float*>(a) + i, load_n(x + i, lanes), lanes);
    }
    if (n % 2 != 0) reinterpret_cast<float*>(a)[n] = 0.0F;
  }
}

#if defined(REFINE_ITR_NATIVE_BF16)

void pack_row_bf16(const float* x, std::int64_t depth, std::uint32_t* a, std::int64_t a_pass,
                   float*) noexcept {
  constexpr std::int64_t kPass = 2 * kPassWords;
  for (; depth > 0; depth -= kPass, x += kPass, a += a_pass) {
    const std::int64_t n = depth < kPass ? depth : kPass;
    auto* out = reinterpret_cast<std::uint16_t*>(a);
    for (std::int64_t i = 0; i < n; i += kWidth) {
      const std::int64_t lanes = lanes_of(n - i, 0);
      store_bf16(out + i, load_n(x + i, lanes), lanes);
    }
    for (std::int64_t i = n; i % (2 * kDepthStep<Bf16>) != 0; ++i) out[i] = 0;
  }
}

// Two rows of b make one row of words.
void pack_pairs(const float* b, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                std::uint32_t* panels, std::int64_t depth) noexcept {
  constexpr std::int64_t kPanel = kGemmVecs * kWidth;
  for (std::int64_t column = 0; column < (cols + kPanel - 1) / kPanel * kPanel; column += kWidth) {
    std::uint32_t* out = panels + column / kPanel * kPanel * depth + column % kPanel;
    const std::int64_t lanes = lanes_of(cols - column, 0);
    const auto row = [&](std::int64_t r) {
      return r < rows ? load_n(b + r * stride + column, lanes) : zero();
    };
    for (std::int64_t k = 0; k < depth; ++k) {
      store_pairs(out + k * kPanel, row(2 * k), row(2 * k + 1));
    }
  }
}
constexpr auto kPackPairs = &pack_pairs;

#else

constexpr decltype(KernelTable::pack_pairs) kPackPairs = nullptr;

void pack_row_bf16(const float* x, std::int64_t depth, std::uint32_t* a, std::int64_t a_pass,
                   float* row_scale) noexcept {
  pack_row_fp32(x, depth, a, a_pass, row_scale);
}

#endif

// A row whose largest number is smaller is taken for zeros: 127 / size would overflow.
constexpr float kLeastSize = 1e-35F;

float magnitude(const float* x, std::int64_t n) noexcept {
  constexpr int kStreams = 4;  // each waits for itself alone
  Vec size[kStreams];
  Vec poison[kStreams];  // maximum loses a NaN; 0 x is NaN exactly where x is not finite
#pragma GCC unroll 4
  for (int s = 0; s < kStreams; ++s) size[s] = poison[s] = zero();
  const auto take = [&](Vec v, int s) {
    size[s] = maximum(size[s], maximum(v, sub(zero(), v)));
    poison[s] = fma(zero(), v, poison[s]);
  };
  std::int64_t i = 0;
  for (; i + kStreams * kWidth <= n; i += kStreams * kWidth) {
#pragma GCC unroll 4
    for (int s = 0; s < kStreams; ++s) take(load(x + i + s * kWidth), s);
  }
  for (; i < n; i += kWidth) take(load_n(x + i, lanes_of(n - i, 0)), 0);
#pragma GCC unroll 4
  for (int s = 1; s < kStreams; ++s) {
    size[0] = maximum(size[0], size[s]);
    poison[0] = add(poison[0], poison[s]);
  }
  return reduce_max(size[0]) + reduce_add(poison[0]);
}

// x (n) quantised, filled up with zeros to whole words, or steps of them.
inline void quantise(const float* x, std::int64_t n, Vec steps, std::uint8_t* out) {
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const std::int64_t lanes = lanes_of(n - i, 0);
    store_activations(out + i, mul(load_n(x + i, lanes), steps), lanes);
  }
  for (std::int64_t i = n; i % (4 * kDepthStep<Int8>) != 0; ++i) out[i] = 0;
}

void pack_row_int8(const float* x, std::int64_t depth, std::uint32_t* a, std::int64_t a_pass,
                   float* row_scale) noexcept {
  constexpr std::int64_t kPass = 4 * kPassWords;
  const float size = magnitude(x, depth);
  const bool vanishes = size < kLeastSize;
  *row_scale = vanishes ? 0.0F : size / 127.0F;
  const Vec steps = broadcast(vanishes ? 0.0F : 127.0F / size);
  for (; depth > 0; depth -= kPass, x += kPass, a += a_pass) {
    quantise(x, depth < kPass ? depth : kPass, steps, reinterpret_cast<std::uint8_t*>(a));
  }
}

}  // namespace
}  // namespace refine_itr
