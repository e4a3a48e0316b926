// The formulas as plain loops in double: what the C++ test compares every op with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace refine_itr::reference {

struct Mat {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<double> data;

  Mat(std::int64_t rows, std::int64_t cols)
      : rows(rows), cols(cols), data(static_cast<std::size_t>(rows * cols)) {}
  template <class T>
  Mat(std::int64_t rows, std::int64_t cols, const T* source)
      : rows(rows), cols(cols), data(source, source + rows * cols) {}

  double& at(std::int64_t i, std::int64_t j) {
    return data[static_cast<std::size_t>(i * cols + j)];
  }
  double at(std::int64_t i, std::int64_t j) const {
    return data[static_cast<std::size_t>(i * cols + j)];
  }
};

inline Mat product(const Mat& a, const Mat& b) {
  Mat c(a.rows, b.cols);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t k = 0; k < a.cols; ++k) {
      for (std::int64_t j = 0; j < b.cols; ++j) c.at(i, j) += a.at(i, k) * b.at(k, j);
    }
  }
  return c;
}

inline Mat transposed(const Mat& a) {
  Mat t(a.cols, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.cols; ++j) t.at(j, i) = a.at(i, j);
  }
  return t;
}

inline Mat sum(Mat a, const Mat& b) {
  for (std::size_t i = 0; i < a.data.size(); ++i) a.data[i] += b.data[i];
  return a;
}

struct Linear {
  Mat weight;  // (n_out, n_in)
  Mat bias;    // (1, n_out)

  Mat operator()(const Mat& x) const {
    Mat y = product(x, transposed(weight));
    for (std::int64_t i = 0; i < y.rows; ++i) {
      for (std::int64_t j = 0; j < y.cols; ++j) y.at(i, j) += bias.at(0, j);
    }
    return y;
  }
};

// Each row; zeros stay zeros.
inline Mat l2norm_rows(Mat x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    double square = 0;
    for (std::int64_t j = 0; j < x.cols; ++j) square += x.at(i, j) * x.at(i, j);
    for (std::int64_t j = 0; j < x.cols && square > 0; ++j) x.at(i, j) /= std::sqrt(square);
  }
  return x;
}

inline Mat l2norm_columns(const Mat& x) { return transposed(l2norm_rows(transposed(x))); }

// Refine-ITR, equation 3.
inline Mat light_gcn(const Mat& v, const Mat& sigma, const Linear& g, const Linear& r) {
  const Mat affinity = product(sigma, product(v, transposed(v)));
  return sum(r(product(affinity, g(v))), v);
}

// VSRN's layer.
inline Mat vsrn_gcn(const Mat& v, const Linear& theta, const Linear& phi, const Linear& g,
                    const Linear& r, double scale) {
  Mat relation = product(theta(v), transposed(phi(v)));
  for (double& x : relation.data) x *= scale;
  return sum(r(product(relation, g(v))), v);
}

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// All hidden states (steps, D); gates (steps, 3D) carry b_ih.
inline Mat gru(const Mat& gates, const Linear& w_hh) {
  const std::int64_t d = gates.cols / 3;
  Mat states(gates.rows, d);
  Mat h(1, d);
  for (std::int64_t t = 0; t < gates.rows; ++t) {
    const Mat u = w_hh(h);
    for (std::int64_t j = 0; j < d; ++j) {
      const double r = sigmoid(gates.at(t, j) + u.at(0, j));
      const double z = sigmoid(gates.at(t, d + j) + u.at(0, d + j));
      const double n = std::tanh(gates.at(t, 2 * d + j) + r * u.at(0, 2 * d + j));
      h.at(0, j) = states.at(t, j) = (1 - z) * n + z * h.at(0, j);
    }
  }
  return states;
}

// Per column the values in descending order times the coefficients (rows), added up, (1, cols).
inline Mat gpo(const Mat& x, const std::vector<double>& coefficients) {
  Mat out(1, x.cols);
  for (std::int64_t j = 0; j < x.cols; ++j) {
    std::vector<double> column;
    for (std::int64_t i = 0; i < x.rows; ++i) column.push_back(x.at(i, j));
    std::sort(column.rbegin(), column.rend());
    out.at(0, j) = std::inner_product(column.begin(), column.end(), coefficients.begin(), 0.0);
  }
  return out;
}

// Per column the mean of the `top` largest, (1, cols).
inline Mat top_mean(const Mat& x, std::int64_t top) {
  std::vector<double> coefficients(static_cast<std::size_t>(x.rows));
  std::fill_n(coefficients.begin(), top, 1 / static_cast<double>(top));
  return gpo(x, coefficients);
}

// Columns of one row by descending value, equal ones by lower index.
inline std::vector<std::int64_t> ranked(const Mat& scores, std::int64_t row) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(scores.cols));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return scores.at(row, a) > scores.at(row, b);
  });
  return order;
}

}  // namespace refine_itr::reference
