#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/expert_parallel.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::ints;
using support::matrix;
using network = support::network<float>;
using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using bank = ffn_experts<ffn_weights<float const>>;

floats randoms(std::int64_t n, unsigned seed) { return support::randoms<float>(n, seed); }

/// Tokens dealt over P ranks unevenly; the first rank has none where there are more than two.
template <int P>
std::vector<std::int64_t> starts(std::int64_t tokens) {
  std::vector<std::int64_t> s(P + 1);
  for (int p = 0; p <= P; ++p) s[static_cast<std::size_t>(p)] = P > 2 ? (p <= 1 ? 0 : tokens * (p - 1) / (P - 1)) : tokens * p / P;
  return s;
}

template <int P>
void check_equal_to_one_process(exchange_form form) {
  std::int64_t const tokens = 53, experts = 24, inner = 10;
  network const n(experts, inner, 7, 3);
  auto const x = randoms(tokens * inner, 1), logits = randoms(tokens * experts, 2);
  floats expected(x.size()), y(x.size());
  std::int64_t const each = experts / P;
  moe_layer{router{.select = {.k = 5}}, swiglu_experts{n.view()}, weighted_sum<by_rank_then_slot>{{.experts_a_rank = each}}}(
      serial, matrix_view(x.data(), tokens, inner), matrix_view(logits.data(), tokens, experts), matrix_view(y.data(), tokens, inner));
  expected = y;
  auto const start = starts<P>(tokens);
  std::vector<bank> banks;
  std::vector<matrix_view<float const>> rank_x, rank_logits;
  std::vector<matrix_view<float>> rank_y;
  for (int p = 0; p < P; ++p) {
    std::int64_t const first = start[static_cast<std::size_t>(p)], count = start[static_cast<std::size_t>(p) + 1] - first;
    banks.push_back(bank{n.part(p * each, each)});
    rank_x.emplace_back(x.data() + first * inner, count, inner);
    rank_logits.emplace_back(logits.data() + first * experts, count, experts);
    rank_y.emplace_back(y.data() + first * inner, count, inner);
  }
  parallel_moe_layer<router> const layer{router{.select = {.k = 5}}, {.experts_a_rank = each}, experts, form};
  auto const check = [&](char const* name, auto const& ex) {
    CAPTURE(name);
    local_mesh<P> const mesh;
    y.assign(y.size(), 7.0f);
    workspace ws;
    auto const step = [&] {
      layer(ex, mesh, banks, rank_x, rank_logits,
            rank_y, ws);
    };
    step();
    CHECK(support::same_bits(y, expected));
    if (P == 1) CHECK(mesh.bytes_moved() == 0);
    if (std::is_same_v<std::remove_cvref_t<decltype(ex)>, serial_executor>) {
      support::allocation_count const count;
      step();
      CHECK(count.get() == 0);
    }
  };
  if constexpr (P == 4)
    support::for_each_executor(check);
  else
    check("serial", serial);
}

}  // namespace

TEST_CASE("expert_parallel over meshes of 1, 2, 3, 4 and 8 ranks has the bits of one process") {
  for (auto form : {exchange_form::row_a_token_and_rank, exchange_form::row_an_assignment, exchange_form::every_token}) {
    check_equal_to_one_process<1>(form);
    check_equal_to_one_process<2>(form);
    check_equal_to_one_process<3>(form);
    check_equal_to_one_process<4>(form);
    check_equal_to_one_process<8>(form);
  }
}

TEST_CASE("expert_parallel: rows of the worked example; a row a (token, rank) never costs more") {
  // experts 0, 1 on rank 0, 2, 3 on rank 1: three plus one rows cross by assignments, three plus one by tokens here
  ints const id0{2, 0, 2, 1, 0, 2}, id1{3, 2, 2, 0};
  network const n(4, 1, 1, 1);
  std::vector<bank> const banks{bank{n.part(0, 2)}, bank{n.part(2, 2)}};
  floats const x{1, 2, 3, 4, 5}, w(10, 0.5f);
  std::int64_t moved[2];
  floats y[2] = {floats(5), floats(5)};
  for (int form = 0; form < 2; ++form) {
    std::vector<rank_batch<float>> const batches{{{x.data(), 3, 1}, {{id0.data(), 3, 2}, {w.data(), 3, 2}}, {}, {y[form].data(), 3, 1}},
                                                 {{x.data() + 3, 2, 1}, {{id1.data(), 2, 2}, {w.data() + 6, 2, 2}}, {}, {y[form].data() + 3, 2, 1}}};
    local_mesh<2> const mesh;
    expert_parallel(serial, mesh, form == 0 ? exchange_form::row_an_assignment : exchange_form::row_a_token_and_rank, {.experts_a_rank = 2}, 4, banks,
                    batches);
    moved[form] = mesh.bytes_moved();
  }
  CHECK(support::same_bits(y[0], y[1]));
  // by assignment: 4 rows there and back and 2 x 4 counts; by (token, rank): 4 rows with 2 slots and back and 2 counts
  CHECK(moved[0] == 4 * 2 * 4 + 2 * 4 * 4);
  CHECK(moved[1] == 4 * (4 + 2 * 8 + 4) + 2 * 8);
}

namespace {

/// A mesh that counts the bytes between nodes apart.
template <int P, int RanksANode>
class node_mesh {
 public:
  static constexpr std::int64_t size() { return P; }
  static constexpr std::int64_t local_ranks() { return P; }
  static constexpr std::int64_t rank(std::int64_t i) { return i; }
  template <class T>
  void all_gather(view<view<T const> const> send, view<view<std::type_identity_t<T>> const> receive) const {
    mesh_.all_gather(send, receive);
  }
  template <class T>
  void all_to_all_v(view<view<T const> const> send, matrix_view<std::int64_t const> send_counts, view<view<std::type_identity_t<T>> const> receive,
                    matrix_view<std::int64_t const> receive_counts) const {
    for (int p = 0; p < P; ++p)
      for (int q = 0; q < P; ++q)
        if (p / RanksANode != q / RanksANode && std::is_same_v<T, float>) slow_ += send_counts(p, q);
    mesh_.all_to_all_v(send, send_counts, receive, receive_counts);
  }
  std::int64_t slow_floats() const { return slow_; }

 private:
  local_mesh<P> mesh_;
  mutable std::int64_t slow_ = 0;
};

}  // namespace

TEST_CASE("expert_parallel in two levels: ranks fold in their node, nodes after; a row a (token, node) crosses") {
  std::int64_t const tokens = 40, experts = 16, inner = 6, slots = 5, each = 2;
  network const n(experts, inner, 7, 3);
  auto const x = randoms(tokens * inner, 1), w = randoms(tokens * slots, 2), init = randoms(tokens * inner, 4);
  auto const ids = support::random_ids(tokens * slots, experts, 5);
  constexpr int ranks = 8, a_node = 4;
  // the bracket by hand: what each rank's experts give alone, folded by node, then onto init
  std::vector<floats> part(ranks, floats(x.size()));
  auto const hit = [&](std::int64_t t, std::int64_t rank) {
    bool any = false;
    for (std::int64_t s = 0; s < slots; ++s) {
      std::int32_t const e = ids[static_cast<std::size_t>(t * slots + s)];
      any = any || (e >= 0 && e / each == rank);
    }
    return any;
  };
  for (std::int64_t q = 0; q < ranks; ++q) {
    ints mine = ids;
    for (auto& e : mine) e = e >= 0 && e / each == q ? e : -1;
    auto plan = support::plan_of(mine, slots, experts);
    expert_ffn(serial, ffn_policy{}, plan.view(), n.view(), matrix(x, tokens, inner), matrix(w, tokens, slots), matrix(part[static_cast<std::size_t>(q)], tokens, inner));
  }
  floats expected = init;
  std::int64_t crossing = 0;
  std::vector<std::int64_t> const start = starts<ranks>(tokens);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::int64_t home = 0;
    while (start[static_cast<std::size_t>(home) + 1] <= t) ++home;
    for (std::int64_t node = 0; node < ranks / a_node; ++node) {
      bool any = false;
      floats sum(static_cast<std::size_t>(inner));
      for (std::int64_t q = node * a_node; q < (node + 1) * a_node; ++q) {
        if (!hit(t, q)) continue;
        for (std::int64_t c = 0; c < inner; ++c) {
          float const p = part[static_cast<std::size_t>(q)][static_cast<std::size_t>(t * inner + c)];
          float& to = sum[static_cast<std::size_t>(c)];
          to = any ? to + p : p;
        }
        any = true;
      }
      if (!any) continue;
      crossing += home / a_node != node;
      for (std::int64_t c = 0; c < inner; ++c) expected[static_cast<std::size_t>(t * inner + c)] += sum[static_cast<std::size_t>(c)];
    }
  }
  floats y(x.size(), 7.0f);
  std::vector<bank> banks;
  std::vector<rank_batch<float>> batches;
  for (std::int64_t q = 0; q < ranks; ++q) {
    std::int64_t const first = start[static_cast<std::size_t>(q)], count = start[static_cast<std::size_t>(q) + 1] - first;
    banks.push_back(bank{n.part(q * each, each)});
    batches.push_back({{x.data() + first * inner, count, inner}, {{ids.data() + first * slots, count, slots}, {w.data() + first * slots, count, slots}},
                       {init.data() + first * inner, count, inner}, {y.data() + first * inner, count, inner}});
  }
  workspace ws;
  node_mesh<ranks, a_node> const mesh;
  auto const step = [&] { expert_parallel(serial, mesh, row_a_token_and_node{.ranks_a_node = a_node}, {.experts_a_rank = each}, experts, banks, batches, ws); };
  step();
  CHECK(support::same_bits(y, expected));
  // a row and its weights there, a partial result back
  CHECK(mesh.slow_floats() == crossing * (inner + slots + inner));
  node_mesh<ranks, a_node> const flat;
  expert_parallel(serial, flat, exchange_form::row_a_token_and_rank, {.experts_a_rank = each}, experts, banks, batches, ws);
  CHECK(flat.slow_floats() > mesh.slow_floats());
  CHECK(support::largest_difference(y, expected) < 1e-4);
  step();
  support::allocation_count const count;
  step();
  CHECK(count.get() == 0);
  CHECK_THROWS_WITH_AS(expert_parallel(serial, mesh, row_a_token_and_node{.ranks_a_node = 3}, {.experts_a_rank = each}, experts, banks, batches), doctest::Contains("ranks_a_node"),
                       argument_error);
}

TEST_CASE("expert_parallel: owners in any order, init, drops within a rank, weights on the tokens") {
  std::int64_t const tokens = 24, inner = 6, slots = 3;
  network const n(5, inner, 4, 3);
  // rank 0 holds experts 1, 3, 4, rank 1 experts 0, 2: gathered by hand
  ints const owner{1, 0, 1, 0, 0};
  auto const pick = [&](floats const& v, std::initializer_list<int> list) {
    floats out;
    for (int e : list) out.insert(out.end(), v.begin() + e * inner * 4, v.begin() + (e + 1) * inner * 4);
    return out;
  };
  floats const g0 = pick(n.gate, {1, 3, 4}), u0 = pick(n.up, {1, 3, 4}), d0 = pick(n.down, {1, 3, 4}), g1 = pick(n.gate, {0, 2}), u1 = pick(n.up, {0, 2}), d1 = pick(n.down, {0, 2});
  ffn_weights<float const> const w0{{g0.data(), 3, inner, 4}, {u0.data(), 3, inner, 4}, {d0.data(), 3, 4, inner}}, w1{{g1.data(), 2, inner, 4}, {u1.data(), 2, inner, 4}, {d1.data(), 2, 4, inner}};
  auto const x = randoms(tokens * inner, 1), w = randoms(tokens * slots, 2), init = randoms(tokens * inner, 4);
  auto const ids = support::random_ids(tokens * slots, 5, 2);
  for (bool before : {false, true}) {
    floats expected(x.size()), y(x.size());
    dispatch_plan plan(packed{}, tokens, slots, 5);
    route::assignment<float const, std::int32_t const> const routes{{ids.data(), tokens, slots}, {w.data(), tokens, slots}};
    make_plan(packed{}, routes, plan.view());
    // weights on the tokens: the fold has none, but the bracket stays
    expert_ffn(serial, ffn_policy{glu<silu>{}, weighted_sum<by_rank_then_slot>{{1, owner}}, before}, plan.view(), n.view(), matrix_view(x.data(), tokens, inner), routes.weight,
               matrix_view(init.data(), tokens, inner), matrix_view(expected.data(), tokens, inner));
    std::vector<bank> const banks{bank{w0, {}, before}, bank{w1, {}, before}};
    std::int64_t const half = 10;
    auto const rank = [&](std::int64_t first, std::int64_t count) {
      return rank_batch<float>{{x.data() + first * inner, count, inner}, {{ids.data() + first * slots, count, slots}, {w.data() + first * slots, count, slots}},
                               {init.data() + first * inner, count, inner}, {y.data() + first * inner, count, inner}};
    };
    std::vector<rank_batch<float>> const batches{rank(0, half), rank(half, tokens - half)};
    local_mesh<2> const mesh;
    expert_parallel(serial, mesh, exchange_form::row_a_token_and_rank, {1, owner}, 5, banks, batches);
    CHECK(support::same_bits(y, expected));
    if (before) {
      CHECK_THROWS_WITH_AS(expert_parallel(serial, mesh, exchange_form::row_an_assignment, {1, owner}, 5, banks, batches),
                           doctest::Contains("weights multiply"), argument_error);
    } else {
      expert_parallel(serial, mesh, exchange_form::row_an_assignment, {1, owner}, 5, banks, batches);
      CHECK(support::same_bits(y, expected));
    }
    CHECK_THROWS_WITH_AS(expert_parallel(serial, mesh, exchange_form::row_an_assignment, {.experts_a_rank = 2}, 5, banks, batches),
                         doctest::Contains("owner"), argument_error);
  }
  // a capacity of 2 an expert and rank
  auto const logits = randoms(tokens * 5, 8);
  floats y(x.size()), expected(x.size());
  local_mesh<2> const mesh;
  parallel_moe_layer<router, capacity> const layer{router{.select = {.k = 2}}, {1, owner}, 5, exchange_form::row_a_token_and_rank, capacity{2}};
  std::vector<bank> const banks{bank{w0}, bank{w1}};
  std::vector<matrix_view<float const>> const xs{{x.data(), 12, inner}, {x.data() + 12 * inner, 12, inner}}, ls{{logits.data(), 12, 5}, {logits.data() + 60, 12, 5}};
  std::vector<matrix_view<float>> const ys{{y.data(), 12, inner}, {y.data() + 12 * inner, 12, inner}};
  layer(serial, mesh, banks, xs, ls, ys);
  for (std::int64_t first : {0, 12})
    moe_layer{router{.select = {.k = 2}}, swiglu_experts{n.view()}, weighted_sum<by_rank_then_slot>{{1, owner}}, capacity{2}}(
        serial, matrix_view(x.data() + first * inner, 12, inner), matrix_view(logits.data() + first * 5, 12, 5), matrix_view(expected.data() + first * inner, 12, inner));
  CHECK(support::same_bits(y, expected));
}

namespace {

/// A mesh on which only rows of numbers may travel.
template <int P>
class rows_mesh {
 public:
  static constexpr std::int64_t size() { return P; }
  static constexpr std::int64_t local_ranks() { return P; }
  static constexpr std::int64_t rank(std::int64_t i) { return i; }
  template <class T>
  void all_gather(view<view<T const> const>, view<view<std::type_identity_t<T>> const>) const {
    FAIL("counts were gathered");
  }
  template <class T>
  void all_to_all_v(view<view<T const> const> send, matrix_view<std::int64_t const> send_counts, view<view<std::type_identity_t<T>> const> receive,
                    matrix_view<std::int64_t const> receive_counts) const {
    CHECK(std::is_same_v<T, float>);
    for (int p = 0; p < P; ++p)
      for (int q = 0; q < P; ++q) CHECK(send_counts(p, q) == receive_counts(p, q));
    mesh_.all_to_all_v(send, send_counts, receive, receive_counts);
  }
  std::int64_t bytes_moved() const { return mesh_.bytes_moved(); }

 private:
  local_mesh<P> mesh_;
};

/// One process that drops within each rank's tokens; chunks are as long as the places say, whatever the routes.
template <int P>
void check_places(std::int64_t places) {
  CAPTURE(P);
  CAPTURE(places);
  std::int64_t const tokens = 37, experts = 8, inner = 6, slots = 3, each = experts / P;
  network const n(experts, inner, 5, 3);
  auto const x = randoms(tokens * inner, 1), w = randoms(tokens * slots, 2), init = randoms(tokens * inner, 4);
  auto const ids = support::random_ids(tokens * slots, experts, 5);
  auto const start = starts<P>(tokens);
  floats expected(x.size()), y(x.size());
  std::vector<bank> banks;
  std::vector<rank_batch<float>> batches;
  std::int64_t dropped = 0;
  for (std::int64_t q = 0; q < P; ++q) {
    std::int64_t const first = start[static_cast<std::size_t>(q)], count = start[static_cast<std::size_t>(q) + 1] - first;
    banks.push_back(bank{n.part(q * each, each)});
    batches.push_back({{x.data() + first * inner, count, inner}, {{ids.data() + first * slots, count, slots}, {w.data() + first * slots, count, slots}},
                       {init.data() + first * inner, count, inner}, {y.data() + first * inner, count, inner}});
    auto const& b = batches.back();
    dispatch_plan plan(capacity{places}, count, slots, experts);
    make_plan(capacity{places}, b.routes, plan.view());
    expert_ffn(serial, ffn_policy{glu<silu>{}, weighted_sum<by_rank_then_slot>{{.experts_a_rank = each}}}, plan.view(), n.view(), b.x, b.routes.weight, b.init,
               matrix_view(expected.data() + first * inner, count, inner));
    for (std::int64_t e = 0; e < experts; ++e) dropped += plan.view().counts[e] - plan.view().kept[e];
  }
  CHECK((dropped > 0) == (places < 20));
  auto const check = [&](char const* name, auto const& ex) {
    CAPTURE(name);
    rows_mesh<P> const mesh;
    y.assign(y.size(), 7.0f);
    workspace ws;
    auto const step = [&] { expert_parallel(ex, mesh, row_a_place{.places_an_expert = places}, {.experts_a_rank = each}, experts, banks, batches, ws); };
    step();
    CHECK(support::same_bits(y, expected));
    CHECK(mesh.bytes_moved() == P * (P - 1) * each * places * 2 * inner * 4);
    if (std::is_same_v<std::remove_cvref_t<decltype(ex)>, serial_executor>) {
      support::allocation_count const count;
      step();
      CHECK(count.get() == 0);
    }
  };
  if constexpr (P == 4)
    support::for_each_executor(check);
  else
    check("serial", serial);
  if (dropped > 0) return;
  floats const padded = y;
  local_mesh<P> const mesh;
  expert_parallel(serial, mesh, exchange_form::row_an_assignment, {.experts_a_rank = each}, experts, banks, batches);
  CHECK(support::same_bits(y, padded));
}

}  // namespace

TEST_CASE("expert_parallel with a row a place: equal chunks, nothing told, the bits of one process that drops a rank's assignments") {
  for (std::int64_t places : {0, 1, 4, 30}) {
    check_places<1>(places);
    check_places<2>(places);
    check_places<4>(places);
    check_places<8>(places);
  }
}

TEST_CASE("expert_parallel with a row a place: a layer that drops alike, owners in any order, errors") {
  std::int64_t const tokens = 16, inner = 4;
  network const n(2, inner, 3, 3);
  auto const x = randoms(tokens * inner, 1), logits = randoms(tokens * 2, 2);
  // expert 1 on rank 0, expert 0 on rank 1
  ints const owner{1, 0};
  std::vector<bank> const banks{bank{n.part(1, 1)}, bank{n.part(0, 1)}};
  floats y(x.size()), expected(x.size());
  std::vector<matrix_view<float const>> const xs{{x.data(), 8, inner}, {x.data() + 8 * inner, 8, inner}}, ls{{logits.data(), 8, 2}, {logits.data() + 16, 8, 2}};
  auto const out = [&](floats& v) { return std::vector<matrix_view<float>>{{v.data(), 8, inner}, {v.data() + 8 * inner, 8, inner}}; };
  local_mesh<2> const mesh;
  router const choose{.select = {.k = 1}};
  parallel_moe_layer<router, packed, row_a_place>{choose, {1, owner}, 2, {.places_an_expert = 3}}(serial, mesh, banks, xs, ls, out(y));
  parallel_moe_layer<router, capacity>{choose, {1, owner}, 2, exchange_form::row_an_assignment, capacity{3}}(serial, mesh, banks, xs, ls, out(expected));
  CHECK(support::same_bits(y, expected));
  int empty = 0;
  for (std::int64_t t = 0; t < tokens; ++t) empty += y[static_cast<std::size_t>(t * inner)] == 0;
  CHECK(empty >= 4);  // sixteen tokens, at most twelve places

  std::vector<bank> const before{bank{n.part(1, 1), {}, true}, bank{n.part(0, 1), {}, true}};
  std::vector<rank_batch<float>> const none(2);
  for (std::int64_t places : {std::int64_t{-1}, std::int64_t{1} << 30})
    CHECK_THROWS_WITH_AS(expert_parallel(serial, mesh, row_a_place{places}, {1, owner}, 2, banks, none), doctest::Contains("places_an_expert"), argument_error);
  CHECK_THROWS_WITH_AS(expert_parallel(serial, mesh, row_a_place{1}, {1, owner}, 2, before, none), doctest::Contains("weights multiply"), argument_error);
}
