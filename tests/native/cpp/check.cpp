#include "check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace refine_itr::test {
namespace {

Totals counted{0, 0};

}  // namespace

Floats Random::normal(std::int64_t size, double scale) {
  std::normal_distribution<double> distribution(0, scale);
  Floats x(static_cast<std::size_t>(size));
  for (float& value : x) value = static_cast<float>(distribution(engine_));
  return x;
}

Floats Random::whole(std::int64_t size, int least, int most) {
  std::uniform_int_distribution<int> distribution(least, most);
  Floats x(static_cast<std::size_t>(size));
  for (float& value : x) value = static_cast<float>(distribution(engine_));
  return x;
}

ConstMatrix view(const Floats& x, std::int64_t rows, std::int64_t cols) {
  return {x.data(), rows, cols, cols};
}

Matrix view(Floats& x, std::int64_t rows, std::int64_t cols) {
  return {x.data(), rows, cols, cols};
}

Mat mat(const Floats& x, std::int64_t rows, std::int64_t cols) { return {rows, cols, x.data()}; }

void expect_close(const std::string& what, const float* actual, const Mat& expected,
                  double tolerance) {
  double largest = 1;
  for (const double value : expected.data) largest = std::max(largest, std::abs(value));
  bool close = true;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected.data[i]);
    close = close && error <= tolerance * largest;  // false for NaN
  }
  expect(what, close);
}

void expect(const std::string& what, bool holds) {
  ++counted.checks;
  if (holds) return;
  ++counted.failures;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

Totals totals() { return counted; }

}  // namespace refine_itr::test
