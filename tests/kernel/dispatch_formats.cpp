#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/block_list.hpp"
#include "fanfold/dispatch/compact.hpp"
#include "fanfold/dispatch/scatter2scatter_vjp.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch_vjp.hpp"
#include "fanfold/kernel/grouped_gemm_vjp.hpp"
#include "fanfold/kernel/scan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;
using support::contents;
using support::floats;
using support::ints;
using support::matrix;
using support::randoms;
using sizes = std::vector<std::int64_t>;

TEST_CASE("emulated block lists equal the host's, also of a rank's own experts") {
  auto const ids = support::random_ids(60, 5, 3);
  ints const map{-1, 0, -1, 1, 2};
  for (std::int64_t block : {1, 4, 16}) {
    auto const make = [&](auto const& ex) {
      ints local(60);
      local_ids(ex, matrix(ids, 30, 2), map, local);
      dispatch_plan plan(packed{block}, 30, 2, 3);
      make_plan(ex, packed{block}, route::assignment<float const, std::int32_t const>{matrix(std::as_const(local), 30, 2), {}}, plan.view());
      std::int64_t const bound = plan.view().row_bound();
      ints sorted(static_cast<std::size_t>(bound), 7), expert(static_cast<std::size_t>(bound / block), 7), rows = expert;
      sizes used(1);
      make_block_list(ex, plan.view(), {sorted, expert, rows, used, block, 60, -1});
      for (auto const* v : {&sorted, &expert, &rows}) local.insert(local.end(), v->begin(), v->end());
      local.push_back(static_cast<std::int32_t>(used[0]));
      return local;
    };
    auto const expected = make(serial);
    support::for_each_geometry([&](auto const& ex) { CHECK(make(ex) == expected); });
  }
}

TEST_CASE("emulated pack_varlen equals the host's") {
  ints const lengths{2, 0, 7, 3, 7, 1};
  auto const make = [&](auto const& ex) {
    dispatch_plan plan(packed{}, 42, 1, 1);
    sizes first(7);
    pack_varlen(ex, lengths, 7, plan.view(), first);
    first.insert(first.end(), plan.view().row_of.data(), plan.view().row_of.data() + 42);
    return first;
  };
  auto const expected = make(serial);
  support::for_each_geometry([&](auto const& ex) { CHECK(make(ex) == expected); });
}

TEST_CASE("emulated compaction gives the moves of the host's lists") {
  support::lcg g(4);
  for (std::int64_t n : {0, 1, 31, 200, 5000})
    for (std::int64_t of : {1, 2, 5}) {
      std::vector<std::uint8_t> alive;
      for (std::int64_t i = 0; i < n; ++i) alive.push_back(of == 1 || g.below(of) == 0 ? 1 : 0);
      auto const stable = compact_stable(alive), few = compact_min_moves(alive);
      auto const check = [&](auto const& ex, compaction const& expected, auto const& run) {
        auto const size = static_cast<std::size_t>(n);
        ints where(size, 7), from(size, 7), to(size, 7);
        sizes count(2, 7);
        run(ex, compaction_view{where, from, to, count});
        CHECK(count == sizes{expected.alive, static_cast<std::int64_t>(expected.moves.size())});
        CHECK(where == expected.where);
        bool same = true;
        for (std::size_t i = 0; i < expected.moves.size(); ++i) same = same && from[i] == expected.moves[i].from && to[i] == expected.moves[i].to;
        CHECK(same);
      };
      support::for_each_geometry([&](auto const& ex) {
        check(ex, stable, [&](auto const& e, compaction_view const& out) { compact_stable(e, alive, out); });
        check(ex, few, [&](auto const& e, compaction_view const& out) { compact_min_moves(e, alive, out); });
      });
    }
}

TEST_CASE("emulated scatter2scatter and its gradients against the host") {
  std::int64_t const tokens = 20, inner = 8, outer = 12;
  auto plan = support::plan_of(capacity{7}, support::random_ids(tokens * 2, 4, 3), 2, 4);
  auto const p = plan.view();
  auto const x = randoms<float>(tokens * inner, 1), rows = randoms<float>(tokens * 2 * inner, 2), w = randoms<float>(4 * inner * outer, 3), dy = randoms<float>(tokens * 2 * outer, 4);
  weight_bank<float const> const bank(w.data(), 4, inner, outer);
  auto const run = [&](auto const& ex) {
    floats y(dy.size(), 5.0f), dx(x.size(), 5.0f), drows(rows.size(), 5.0f), dw(w.size(), 5.0f), dw2 = dw;
    scatter2scatter(ex, p, gathered{matrix(x, tokens, inner)}, bank, assignment_sink{matrix(y, tokens * 2, outer)});
    scatter2scatter_vjp(ex, p, gathered{matrix(x, tokens, inner)}, bank, assignment_rows{matrix(dy, tokens * 2, outer)}, matrix(dx, tokens, inner), matrix_view<float>(),
                        weight_bank<float>(dw.data(), 4, inner, outer));
    scatter2scatter_vjp(ex, p, assignment_rows{matrix(rows, tokens * 2, inner)}, bank, assignment_rows{matrix(dy, tokens * 2, outer)}, matrix(drows, tokens * 2, inner),
                        matrix_view<float>(), weight_bank<float>(dw2.data(), 4, inner, outer));
    for (auto const* v : {&dx, &drows, &dw, &dw2}) y.insert(y.end(), v->begin(), v->end());
    return y;
  };
  auto const expected = run(serial);
  floats first;
  support::for_each_geometry([&](auto const& ex) {
    auto const got = run(ex);
    CHECK(support::largest_difference(got, expected) < 2e-5);
    if (first.empty()) first = support::same_products ? expected : got;
    CHECK(support::same_bits(got, first));
  });
}
