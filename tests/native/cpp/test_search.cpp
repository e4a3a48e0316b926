#include "check.h"
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
    top_k(view(queries, q, d), view(gallery, n, d), view(scores, q, k), ids.data(), workspace,
          threads);
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

}  // namespace

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
