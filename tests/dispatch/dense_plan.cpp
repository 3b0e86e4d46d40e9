#include "fanfold/dispatch/dense_plan.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/route/assignment.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;
namespace dispatch = fanfold::dispatch;

template <class T>
std::vector<T> listed(ff::view<T> v) {
  return {v.begin(), v.end()};
}

/// The plan that `make_plan` gives for one expert whom everybody chooses.
struct expected_plan {
  std::vector<std::int32_t> id;
  dispatch::dispatch_plan memory;

  explicit expected_plan(std::int64_t tokens) : id(static_cast<std::size_t>(tokens)), memory(dispatch::packed{}, tokens, 1, 1) {
    ff::matrix_view<std::int32_t> const ids(id.data(), tokens, 1);
    std::vector<float> weight(id.size(), 1);
    dispatch::make_plan(dispatch::plan_policy{}, ff::route::assignment<float>{ids, {weight.data(), tokens, 1}}, memory.view());
  }
};

template <class E>
void check_dense(E const& ex, std::int64_t tokens) {
  ff::workspace ws;
  ff::workspace::frame frame(ws);
  auto const plan = dispatch::dense_plan(ex, frame, tokens);
  expected_plan want(tokens);
  auto const expected = want.memory.view();
  CHECK(plan.tokens == tokens);
  CHECK(plan.slots == 1);
  CHECK(plan.experts() == 1);
  CHECK(plan.rows() == tokens);
  CHECK(plan.leaves_padding == expected.leaves_padding);
  CHECK(listed(plan.offsets) == listed(expected.offsets));
  CHECK(listed(plan.counts) == listed(expected.counts));
  CHECK(listed(plan.kept) == listed(expected.kept));
  CHECK(listed(plan.row_of) == listed(expected.row_of));
  CHECK(listed(plan.src_of) == listed(expected.src_of));
}

TEST_CASE("dense_plan: what make_plan gives one expert whom every token chooses, on every executor") {
  for (std::int64_t tokens : {0, 1, 2, 77}) {
    CAPTURE(tokens);
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      check_dense(ex, tokens);
    });
    ff::workspace device_memory;
    check_dense(ff::emulate::executor(device_memory, {.block_threads = 32, .resident_blocks = 2}), tokens);
  }
}

}  // namespace
