#include <cmath>
#include <cstring>

#include "bf16.h"
#include "check.h"
#include "narrow_gallery.h"
#include "ops/narrow_top_k.h"
#include "ops/nms.h"
#include "ops/select_regions.h"
#include "ops/top_k.h"

namespace refine_itr::test {
namespace {

void check_top_k(Random& random, std::int64_t q, std::int64_t n, std::int64_t d, std::int64_t k) {
  // Whole numbers: scores are exact and often equal.
  const Floats queries = random.whole(q * d, -2, 2);
  const Floats gallery = random.whole(n * d, -2, 2);
  const Mat exact =
      reference::product(mat(queries, q, d), reference::transposed(mat(gallery, n, d)));
  Workspace workspace;
  for (const int threads : {1, 2, 3}) {
    Floats scores(static_cast<std::size_t>(q * k));
    std::vector<std::int64_t> ids(static_cast<std::size_t>(q * k));
    top_k(view(queries, q, d), view(gallery, n, d), {nullptr}, view(scores, q, k), ids.data(),
          workspace, threads);
    bool same = true;
    for (std::int64_t i = 0; i < q; ++i) {
      const auto order = reference::ranked(exact, i);
      for (std::int64_t j = 0; j < k; ++j) {
        const auto slot = static_cast<std::size_t>(i * k + j);
        const std::int64_t id = order[static_cast<std::size_t>(j)];
        same = same && ids[slot] == id && scores[slot] == exact.at(i, id);
      }
    }
    expect("top_k", same);
  }
}

struct Found {
  Floats scores;
  std::vector<std::int64_t> ids;

  bool operator==(const Found& other) const {
    if (ids != other.ids) return false;
    const std::size_t size = scores.size() * sizeof(float);
    return size == 0 || std::memcmp(scores.data(), other.scores.data(), size) == 0;
  }
};

// search(scores, ids) for k of q queries.
template <class Search>
Found found(std::int64_t q, std::int64_t k, const Search& search) {
  Found result{Floats(static_cast<std::size_t>(q * k)),
               std::vector<std::int64_t>(static_cast<std::size_t>(q * k))};
  search(view(result.scores, q, k), result.ids.data());
  return result;
}

// What is known of a narrow row holds, and is not much more than what is true.
void check_narrow_row(Random& random, std::int64_t d, double scale, NarrowPrecision precision,
                      std::int64_t levels) {
  const Floats v = random.normal(d, scale);
  std::vector<std::byte> codes(static_cast<std::size_t>(narrow_row_bytes(d, precision)));
  const NarrowRow row =
      narrow_row(active_table(), v.data(), d, precision, levels, codes.data());
  double norm = 0.0;
  double error = 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    double code;
    if (precision == NarrowPrecision::int8) {
      code = static_cast<std::int8_t>(codes[i]);
      sum += code;
    } else {
      std::uint16_t half;
      std::memcpy(&half, codes.data() + 2 * i, sizeof(half));
      code = from_bf16(half);
    }
    const double lost = v[i] - static_cast<double>(row.scale) * code;
    norm += static_cast<double>(v[i]) * v[i];
    error += lost * lost;
  }
  norm = std::sqrt(norm);
  error = std::sqrt(error);
  const double most = 1.01 + 1e-6 * static_cast<double>(d);
  expect("norm of a narrow row", row.norm >= norm && row.norm <= most * norm);
  // Of bfloat16 it is what rounding takes at most: 2^-8 of a number.
  const double limit = precision == NarrowPrecision::int8 ? most * error + 1e-3 * norm
                                                          : most * 0x1p-8 * norm;
  expect("error of a narrow row", row.error >= error && row.error <= limit);
  expect("sum of the codes", row.sum == static_cast<float>(sum));
}

// Rows of `scale`, one of them a NaN; with a filter of every third row.
void check_narrow(Random& random, std::int64_t q, std::int64_t n, std::int64_t d, std::int64_t k,
                  double scale) {
  const Floats queries = random.normal(q * d);
  Floats rows = random.normal(n * d, scale);
  if (rows.size() > 5) rows[5] = std::nanf("");
  const Floats& gallery = rows;
  const std::vector<std::uint8_t> bits(static_cast<std::size_t>(ceil_div(n, 8)), 0x49);
  Workspace workspace;
  for (const auto precision : {NarrowPrecision::bf16, NarrowPrecision::int8}) {
    NarrowGallery narrow(view(gallery, n / 2, d), precision);
    narrow.append({gallery.data() + n / 2 * d, n - n / 2, d, d});
    for (const RowFilter filter : {RowFilter{nullptr}, RowFilter{bits.data()}}) {
      const Found plain = found(q, k, [&](Matrix scores, std::int64_t* ids) {
        top_k(view(queries, q, d), view(gallery, n, d), filter, scores, ids, workspace, 1);
      });
      for (const int threads : kThreads) {
        expect("narrow_top_k", plain == found(q, k, [&](Matrix scores, std::int64_t* ids) {
                 narrow_top_k(view(queries, q, d), view(gallery, n, d), narrow, filter, scores,
                              ids, workspace, threads);
               }));
      }
    }
  }
}

// So many queries and rows that they are screened, and the same queries a few at a time. `apart` is
// how far rows lie from one another.
void check_screened(Random& random, double apart) {
  const std::int64_t q = 130;
  const std::int64_t n = 17'000;
  const std::int64_t d = 12;
  const std::int64_t k = 4;
  const Floats queries = random.normal(q * d);
  const Floats base = random.normal(d);
  Floats rows = random.normal(n * d, apart);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] += base[i % base.size()];
  const Floats& gallery = rows;
  Workspace workspace;
  const auto search = [&](Range part, Matrix scores, std::int64_t* ids, int threads) {
    const ConstMatrix some{queries.data() + part.begin * d, part.size(), d, d};
    top_k(some, view(gallery, n, d), {nullptr}, {scores.row(part.begin), part.size(), k, k},
          ids + part.begin * k, workspace, threads);
  };
  const Found plain = found(q, k, [&](Matrix scores, std::int64_t* ids) {
    for (std::int64_t i = 0; i < q; i += 65) search({i, i + 65}, scores, ids, 1);
  });
  for (const int threads : kThreads) {
    expect("screened top_k", plain == found(q, k, [&](Matrix scores, std::int64_t* ids) {
             search({0, q}, scores, ids, threads);
           }));
  }
}

}  // namespace

void test_narrow_top_k() {
  Random random(9);
  for (const double scale : {1e-27, 1.0, 1e34}) {
    for (const std::int64_t d : {1, 2, 19, 64, 1000, 5000}) {
      check_narrow_row(random, d, scale, NarrowPrecision::bf16, 127);
      for (const std::int64_t levels : {63, 127}) {
        check_narrow_row(random, d, scale, NarrowPrecision::int8, levels);
      }
    }
  }
  for (const double scale : {1.0, 1e-30, 1e30}) {
    for (const std::int64_t n : kSizes) check_narrow(random, 3, n, 19, n / 2, scale);
    check_narrow(random, 7, 3000, 70, 10, scale);
  }
  check_narrow(random, 40, 2000, 130, 3, 1.0);
}

void test_screened_top_k() {
  Random random(10);
  check_screened(random, 1.0);
  check_screened(random, 1e-6);
}

void test_top_k() {
  Random random(8);
  for (const std::int64_t q : {1, 3, 31, 32}) {
    for (const std::int64_t n : kSizes) {
      check_top_k(random, q, n, 19, n);
      check_top_k(random, q, n, 4, n / 3);
    }
    check_top_k(random, q, 600, 33, 10);
  }
  check_top_k(random, 1100, 60, 50, 4);  // enough work for threads
  check_top_k(random, 4, 9000, 100, 20);
}

void test_nms() {
  // The second box lies over the first and is worse; the third is of another group.
  const Floats boxes = {0, 0, 10, 10, 0, 0, 10, 9, 0, 0, 10, 8};
  const Floats objectness = {0.9F, 0.8F, 0.1F};
  const std::vector<std::int64_t> groups = {0, 0, 1};
  const auto kept = nms(view(boxes, 3, 4), objectness.data(), groups.data(), 5, 0.7F, 0);
  expect("nms", kept == std::vector<std::int64_t>{0, 2});
}

void test_select_regions() {
  // The second box lies over the first and is worse; the third stands alone.
  const Floats boxes = {0, 0, 10, 10, 0, 0, 10, 9, 50, 50, 60, 60};
  const Floats scores = {0.9F, 0.8F, 0.1F};
  const auto selected = select_regions(view(boxes, 3, 4), view(scores, 3, 1), {5, 5, 0.3F, 0, 0, 0});
  expect("select_regions", selected == std::vector<std::int64_t>{0, 2, 1});
}

}  // namespace refine_itr::test
