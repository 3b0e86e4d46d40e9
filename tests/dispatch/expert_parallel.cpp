#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/dispatch/expert_parallel.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using floats = std::vector<float>;
using ints = std::vector<std::int32_t>;
using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using bank = ffn_experts<ffn_weights<float const>>;

floats randoms(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  floats v(static_cast<std::size_t>(n));
  for (auto& x : v) x = static_cast<float>(static_cast<int>(engine() % 2001) - 1000) / 1024;
  return v;
}

struct network {
  std::int64_t experts, inner, wide;
  floats gate, up, down;
  network(std::int64_t e, std::int64_t h, std::int64_t i, unsigned seed)
      : experts(e), inner(h), wide(i), gate(randoms(e * h * i, seed)), up(randoms(e * h * i, seed + 1)), down(randoms(e * i * h, seed + 2)) {}
  ffn_weights<float const> view() const { return part(0, experts); }
  ffn_weights<float const> part(std::int64_t first, std::int64_t count) const {
    std::int64_t const skip = first * inner * wide;
    return {{gate.data() + skip, count, inner, wide}, {up.data() + skip, count, inner, wide}, {down.data() + skip, count, wide, inner}};
  }
};

/// Tokens dealt over P ranks unevenly; the first rank has none where there are more than two.
template <int P>
std::vector<std::int64_t> starts(std::int64_t tokens) {
  std::vector<std::int64_t> s(P + 1);
  for (int p = 0; p <= P; ++p) s[static_cast<std::size_t>(p)] = P > 2 ? (p <= 1 ? 0 : tokens * (p - 1) / (P - 1)) : tokens * p / P;
  return s;
}

template <int P>
void check_equal_to_one_process(exchange_form form) {
  std::int64_t const tokens = 53, experts = 16, inner = 10;
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

TEST_CASE("expert_parallel over meshes of 1, 2, 4 and 8 ranks has the bits of one process") {
  for (auto form : {exchange_form::row_a_token_and_rank, exchange_form::row_an_assignment}) {
    check_equal_to_one_process<1>(form);
    check_equal_to_one_process<2>(form);
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
  ints ids(static_cast<std::size_t>(tokens * slots));
  std::mt19937 engine(2);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 6) - 1;
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
