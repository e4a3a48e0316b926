// native_test [isa ...]: runs all tests on the instruction sets named, or on all available ones.
// Exit code 1 for a failure, and for an instruction set that is not available.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "check.h"
#include "isa/dispatch.h"

namespace refine_itr::test {
namespace {

void run_all(const std::string& isa) {
  force_isa(isa);
  expect("the forced instruction set is active", isa == active_table().name);
  const std::int64_t before = totals().checks;
  test_linear();
  test_l2norm();
  test_pooling();
  test_light_gcn();
  test_vsrn_gcn();
  test_gru();
  test_encoders();
  test_top_k();
  test_narrow_top_k();
  test_screened_top_k();
  test_nms();
  test_select_regions();
  std::printf("%s: %lld checks\n", isa.c_str(),
              static_cast<long long>(totals().checks - before));
}

}  // namespace
}  // namespace refine_itr::test

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> named(argv + 1, argv + argc);
    for (const auto& isa : named.empty() ? refine_itr::available_isas() : named) {
      refine_itr::test::run_all(isa);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  const auto totals = refine_itr::test::totals();
  std::printf("%lld of %lld checks failed\n", static_cast<long long>(totals.failures),
              static_cast<long long>(totals.checks));
  return totals.failures == 0 ? 0 : 1;
}
