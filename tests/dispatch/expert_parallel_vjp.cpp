#include "fanfold/dispatch/expert_parallel_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/expert_ffn_vjp.hpp"
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
using bank = ffn_experts<ffn_weights<float const>>;

floats randoms(std::int64_t n, unsigned seed) { return support::randoms<float>(n, seed); }

ffn_weights<float> part(network& n, std::int64_t first, std::int64_t count) {
  std::int64_t const skip = first * n.inner * n.wide;
  return {{n.gate.data() + skip, count, n.inner, n.wide}, {n.up.data() + skip, count, n.inner, n.wide}, {n.down.data() + skip, count, n.wide, n.inner}};
}

/// Ranks hold tokens one after the other, the first one none where there are more than two.
std::vector<std::int64_t> first_tokens(int ranks, std::int64_t tokens) {
  std::vector<std::int64_t> s;
  for (int p = 0; p <= ranks; ++p) s.push_back(ranks > 2 ? (p <= 1 ? 0 : tokens * (p - 1) / (ranks - 1)) : tokens * p / ranks);
  return s;
}

template <int P>
void check_equal_to_one_process(bool weigh_input) {
  CAPTURE(P);
  CAPTURE(weigh_input);
  std::int64_t const tokens = 41, experts = 8, inner = 10, wide = 7, slots = 3, each = experts / P;
  network const n(experts, inner, wide, 3);
  auto const x = randoms(tokens * inner, 1), w = randoms(tokens * slots, 2), dy = randoms(tokens * inner, 4);
  auto ids = support::random_ids(tokens * slots, experts, 5);
  for (auto& id : ids) id = id == 5 ? 4 : id;  // expert 5 has no rows
  network one = n.unset(), got = n.unset();
  floats dx(x.size()), dw(w.size()), dx_got(x.size()), dw_got(w.size());
  auto plan = support::plan_of(ids, slots, experts);
  expert_ffn_vjp(serial, ffn_policy{glu<silu>{}, weighted_sum<by_rank_then_slot>{{.experts_a_rank = each}}, weigh_input}, plan.view(), n.view(), matrix(x, tokens, inner),
                 matrix(w, tokens, slots), matrix(dy, tokens, inner), matrix(dx, tokens, inner), matrix(dw, tokens, slots), one.view());
  std::vector<bank> banks;
  std::vector<rank_gradients<float>> batches;
  std::vector<ffn_weights<float>> gradients;
  auto const first = first_tokens(P, tokens);
  for (int p = 0; p < P; ++p) {
    std::int64_t const t = first[static_cast<std::size_t>(p)], count = first[static_cast<std::size_t>(p) + 1] - t;
    banks.push_back(bank{n.part(p * each, each), {}, weigh_input});
    gradients.push_back(part(got, p * each, each));
    batches.push_back({{x.data() + t * inner, count, inner}, {{ids.data() + t * slots, count, slots}, {w.data() + t * slots, count, slots}},
                       {dy.data() + t * inner, count, inner}, {dx_got.data() + t * inner, count, inner}, {dw_got.data() + t * slots, count, slots}});
  }
  auto const check = [&](char const* name, auto const& ex) {
    CAPTURE(name);
    got = n.unset();
    dx_got.assign(dx.size(), 9), dw_got.assign(dw.size(), 9);
    for (int p = 0; p < P; ++p) gradients[static_cast<std::size_t>(p)] = part(got, p * each, each);
    local_mesh<P> const mesh;
    workspace ws;
    auto const step = [&] { expert_parallel_vjp(ex, mesh, {.experts_a_rank = each}, experts, banks, batches, gradients, ws); };
    step();
    CHECK(support::same_bits(dx_got, dx));
    CHECK(support::same_bits(dw_got, dw));
    CHECK(support::same_bits(got.gate, one.gate));
    CHECK(support::same_bits(got.up, one.up));
    CHECK(support::same_bits(got.down, one.down));
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

TEST_CASE("expert_parallel_vjp over meshes of 1, 2, 4 and 8 ranks has the bits of one process") {
  for (bool weigh_input : {false, true}) {
    check_equal_to_one_process<1>(weigh_input);
    check_equal_to_one_process<2>(weigh_input);
    check_equal_to_one_process<4>(weigh_input);
    check_equal_to_one_process<8>(weigh_input);
  }
}

TEST_CASE("expert_parallel_vjp and the router's gradient are a layer's in one process") {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  std::int64_t const tokens = 30, experts = 6, inner = 5, slots = 2, each = 3;
  network const n(experts, inner, 4, 3);
  auto const x = randoms(tokens * inner, 1), logits = randoms(tokens * experts, 2), dy = randoms(tokens * inner, 4);
  router const choose{.select = {.k = slots}};
  network one = n.unset(), got = n.unset();
  floats dx(x.size()), dlogits(logits.size()), dx_got(x.size()), dlogits_got(logits.size());
  moe_layer_vjp(serial, moe_layer{choose, swiglu_experts{n.view()}, weighted_sum<by_rank_then_slot>{{.experts_a_rank = each}}}, matrix(x, tokens, inner),
                matrix(logits, tokens, experts), matrix(dy, tokens, inner), moe_gradients{matrix(dx, tokens, inner), matrix(dlogits, tokens, experts), one.view()});
  ints ids(static_cast<std::size_t>(tokens * slots));
  floats w(ids.size()), dw(ids.size());
  route::assignment<float, std::int32_t> const routes{matrix(ids, tokens, slots), matrix(w, tokens, slots)};
  route::assign(serial, choose, matrix(logits, tokens, experts), routes);
  std::vector<bank> const banks{bank{n.part(0, each)}, bank{n.part(each, each)}};
  std::vector<ffn_weights<float>> const gradients{part(got, 0, each), part(got, each, each)};
  auto const rank = [&](std::int64_t t, std::int64_t count) {
    return rank_gradients<float>{{x.data() + t * inner, count, inner}, {{ids.data() + t * slots, count, slots}, {w.data() + t * slots, count, slots}},
                                 {dy.data() + t * inner, count, inner}, {dx_got.data() + t * inner, count, inner}, {dw.data() + t * slots, count, slots}};
  };
  std::vector<rank_gradients<float>> const batches{rank(0, 13), rank(13, 17)};
  local_mesh<2> const mesh;
  expert_parallel_vjp(serial, mesh, {.experts_a_rank = each}, experts, banks, batches, gradients);
  route::assign_vjp(serial, choose, matrix(logits, tokens, experts), routes, matrix(dw, tokens, slots), matrix(dlogits_got, tokens, experts));
  CHECK(support::same_bits(dx_got, dx));
  CHECK(support::same_bits(dlogits_got, dlogits));
  CHECK(support::same_bits(got.gate, one.gate));
  CHECK(support::same_bits(got.down, one.down));
}

TEST_CASE("expert_parallel_vjp: linear experts with a bias, owners in any order, absent weights and outputs, errors") {
  std::int64_t const tokens = 20, inner = 4, outer = 3, slots = 2;
  auto const w0 = randoms(3 * inner * outer, 1), b0 = randoms(3 * outer, 2), x = randoms(tokens * inner, 3), dy = randoms(tokens * outer, 4);
  auto const ids = support::random_ids(tokens * slots, 3, 5);
  ints const owner{1, 0, 1};  // rank 0 holds expert 1, rank 1 experts 0 and 2
  auto const pick = [&](floats const& v, std::int64_t size, std::initializer_list<int> list) {
    floats out;
    for (int e : list) out.insert(out.end(), v.begin() + e * size, v.begin() + (e + 1) * size);
    return out;
  };
  using linear = linear_experts<float const>;
  floats dx(x.size()), dbank(w0.size()), dbias(b0.size()), dx_got(x.size()), dbank0(12), dbank1(24), dbias0(3), dbias1(6);
  auto plan = support::plan_of(ids, slots, 3);
  workspace ws;
  experts_vjp(serial, linear{{w0.data(), 3, inner, outer}, matrix(b0, 3, outer)}, weighted_sum{}, plan.view(), matrix(x, tokens, inner), matrix_view<float const>(),
              matrix(dy, tokens, outer), matrix(dx, tokens, inner), matrix_view<float>(), linear_gradients<float>{{dbank.data(), 3, inner, outer}, matrix(dbias, 3, outer)}, ws);
  auto const wa = pick(w0, 12, {1}), wb = pick(w0, 12, {0, 2}), ba = pick(b0, 3, {1}), bb = pick(b0, 3, {0, 2});
  std::vector<linear> const banks{{{wa.data(), 1, inner, outer}, matrix(ba, 1, outer)}, {{wb.data(), 2, inner, outer}, matrix(bb, 2, outer)}};
  std::vector<linear_gradients<float>> const gradients{{{dbank0.data(), 1, inner, outer}, matrix(dbias0, 1, outer)}, {{dbank1.data(), 2, inner, outer}, matrix(dbias1, 2, outer)}};
  auto const rank = [&](std::int64_t t, std::int64_t count) {
    return rank_gradients<float>{{x.data() + t * inner, count, inner}, {{ids.data() + t * slots, count, slots}, {}}, {dy.data() + t * outer, count, outer},
                                 {dx_got.data() + t * inner, count, inner}, {}};
  };
  std::vector<rank_gradients<float>> batches{rank(0, 7), rank(7, 13)};
  local_mesh<2> const mesh;
  expert_parallel_vjp(serial, mesh, {1, owner}, 3, banks, batches, gradients);
  CHECK(support::same_bits(dx_got, dx));
  CHECK(support::same_bits(dbank0, pick(dbank, 12, {1})));
  CHECK(support::same_bits(dbank1, pick(dbank, 12, {0, 2})));
  CHECK(support::same_bits(dbias0, pick(dbias, 3, {1})));
  CHECK(support::same_bits(dbias1, pick(dbias, 3, {0, 2})));

  CHECK_THROWS_WITH_AS(expert_parallel_vjp(serial, mesh, {.experts_a_rank = 2}, 3, banks, batches, gradients), doctest::Contains("experts of a rank"), argument_error);
  CHECK_THROWS_WITH_AS(expert_parallel_vjp(serial, local_mesh<3>(), {1, owner}, 3, banks, batches, gradients), doctest::Contains("expert banks"), argument_error);
  batches[1].dx = {dx_got.data(), 12, inner};
  CHECK_THROWS_WITH_AS(expert_parallel_vjp(serial, mesh, {1, owner}, 3, banks, batches, gradients), doctest::Contains("shape of dx"), argument_error);
}
