#include "fanfold/route/telemetry.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/route/hash_table.hpp"
#include "fanfold/route/pathway.hpp"
#include "fanfold/route/record.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/route/vote.hpp"
#include "route/routed.hpp"

namespace {

using ids = std::vector<std::int32_t>;

TEST_CASE("load metrics: worked example") {
  std::vector<std::int64_t> const c{3, 4, 0, 1}, none(4), loads{10, 6, 8, 8};
  auto const m = route::measure_load(c);
  CHECK(m.valid);
  CHECK(m.max_violation == 1);
  CHECK(m.min_violation == 1);
  CHECK(m.gini == .4375);
  CHECK(m.variation == doctest::Approx(.790569).epsilon(1e-6));
  CHECK(m.dead == 1);
  CHECK(!route::measure_load(none).valid);
  CHECK(route::measure_load(none).gini == 0);
  ids const device{0, 1, 2, 3};
  CHECK(route::measure_devices(loads, device, 4, 16).imbalance == .25);
  CHECK(route::measure_devices(loads, device, 4, 16).overload == 1.25);
  CHECK(route::utilisation(c) == std::vector<double>{1.5, 2, 0, .5});
  CHECK(route::percentile({4, 1, 3, 2}, .5) == 2.5);
  CHECK(route::percentile({4, 1, 3, 2}, 1) == 4);
}

TEST_CASE("row and sequence metrics: worked examples") {
  routed<float> r(mixtral{.select = {.k = 2}}, rows_abcd(), 4);
  CHECK(route::mean_entropy(r.stats) == doctest::Approx(1.034224).epsilon(1e-6));
  CHECK(route::mean_choices(r.stats) == 2);
  CHECK(route::mean_first_weight(r.out()) == doctest::Approx((.731059 + .524979 + .880797 + .5) / 4).epsilon(1e-6));
  ids a{0, 1, 1, 0, 1, 3, 0, 1}, b{0, 2, 1, 0, 1, 2, 1, 3};
  auto const f = route::measure_fluctuation(matrix_view(a.data(), 4, 2), matrix_view(b.data(), 4, 2));
  CHECK(f.first == .25);
  CHECK(f.set == .375);
  std::vector<float> const l{1, -.5f, .2f, .8f, -.1f, -.3f, -.2f, .6f, .1f, .5f, .4f, -1};
  routed<float> relu(route::remoe(3), l, 3);
  CHECK(route::token_sparsity(relu.stats) == doctest::Approx(.416667).epsilon(1e-5));
  CHECK(route::chunk_sparsity(relu.out().id, 3, 2) == doctest::Approx(.166667).epsilon(1e-5));
  CHECK(route::reuse_ratio(relu.out().id) == doctest::Approx(1. / 3));
  ids const label{0, 1, 0, 7};
  CHECK(route::count_by_label(matrix_view(a.data(), 4, 2), label, 4, 2) == std::vector<std::int64_t>{1, 1, 2, 1, 0, 0, 1, 0});
}

TEST_CASE("pathways: worked example") {
  std::vector<double> const g1{.5, .3, .1, .1, .1, .8, .05, .05, .25, .25, .25, .25}, g2{.3, .5, .1, .1, .05, .75, .1, .1, .05, .05, .1, .8};
  auto const p1 = route::expert_pathway(matrix_view<double const>(g1.data(), 3, 4)), p2 = route::expert_pathway(matrix_view<double const>(g2.data(), 3, 4));
  CHECK(p1 == std::vector<ids>{{0, 1}, {1}, {0, 1, 2}});
  CHECK(p2 == std::vector<ids>{{1, 0}, {1}, {3}});
  CHECK(route::pathway_distance(p1, p2) == 5);
  CHECK(route::pathway_distance(p2, p1) == 5);
  CHECK(route::pathway_distance(p1, p2, route::pathway_alphabet::characters) == 7);
  CHECK(route::pathway_distance(p1, p1) == 0);
  CHECK(route::mean_pathway_distance({p1, p2, p1}) == doctest::Approx(10. / 3));
  CHECK(route::edit_distance(std::string("kitten"), std::string("sitting")) == 3);
  std::vector<double> const v1{1, 0, 0, 1, 1, 1, -1, 0}, v2{1, .2, .1, 1, .8, 1, -1, .1}, v3{.9, .3, .2, 1, 1, .9, -.8, 0};
  auto const rows = [](std::vector<double> const& v) { return matrix_view<double const>(v.data(), 4, 2); };
  auto const c = route::measure_complexity(matrix_view<double const>(g1.data(), 3, 4), std::vector{rows(v1), rows(v2), rows(v3)});
  check_near(c.cosine, std::vector<double>{.762155, .942148});
  CHECK(c.value == doctest::Approx(.095523).epsilon(1e-5));
  CHECK(route::measure_complexity(matrix_view<double const>(g1.data(), 1, 4), std::vector{rows(v1)}).value == 0);
}

TEST_CASE("routing_record: replays the same weights bit for bit; checks what it is given") {
  routed<float> const live(olmoe{.select = {.k = 2}}, rows_abcd(), 4);
  route::routing_record const record(matrix_view<std::int32_t const>(live.id.data(), 4, 2), 4);
  CHECK(record.bytes() == 16);
  ids back(8);
  record.write({back.data(), 4, 2});
  CHECK(back == live.id);
  using replayed = route::token_choice<route::softmax_score, route::replay, route::raw_weight>;
  routed<float> const again(replayed{.select = {{back.data(), 4, 2}}}, rows_abcd(), 4);
  CHECK(again.weight == live.weight);
  ids const far{0, 4}, twice{1, 1};
  CHECK_THROWS_AS(route::routing_record(matrix_view<std::int32_t const>(far.data(), 1, 2), 4), fanfold::argument_error);
  CHECK_THROWS_AS(route::routing_record(matrix_view<std::int32_t const>(twice.data(), 1, 2), 4), fanfold::argument_error);
  CHECK(route::routing_record(matrix_view<std::int32_t const>(far.data(), 1, 2), 40000).bytes() == 8);
}

TEST_CASE("hash tables: worked example, unseen ids, errors") {
  std::vector<std::int64_t> const frequency{10, 7, 5, 4, 3}, with_unseen{0, 5, 0, 0};
  CHECK(route::balanced_hash_table(frequency, 2) == ids{0, 1, 1, 0, 1});
  CHECK(route::balanced_hash_table(with_unseen, 2) == ids{0, 0, 1, 0});
  auto const table = route::random_hash_table(1000, 7, 3);
  std::vector<int> count(7);
  for (auto e : table) ++count[static_cast<std::size_t>(e)];
  for (int n : count) CHECK(n > 90);
  CHECK(table == route::random_hash_table(1000, 7, 3));
  CHECK(table != route::random_hash_table(1000, 7, 3, 1));
  ids const tokens{3, 999, 1000};
  CHECK_THROWS_AS(route::check_tokens(tokens, 1000), fanfold::argument_error);
  routed<float> const r(route::hash_layer(table, tokens), {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 7);
  CHECK(r.id == ids{table[3], table[999], -1});
  CHECK(r.weight == std::vector<float>{1, 1, 0});
}

TEST_CASE("vote_experts: worked example of MoGE") {
  std::vector<float> const y{.3f, .1f, .1f, .2f, .2f, .1f, .25f, .2f, .05f, .1f, .3f, .1f, .1f, .3f, .1f, .3f, .1f, .1f};
  std::vector<std::uint8_t> open(6);
  route::vote_experts(matrix_view<float const>(y.data(), 3, 6), 2, 1, fanfold::view<std::uint8_t>(open));
  CHECK(open == std::vector<std::uint8_t>{1, 0, 0, 1, 0, 0});
  route::vote_experts(matrix_view<float const>(y.data(), 3, 6), 2, 3, fanfold::view<std::uint8_t>(open));
  CHECK(open == std::vector<std::uint8_t>(6, 1));
}

}  // namespace
