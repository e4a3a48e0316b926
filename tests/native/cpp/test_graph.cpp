#include <cmath>

#include "check.h"
#include "ops/light_gcn.h"
#include "ops/vsrn_gcn.h"

namespace refine_itr::test {
namespace {

constexpr std::int64_t kBatch = 3;

// r and g folded, as weights of the op (the Python layer folds; see its module `folding`).
struct Folded {
  Folded(const TestLinear& r, const TestLinear& g, std::int64_t d, Precision precision)
      : f(single(reference::product(r.plain.weight, g.plain.weight))),
        f_bias(single(reference::product(g.plain.bias, reference::transposed(r.plain.weight)))),
        packed({f.data(), d, d, d}, r.bias.data(), precision) {}

  static Floats single(const Mat& m) { return {m.data.begin(), m.data.end()}; }

  Floats f;
  Floats f_bias;
  PackedMatrix packed;
};

// What a layer adds up is a product of a product: narrow ones are allowed twice what one is.
double layer_tolerance(NamedPrecision named) {
  return named.precision == Precision::fp32 ? named.tolerance : 2 * named.tolerance;
}

void check_light(Random& random, std::int64_t k, std::int64_t d,
                 NamedPrecision named = kAllPrecisions[0]) {
  const double tolerance = layer_tolerance(named);
  const TestLinear g(random, d, d, named.precision);
  const TestLinear r(random, d, d, named.precision);
  const Folded folded(r, g, d, named.precision);
  const Floats sigma = random.normal(k * k, 0.1);
  const Floats v = random.normal(kBatch * k * d);
  Workspace workspace;
  for (const int threads : kThreads) {
    Floats out(v.size());
    Floats out_folded(v.size());
    const ConstBatch regions{v.data(), kBatch, k, d};
    light_gcn(regions, sigma.data(), g.packed, r.packed, {out.data(), kBatch, k, d}, workspace,
              threads);
    light_gcn_folded(regions, sigma.data(), folded.packed, folded.f_bias.data(),
                     {out_folded.data(), kBatch, k, d}, workspace, threads);
    for (std::int64_t i = 0; i < kBatch; ++i) {
      const Mat image(k, d, v.data() + i * k * d);
      const Mat expected = reference::light_gcn(image, mat(sigma, k, k), g.plain, r.plain);
      expect_close("light_gcn", out.data() + i * k * d, expected, tolerance);
      expect_close("light_gcn_folded", out_folded.data() + i * k * d, expected, tolerance);
    }
  }
}

// theta and phi folded into M^T, u, w and c.
struct FoldedPair {
  FoldedPair(const reference::Linear& theta, const reference::Linear& phi, std::int64_t d,
             Precision precision)
      : m(Folded::single(reference::product(reference::transposed(phi.weight), theta.weight))),
        u(Folded::single(reference::product(phi.bias, theta.weight))),
        w(Folded::single(reference::product(theta.bias, phi.weight))),
        c(static_cast<float>(
            reference::product(theta.bias, reference::transposed(phi.bias)).at(0, 0))),
        packed({m.data(), d, d, d}, nullptr, precision) {}

  Floats m;
  Floats u;
  Floats w;
  float c;
  PackedMatrix packed;
};

void check_vsrn(Random& random, std::int64_t k, std::int64_t d,
                NamedPrecision named = kAllPrecisions[0]) {
  const double tolerance = layer_tolerance(named);
  const TestLinear theta(random, d, d, named.precision);
  const TestLinear phi(random, d, d, named.precision);
  const TestLinear g(random, d, d, named.precision);
  const TestLinear r(random, d, d, named.precision);
  const Folded folded(r, g, d, named.precision);
  const FoldedPair pair(theta.plain, phi.plain, d, named.precision);
  const float scale = 0.25F;
  const Floats v = random.normal(kBatch * k * d);
  const ConstBatch regions{v.data(), kBatch, k, d};
  Workspace workspace;
  for (const int threads : kThreads) {
    Floats out(v.size());
    Floats out_folded(v.size());
    vsrn_gcn(regions, theta.packed, phi.packed, g.packed, r.packed, scale,
             {out.data(), kBatch, k, d}, workspace, threads);
    const FoldedRelation relation{pair.packed, pair.u.data(), pair.w.data(), pair.c, scale};
    vsrn_gcn_folded(regions, relation, folded.packed, folded.f_bias.data(),
                    {out_folded.data(), kBatch, k, d}, workspace, threads);
    for (std::int64_t i = 0; i < kBatch; ++i) {
      const Mat image(k, d, v.data() + i * k * d);
      const Mat expected =
          reference::vsrn_gcn(image, theta.plain, phi.plain, g.plain, r.plain, scale);
      expect_close("vsrn_gcn", out.data() + i * k * d, expected, tolerance);
      expect_close("vsrn_gcn_folded", out_folded.data() + i * k * d, expected, tolerance);
    }
  }
}

}  // namespace

void test_light_gcn() {
  Random random(4);
  for (const std::int64_t n : kSizes) {
    check_light(random, n, 17);
    check_light(random, 5, n);
  }
  for (const NamedPrecision& named : kAllPrecisions) {
    for (const std::int64_t d : {31, 64, 260}) check_light(random, 7, d, named);
    check_light(random, 36, 260, named);  // large enough for threads
  }
}

void test_vsrn_gcn() {
  Random random(5);
  for (const std::int64_t n : kSizes) {
    check_vsrn(random, n, 17);
    check_vsrn(random, 5, n);
  }
  for (const NamedPrecision& named : kAllPrecisions) {
    for (const std::int64_t d : {31, 64, 260}) check_vsrn(random, 7, d, named);
    check_vsrn(random, 36, 260, named);
  }
}

}  // namespace refine_itr::test
