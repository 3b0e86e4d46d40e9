#include "fanfold/fold/level_sweep.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

TEST_CASE("levels are longest paths, and the sweep visits them in order") {
  // 0 -> 2, 1 -> 2, 2 -> 3, 0 -> 3, 4 alone
  std::vector<std::int64_t> const offsets{0, 0, 0, 2, 4, 4};
  std::vector<std::int32_t> const ids{0, 1, 2, 0};
  auto const dag = fanfold::dag_levels_of(fanfold::csr_view<float>{offsets, ids, {}});
  CHECK(dag.offsets == std::vector<std::int64_t>{0, 3, 4, 5});
  CHECK(dag.nodes == std::vector<std::int32_t>{0, 1, 4, 2, 3});

  std::vector<int> paths(5, 1);  // number of paths that end in a node
  fanfold::level_sweep(fanfold::serial, dag, [&](auto const&, fanfold::view<std::int32_t const> nodes) {
    for (std::int32_t v : nodes)
      for (std::int64_t e = offsets[static_cast<std::size_t>(v)]; e < offsets[static_cast<std::size_t>(v) + 1]; ++e)
        paths[static_cast<std::size_t>(v)] += paths[static_cast<std::size_t>(ids[static_cast<std::size_t>(e)])];
  });
  CHECK(paths == std::vector<int>{1, 1, 3, 5, 1});
}

TEST_CASE("cycles and bad ids are refused, the empty graph has no level") {
  std::vector<std::int64_t> const offsets{0, 1, 2};
  std::vector<std::int32_t> const cycle{1, 0}, bad{1, 5};
  CHECK_THROWS_WITH_AS(fanfold::dag_levels_of(fanfold::csr_view<float>{offsets, cycle, {}}), doctest::Contains("cyclic"), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::dag_levels_of(fanfold::csr_view<float>{offsets, bad, {}}), fanfold::argument_error);
  auto const none = fanfold::dag_levels_of(fanfold::csr_view<float>{});
  CHECK(none.levels() == 0);
  fanfold::level_sweep(fanfold::serial, none, [](auto const&, auto) { FAIL("no level, no call"); });
}
