#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/block_list.hpp"
#include "fanfold/dispatch/block_sparse.hpp"
#include "fanfold/dispatch/compact.hpp"
#include "fanfold/dispatch/encode.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/scatter2scatter.hpp"
#include "fanfold/dispatch/scatter2scatter_vjp.hpp"
#include "fanfold/route/capacity.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::contents;
using support::doubles;
using support::ints;
using support::matrix;
using sizes = std::vector<std::int64_t>;

// The example that all of these share: five tokens of two slots, four experts.
ints const& ids = support::ids_example;
doubles const weight{.75, .25, .5, .5, .6, .4, .9, .1, .8, .2}, tokens{1, 2, 3, 4, 5};

route::assignment<double const, std::int32_t const> routes() { return {matrix(ids, 5, 2), matrix(weight, 5, 2)}; }

template <class L>
dispatch_plan plan_of(L const& layout) {
  dispatch_plan plan(layout, 5, 2, 4);
  make_plan(layout, routes(), plan.view());
  return plan;
}

struct list_memory {
  ints sorted, expert, rows;
  sizes used = sizes(1);
  block_list list;
  list_memory(std::int64_t bound, std::int64_t block, std::int32_t pad)
      : sorted(static_cast<std::size_t>(bound)), expert(static_cast<std::size_t>(bound / block)), rows(expert.size()), list{sorted, expert, rows, used, block, pad, -1} {}
};

}  // namespace

TEST_CASE("capacity formulas: worked example by name") {
  using rule = route::capacity_rule;
  CHECK(rule::tutel(1.25).of(10, 4, 2) == 6);
  CHECK(rule::tutel(0).of(10, 4, 2, 7) == 7);
  CHECK(rule::tutel(-1, 8).of(10, 4, 2, 7) == 8);
  CHECK(rule::deepspeed(1.25).of(10, 4, 2) == 7);
  CHECK(rule::gshard(1.25).of(10, 4, 2) == 7);
}

TEST_CASE("block_list: worked example, padding id, experts of another rank, and back to a plan") {
  auto plan = plan_of(packed{4});
  list_memory m(plan.view().row_bound(), 4, 10);
  CHECK(m.sorted.size() == 24);
  make_block_list(serial, plan.view(), m.list);
  CHECK(m.used[0] == 20);
  CHECK(m.sorted == ints{1, 4, 9, 10, 3, 10, 10, 10, 0, 2, 5, 7, 8, 10, 10, 10, 6, 10, 10, 10, 10, 10, 10, 10});
  CHECK(m.expert == ints{0, 1, 2, 2, 3, -1});
  CHECK(m.rows == ints{3, 1, 4, 1, 1, 0});
  dispatch_plan back(packed{4}, 5, 2, 4);
  plan_from_blocks(m.list, back.view());
  auto const p = plan.view(), q = back.view();
  CHECK(contents(q.offsets, 5) == contents(p.offsets, 5));
  CHECK(contents(q.kept, 4) == contents(p.kept, 4));
  CHECK(contents(q.row_of, 10) == contents(p.row_of, 10));
  CHECK(contents(q.src_of, 20) == contents(p.src_of, 20));

  // this rank holds experts 1 and 3 as 0 and 1
  ints const map{-1, 0, -1, 1}, none(4, -1);
  ints local(10);
  local_ids(serial, matrix(ids, 5, 2), map, local);
  CHECK(local == ints{-1, -1, -1, 0, -1, -1, 1, -1, -1, -1});
  dispatch_plan mine(packed{4}, 5, 2, 2);
  local_ids(serial, matrix(ids, 5, 2), none, local);
  make_plan(packed{4}, route::assignment<double const, std::int32_t const>{matrix(local, 5, 2), {}}, mine.view());
  list_memory empty(mine.view().row_bound(), 4, -1);
  make_block_list(serial, mine.view(), empty.list);
  CHECK(empty.used[0] == 0);
  for (auto e : empty.expert) CHECK(e == -1);

  m.expert[1] = 3;
  CHECK_THROWS_WITH_AS(plan_from_blocks(m.list, back.view()), doctest::Contains("ascending"), argument_error);
  list_memory wrong(20, 4, -1);
  CHECK_THROWS_WITH_AS(make_block_list(serial, plan.view(), wrong.list), doctest::Contains("sorted_ids"), argument_error);
}

TEST_CASE("block_sparse_topology: worked example; the values are the rows of grouped products") {
  auto plan = plan_of(packed{4});
  auto const p = plan.view();
  auto const t = make_topology(p, 4, 8);
  CHECK(t.row_ptr == ints{0, 2, 4, 6, 8, 10});
  CHECK(t.column == ints{0, 1, 2, 3, 4, 5, 4, 5, 6, 7});
  CHECK(t.t_ptr == ints{0, 1, 2, 3, 4, 6, 8, 9, 10});
  CHECK(t.t_row == ints{0, 0, 1, 1, 2, 3, 2, 3, 4, 4});
  std::vector<bool> seen(10);
  for (std::size_t q = 0; q < 10; ++q) {
    auto const source = static_cast<std::size_t>(t.t_block[q]);
    CHECK(source / 2 == static_cast<std::size_t>(t.t_row[q]));
    seen[source] = true;
  }
  for (bool s : seen) CHECK(s);
  // sdd, densified: each expert's columns hold its products, everything else is zero
  doubles w(4 * 8), values(20 * 8), x(20);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>(i + 1);
  gather(p, matrix(tokens, 5, 1), matrix(x, 20, 1));
  grouped_gemm(serial, p, plan_rows{matrix(x, 20, 1)}, weight_bank<double const>(w.data(), 4, 1, 8), row_sink{matrix(values, 20, 8)});
  doubles dense(20 * 32);
  auto const v = matrix(values, 20, 8);
  for (std::int64_t r = 0; r < 5; ++r)
    for (std::int32_t q = t.row_ptr[static_cast<std::size_t>(r)]; q < t.row_ptr[static_cast<std::size_t>(r) + 1]; ++q)
      for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 4; ++j) dense[static_cast<std::size_t>((r * 4 + i) * 32 + t.column[static_cast<std::size_t>(q)] * 4 + j)] = t.at(v, q)[i * v.stride() + j];
  for (std::int64_t e = 0; e < 4; ++e)
    for (std::int64_t r = 0; r < 20; ++r)
      for (std::int64_t c = 0; c < 8; ++c) {
        bool const mine = r >= p.offsets[e] && r < p.offsets[e + 1];
        CHECK(dense[static_cast<std::size_t>(r * 32 + e * 8 + c)] == (mine ? x[static_cast<std::size_t>(r)] * w[static_cast<std::size_t>(e * 8 + c)] : 0));
      }
  CHECK_THROWS_WITH_AS(make_topology(p, 4, 6), doctest::Contains("width"), argument_error);
  CHECK_THROWS_WITH_AS(make_topology(p, 8, 8), doctest::Contains("bin"), argument_error);
}

TEST_CASE("encode, decode: worked example, the one-hot products, gradients, capacity 0") {
  auto plan = plan_of(capacity{3});
  auto const p = plan.view();
  CHECK(contents(p.row_of, 10) == ints{6, 0, 7, 3, 1, 8, 9, -1, -1, 2});
  doubles buffer(12, 9.0), y(5);
  encode(serial, p, matrix(tokens, 5, 1), matrix(buffer, 12, 1));
  CHECK(buffer == doubles{1, 3, 5, 2, 0, 0, 1, 2, 3, 4, 0, 0});
  decode(serial, p, matrix(buffer, 12, 1), matrix(weight, 5, 2), matrix(y, 5, 1));
  doubles const expected{1, 2, 3, 3.6, 1};
  for (std::size_t t = 0; t < 5; ++t) CHECK(y[t] == doctest::Approx(expected[t]).epsilon(1e-14));
  doubles dbuffer(12), dweight(10);
  doubles const one(5, 1.0);
  decode_vjp(serial, p, matrix(buffer, 12, 1), matrix(weight, 5, 2), matrix(one, 5, 1), matrix(dbuffer, 12, 1), matrix(dweight, 5, 2));
  for (std::size_t a = 0; a < 10; ++a) CHECK(dweight[a] == (p.row_of[a] < 0 ? 0 : tokens[a / 2]));
  for (std::int64_t r = 0; r < 12; ++r) {
    std::int32_t const a = p.src_of[r];
    CHECK(dbuffer[static_cast<std::size_t>(r)] == (a < 0 ? 0 : weight[static_cast<std::size_t>(a)]));
  }
  auto nothing = plan_of(capacity{0});
  doubles none;
  decode(serial, nothing.view(), matrix(none, 0, 1), matrix(weight, 5, 2), matrix(y, 5, 1));
  for (double v : y) CHECK(v == 0);
}

TEST_CASE("scatter2scatter: the four orders agree, dropped rows are 0, K = 1") {
  dispatch_plan plan(capacity{3}, 5, 2, 4);
  make_plan(capacity{3}, routes(), plan.view());
  auto const p = plan.view();
  std::int64_t const inner = 3, outer = 4;
  doubles x(15), per_assignment(30), rows(12 * 3), w(4 * 3 * 4);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i * 7 % 5) - 2;
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>(i * 3 % 7) - 3;
  for (std::size_t a = 0; a < 10; ++a)
    for (std::size_t c = 0; c < 3; ++c) per_assignment[a * 3 + c] = x[a / 2 * 3 + c];
  gather(p, matrix(x, 5, inner), matrix(rows, 12, inner));
  weight_bank<double const> const bank(w.data(), 4, inner, outer);
  auto const check = [&](auto const& source) {
    doubles grouped(48, 5.0), scattered(40, 5.0);
    scatter2scatter(serial, p, source, bank, row_sink{matrix(grouped, 12, outer)});
    scatter2scatter(serial, p, source, bank, assignment_sink{matrix(scattered, 10, outer)});
    for (std::size_t a = 0; a < 10; ++a)
      for (std::size_t c = 0; c < 4; ++c) {
        double expected = 0;
        for (std::size_t k = 0; k < 3 && p.row_of[a] >= 0; ++k) expected += x[a / 2 * 3 + k] * bank(ids[a], static_cast<std::int64_t>(k), static_cast<std::int64_t>(c));
        CHECK(scattered[a * 4 + c] == expected);
        if (p.row_of[a] >= 0) CHECK(grouped[static_cast<std::size_t>(p.row_of[a]) * 4 + c] == expected);
      }
  };
  check(gathered{matrix(x, 5, inner)});
  check(assignment_rows{matrix(per_assignment, 10, inner)});
  check(plan_rows{matrix(rows, 12, inner)});
  doubles few(4);
  CHECK_THROWS_AS(scatter2scatter(serial, p, gathered{matrix(x, 5, inner)}, bank, assignment_sink{matrix(few, 1, outer)}), argument_error);
}

TEST_CASE("scatter2scatter_vjp: every order against central differences") {
  dispatch_plan plan(capacity{3}, 5, 2, 4);
  make_plan(capacity{3}, routes(), plan.view());
  auto const p = plan.view();
  std::int64_t const inner = 3, outer = 4;
  auto x = support::randoms<double>(15, 1), per_assignment = support::randoms<double>(30, 2), rows = support::randoms<double>(36, 3), w = support::randoms<double>(48, 4),
       factor = support::randoms<double>(10, 5);
  auto const dy_rows = support::randoms<double>(48, 6), dy_assignments = support::randoms<double>(40, 7);
  weight_bank<double const> const bank(w.data(), 4, inner, outer);
  doubles grouped(48), scattered(40);
  // of a source that `make` builds anew, so that it sees changed inputs, into rows in bin order and an assignment's
  auto const check = [&](auto const& make, doubles& input, auto... with_weights) {
    bool const weighted = sizeof...(with_weights) > 0;
    auto const in_bins = [&] {
      scatter2scatter(serial, p, make(), bank, row_sink{matrix(grouped, 12, outer)});
      double sum = 0;
      for (std::int64_t r = 0; r < 12; ++r)
        for (std::int64_t c = 0; c < outer && p.src_of[r] >= 0; ++c) sum += grouped[static_cast<std::size_t>(r * outer + c)] * dy_rows[static_cast<std::size_t>(r * outer + c)];
      return sum;
    };
    auto const in_tokens = [&] {
      scatter2scatter(serial, p, make(), bank, assignment_sink{matrix(scattered, 10, outer)});
      return support::dot(scattered, dy_assignments);
    };
    auto const pull = [&](auto const& dy, auto const& loss) {
      doubles dx(input.size()), dw(w.size(), 9.0), dfactor(10, 9.0);
      auto const n = static_cast<std::int64_t>(input.size()) / inner;
      scatter2scatter_vjp(serial, p, make(), bank, dy, matrix(dx, n, inner), weighted ? matrix(dfactor, 5, 2) : matrix_view<double>(), weight_bank<double>(dw.data(), 4, inner, outer));
      support::check_gradient("source", input, dx, loss);
      support::check_gradient("bank", w, dw, loss);
      if (weighted) support::check_gradient("weight", factor, dfactor, loss);
    };
    pull(plan_rows{matrix(dy_rows, 12, outer)}, in_bins);
    pull(assignment_rows{matrix(dy_assignments, 10, outer)}, in_tokens);
  };
  check([&] { return gathered{matrix(std::as_const(x), 5, inner)}; }, x);
  check([&] { return gathered{matrix(std::as_const(x), 5, inner), matrix(std::as_const(factor), 5, 2)}; }, x, true);
  check([&] { return assignment_rows{matrix(std::as_const(per_assignment), 10, inner)}; }, per_assignment);
  check([&] { return plan_rows{matrix(std::as_const(rows), 12, inner)}; }, rows);
}

TEST_CASE("pack_varlen: worked example; packing and unpacking rows") {
  ints const lengths{2, 0, 3};
  dispatch_plan plan(packed{}, 12, 1, 1);
  sizes first(4);
  pack_varlen(serial, lengths, 4, plan.view(), first);
  auto const p = plan.view();
  CHECK(first == sizes{0, 2, 2, 5});
  CHECK(p.rows() == 5);
  CHECK(contents(p.src_of, 5) == ints{0, 1, 8, 9, 10});
  doubles x(12), rows(5), back(12, 3.0);
  for (std::size_t i = 0; i < 12; ++i) x[i] = static_cast<double>(i + 1);
  gather(p, matrix(x, 12, 1), matrix(rows, 5, 1));
  CHECK(rows == doubles{1, 2, 9, 10, 11});
  fold_combine(serial, weighted_sum{}, p, matrix(rows, 5, 1), matrix_view<double const>(), matrix(back, 12, 1));
  CHECK(back == doubles{1, 2, 0, 0, 0, 0, 0, 0, 9, 10, 11, 0});
  ints const bad{2, 5, 3};
  CHECK_THROWS_WITH_AS(pack_varlen(serial, bad, 4, plan.view(), first), doctest::Contains("length"), argument_error);
}

TEST_CASE("compact_stable, compact_min_moves: worked example and properties") {
  std::vector<std::uint8_t> const alive{1, 0, 1, 0, 0, 1, 1};
  auto const stable = compact_stable(alive), fewest = compact_min_moves(alive);
  auto const pairs = [](compaction const& c) {
    std::vector<std::pair<int, int>> out;
    for (auto const& m : c.moves) out.emplace_back(m.from, m.to);
    return out;
  };
  CHECK(pairs(stable) == std::vector<std::pair<int, int>>{{2, 1}, {5, 2}, {6, 3}});
  CHECK(pairs(fewest) == std::vector<std::pair<int, int>>{{5, 1}, {6, 3}});
  CHECK(stable.alive == 4);
  CHECK(fewest.where == ints{0, -1, 2, -1, -1, 1, 3});
  for (unsigned bits = 0; bits < 256; ++bits) {
    std::vector<std::uint8_t> flags(8);
    for (unsigned i = 0; i < 8; ++i) flags[i] = static_cast<std::uint8_t>(bits >> i & 1U);
    auto const a = compact_stable(flags), b = compact_min_moves(flags);
    CHECK(b.moves.size() <= a.moves.size());
    ints where(8), from(8), to(8);
    sizes count(2);
    compaction_view const out{where, from, to, count};
    auto const same = [&](compaction const& c) {
      CHECK(count == sizes{c.alive, static_cast<std::int64_t>(c.moves.size())});
      CHECK(where == c.where);
      for (std::size_t i = 0; i < c.moves.size(); ++i) CHECK((from[i] == c.moves[i].from && to[i] == c.moves[i].to));
    };
    compact_stable(serial, flags, out);
    same(a);
    compact_min_moves(serial, flags, out);
    same(b);
    for (auto const& c : {a, b}) {
      std::vector<int> buffer(8), survivors(8);
      for (std::size_t i = 0; i < 8; ++i) buffer[i] = static_cast<int>(i);
      for (auto const& m : c.moves) buffer[static_cast<std::size_t>(m.to)] = buffer[static_cast<std::size_t>(m.from)];
      for (std::size_t i = 0; i < 8; ++i)
        if (flags[i]) CHECK(buffer[static_cast<std::size_t>(c.where[i])] == static_cast<int>(i));
    }
  }
}
