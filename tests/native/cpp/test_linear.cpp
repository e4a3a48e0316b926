#include "check.h"
#include "ops/l2norm.h"
#include "ops/linear.h"
#include "ops/pooling.h"

namespace refine_itr::test {
namespace {

void check_linear(Random& random, std::int64_t m, std::int64_t n, std::int64_t k, bool residual,
                  NamedPrecision named = kAllPrecisions[0]) {
  const TestLinear layer(random, n, k, named.precision);
  Workspace workspace;
  const Floats x = random.normal(m * k);
  const Floats added = random.normal(m * n);
  Mat expected = layer.plain(mat(x, m, k));
  if (residual) expected = reference::sum(expected, mat(added, m, n));
  for (const int threads : kThreads) {
    Floats out = added;  // the residual may be the output
    Epilogue extra;
    if (residual) extra.residual = out.data();
    extra.residual_stride = n;
    linear(view(x, m, k), layer.packed, extra, view(out, m, n), workspace, threads);
    expect_close("linear", out.data(), expected, named.tolerance);
  }
}

}  // namespace

void test_linear() {
  Random random(1);
  for (const std::int64_t m : kSizes) {
    for (const std::int64_t n : kSizes) check_linear(random, m, n, 33, m % 2 == 0);
    check_linear(random, m, 70, 0, true);
    check_linear(random, 14, 33, m, false);
    check_linear(random, m, 70, 300, true);
  }
  for (const NamedPrecision& named : kAllPrecisions) {
    for (const std::int64_t k : kSizes) check_linear(random, 17, 33, k, true, named);
    for (const std::int64_t k : {255, 257, 1023, 1030}) {
      check_linear(random, 5, 40, k, false, named);
    }
  }
  check_linear(random, 300, 300, 520, false);  // large enough for threads
}

void test_l2norm() {
  Random random(2);
  for (const std::int64_t k : kSizes) {
    for (const std::int64_t d : kSizes) {
      const Floats x = random.normal(2 * k * d, 1e-25);
      for (const NormAxis axis : {NormAxis::region, NormAxis::feature}) {
        Floats out(x.size());
        l2norm({x.data(), 2, k, d}, axis, {out.data(), 2, k, d}, 2);
        for (std::int64_t i = 0; i < 2; ++i) {
          const Mat image(k, d, x.data() + i * k * d);
          const Mat expected = axis == NormAxis::region ? reference::l2norm_columns(image)
                                                        : reference::l2norm_rows(image);
          expect_close("l2norm", out.data() + i * k * d, expected, 1e-6);
        }
      }
    }
  }
}

void test_pooling() {
  Random random(3);
  Workspace workspace;
  for (const std::int64_t d : kSizes) {
    for (const std::int64_t k : {1, 2, 5, 16, 36}) {
      const Floats x = random.normal(k * d);
      Floats out(static_cast<std::size_t>(d));
      mean_regions({x.data(), 1, k, d}, view(out, 1, d), 1);
      expect_close("mean_regions", out.data(), reference::top_mean(mat(x, k, d), k), 1e-6);
      const std::int64_t top = k / 2 + 1;
      top_mean_regions({x.data(), 1, k, d}, top, view(out, 1, d), workspace, 1);
      expect_close("top_mean_regions", out.data(), reference::top_mean(mat(x, k, d), top), 1e-6);
      const Floats coefficients = random.normal(k, 1 / static_cast<double>(k));
      gpo_regions({x.data(), 1, k, d}, coefficients.data(), view(out, 1, d), workspace, 1);
      expect_close("gpo_regions", out.data(),
                   reference::gpo(mat(x, k, d), {coefficients.begin(), coefficients.end()}), 1e-6);
    }
  }
}

}  // namespace refine_itr::test
