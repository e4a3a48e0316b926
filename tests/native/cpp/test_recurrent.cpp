#include <memory>

#include "check.h"
#include "encoders/image_encoder.h"
#include "encoders/text_encoder.h"
#include "ops/gru.h"

namespace refine_itr::test {
namespace {

// The pooled states of steps begin .. end-1 of `gates`, (1, D).
Mat expected_gru(const Mat& gates, const reference::Linear& w_hh, std::int64_t begin,
                 std::int64_t end, SequencePooling pooling) {
  const std::int64_t d = gates.cols / 3;
  if (begin == end) return {1, d};
  const Mat own(end - begin, gates.cols, gates.data.data() + begin * gates.cols);
  const Mat states = reference::gru(own, w_hh);
  if (pooling == SequencePooling::mean) return reference::top_mean(states, states.rows);
  return {1, d, states.data.data() + (states.rows - 1) * d};
}

void check_gru(Random& random, const std::vector<std::int64_t>& lengths, std::int64_t d,
               NamedPrecision named = kAllPrecisions[0]) {
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t length : lengths) offsets.push_back(offsets.back() + length);
  const auto n = static_cast<std::int64_t>(lengths.size());
  const TestGates w_hh(random, 3 * d, d, named.precision);
  const Floats gates = random.normal(offsets.back() * 3 * d);
  const Mat plain = mat(gates, offsets.back(), 3 * d);
  Workspace workspace;
  for (const int threads : {1, 2, 3}) {
    for (const auto pooling : {SequencePooling::last, SequencePooling::mean}) {
      Floats out(static_cast<std::size_t>(n * d));
      gru({gates.data(), nullptr, 3 * d}, {offsets.data(), n}, w_hh.packed, pooling,
          view(out, n, d), workspace, threads);
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        const Mat expected = expected_gru(plain, w_hh.plain, offsets[i], offsets[i + 1], pooling);
        expect_close("gru", out.data() + static_cast<std::int64_t>(i) * d, expected,
                     named.tolerance);
      }
    }
  }
}

void check_text_encoder(Random& random, std::int64_t d) {
  constexpr std::int64_t kVocabulary = 7;
  const auto w_hh = std::make_shared<TestGates>(random, 3 * d, d);
  const Floats table = random.normal(kVocabulary * 3 * d);
  const TextEncoder encoder(view(table, kVocabulary, 3 * d),
                            SharedGates(w_hh, &w_hh->packed), SequencePooling::last);
  const std::vector<std::int32_t> tokens = {6, 0, 3, 3, 5};
  const std::vector<std::int64_t> offsets = {0, 2, 2, 5};
  Floats gates;
  for (const std::int32_t token : tokens) {
    gates.insert(gates.end(), table.begin() + token * 3 * d, table.begin() + (token + 1) * 3 * d);
  }
  Floats out(static_cast<std::size_t>(3 * d));
  Workspace workspace;
  encoder.encode(tokens.data(), {offsets.data(), 3}, view(out, 3, d), workspace, 2);
  for (std::size_t i = 0; i < 3; ++i) {
    const Mat state = expected_gru(mat(gates, 5, 3 * d), w_hh->plain, offsets[i], offsets[i + 1],
                                   SequencePooling::last);
    expect_close("TextEncoder", out.data() + static_cast<std::int64_t>(i) * d,
                 reference::l2norm_rows(state), 1e-5);
  }
}

void check_image_encoder(Random& random, RegionPooling pooling) {
  constexpr std::int64_t b = 3, k = 5, c = 19, d = 21;
  const auto fc = std::make_shared<TestLinear>(random, d, c);
  const auto f = std::make_shared<TestLinear>(random, d, d);
  const auto w_ih = std::make_shared<TestLinear>(random, 3 * d, d);
  const auto w_hh = std::make_shared<TestGates>(random, 3 * d, d);
  const Floats sigma = random.normal(k * k, 0.1);
  const Floats f_bias(d, 0.0F);
  ImageEncoderConfig config{};
  config.fc = SharedMatrix(fc, &fc->packed);
  config.layers.push_back(std::make_shared<LightGcnLayer>(
      view(sigma, k, k), SharedMatrix(f, &f->packed), f_bias.data()));
  config.norm_axis = NormAxis::feature;
  config.pooling = pooling;
  config.pool_top = 2;
  const Floats coefficients = random.normal(k);
  if (pooling == RegionPooling::gpo) config.coefficients = coefficients;
  config.w_ih = SharedMatrix(w_ih, &w_ih->packed);
  config.w_hh = SharedGates(w_hh, &w_hh->packed);
  const Floats regions = random.normal(b * k * c);
  Floats out(b * d);
  Workspace workspace;
  ImageEncoder(config).encode({regions.data(), b, k, c}, view(out, b, d), workspace, 2);

  Mat identity(d, d);
  for (std::int64_t i = 0; i < d; ++i) identity.at(i, i) = 1;
  const reference::Linear g{identity, Mat(1, d)};
  for (std::int64_t i = 0; i < b; ++i) {
    const Mat image = fc->plain(Mat(k, c, regions.data() + i * k * c));
    const Mat v =
        reference::l2norm_rows(reference::light_gcn(image, mat(sigma, k, k), g, f->plain));
    const Mat pooled =
        pooling == RegionPooling::gru
            ? expected_gru(w_ih->plain(v), w_hh->plain, 0, k, SequencePooling::last)
        : pooling == RegionPooling::gpo
            ? reference::gpo(v, {coefficients.begin(), coefficients.end()})
            : reference::top_mean(v, pooling == RegionPooling::mean ? k : 2);
    expect_close("ImageEncoder", out.data() + i * d, reference::l2norm_rows(pooled), 1e-5);
  }
}

}  // namespace

void test_gru() {
  Random random(6);
  for (const std::int64_t d : kSizes) check_gru(random, {2, 0, 3, 1, 4}, d);
  check_gru(random, {}, 5);
  check_gru(random, {0, 0}, 5);
  for (const NamedPrecision& named : kAllPrecisions) {
    for (const std::int64_t d : {1, 5, 33, 259}) check_gru(random, {2, 0, 3, 1, 4}, d, named);
  }
  std::vector<std::int64_t> many;
  for (std::int64_t i = 0; i < 130; ++i) many.push_back(i % 4);
  check_gru(random, many, 40);
  // Enough work for threads.
  many.resize(40);
  check_gru(random, many, 200);
  many.resize(12);
  check_gru(random, many, 300);
}

void test_encoders() {
  Random random(7);
  for (const std::int64_t d : {1, 4, 33}) check_text_encoder(random, d);
  for (const auto pooling : {RegionPooling::gru, RegionPooling::mean, RegionPooling::max_of_top,
                             RegionPooling::gpo}) {
    check_image_encoder(random, pooling);
  }
}

}  // namespace refine_itr::test
