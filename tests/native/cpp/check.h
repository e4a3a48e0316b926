// What the C++ tests share: random data in buffers of exactly its size, and comparison.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "matrix_view.h"
#include "packed_matrix.h"
#include "reference.h"

namespace refine_itr::test {

using reference::Mat;
using Floats = std::vector<float>;

// Around the register widths 4, 8 and 16; the buffers end where the data ends, so that a sanitizer
// sees any step beyond.
const std::vector<std::int64_t> kSizes = {0, 1, 3, 4, 5, 8, 15, 16, 17, 33, 53};
const std::vector<int> kThreads = {1, 2};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  Floats normal(std::int64_t size, double scale = 1.0);
  Floats whole(std::int64_t size, int least, int most);

 private:
  std::mt19937 engine_;
};

// A random linear layer, packed and as reference.
template <class Packed>
struct TestWeight {
  TestWeight(Random& random, std::int64_t n_out, std::int64_t n_in,
             Precision precision = Precision::fp32)
      : weight(random.normal(n_out * n_in, 1 / std::sqrt(1.0 + static_cast<double>(n_in)))),
        bias(random.normal(n_out, 0.1)),
        packed({weight.data(), n_out, n_in, n_in}, bias.data(), precision),
        plain{Mat(n_out, n_in, weight.data()), Mat(1, n_out, bias.data())} {}

  Floats weight;
  Floats bias;
  Packed packed;
  reference::Linear plain;
};

using TestLinear = TestWeight<PackedMatrix>;
using TestGates = TestWeight<PackedGates>;

struct NamedPrecision {
  Precision precision;
  double tolerance;  // of a product of numbers of about one
};
const std::vector<NamedPrecision> kAllPrecisions = {
    {Precision::fp32, 1e-5}, {Precision::bf16, 0.02}, {Precision::int8, 0.06}};

ConstMatrix view(const Floats& x, std::int64_t rows, std::int64_t cols);
Matrix view(Floats& x, std::int64_t rows, std::int64_t cols);
Mat mat(const Floats& x, std::int64_t rows, std::int64_t cols);

// Counts a check; reports it unless |actual - expected| <= tolerance * (1 + largest expected).
void expect_close(const std::string& what, const float* actual, const Mat& expected,
                  double tolerance);
void expect(const std::string& what, bool holds);

struct Totals {
  std::int64_t checks;
  std::int64_t failures;
};
Totals totals();

// One function for each file of tests.
void test_linear();
void test_l2norm();
void test_pooling();
void test_light_gcn();
void test_vsrn_gcn();
void test_gru();
void test_encoders();
void test_top_k();
void test_narrow_top_k();
void test_screened_top_k();
void test_nms();
void test_select_regions();

}  // namespace refine_itr::test
