#include "fanfold/route/loss_forms.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/controllers.hpp"
#include "fanfold/route/noisy_top_k.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/route/row_losses.hpp"
#include "route/central.hpp"

namespace {

using kind = route::expert_kind;
std::vector<double> abcd() {
  std::vector<double> l;
  for (float x : rows_abcd()) l.push_back(std::round(static_cast<double>(x) * 10) / 10);
  return l;
}
route::routing_stats stats_of_abcd() { return routed<double, double>(mixtral{.select = {.k = 2}}, abcd(), 4).stats; }
matrix_view<double const> matrix(std::vector<double> const& x, std::int64_t cols) { return {x.data(), static_cast<std::int64_t>(x.size()) / cols, cols}; }
auto approx(double x) { return doctest::Approx(x).epsilon(2e-6); }

TEST_CASE("importance_loss: worked examples and gradient") {
  auto const s = stats_of_abcd();
  using form = route::importance_loss;
  CHECK(form{1, form::source::softmax}.value(s) == approx(.270497));
  CHECK(form{1, form::source::softmax, {true}}.value(s) == approx(.360663));
  CHECK(form{1, form::source::gates}.value(s) == approx(.913578));
  std::vector<double> const v{1.2, .3, 2, .7, .1};
  for (auto const& variation : {route::squared_variation{}, route::squared_variation{true, 1e-1}})
    check_central([&](std::vector<double> const& x) { return variation.value(x); }, v, variation.gradient(v));
  CHECK(route::squared_variation{}.value(std::vector<double>(4, 3.)) == 0);
  CHECK(route::squared_variation{}.value(std::vector<double>(4)) == 0);
  CHECK(route::squared_variation{true}.value(std::vector<double>{3}) == 0);
}

TEST_CASE("load_loss: worked examples and gradient") {
  auto const l = abcd();
  std::vector<double> const noise{.1, -.2, .3, 0, -.1, .2, 0, .1, 0, 0, .2, -.3, .2, -.2, .1, 0}, one(16, 1.), quarter(16, .25);
  std::vector<double> h(16);
  for (std::size_t i = 0; i < 16; ++i) h[i] = l[i] + noise[i];
  route::load_loss const excluding{.lambda = 1}, including{.lambda = 1, .excluding = false};
  check_near(excluding.load(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(one, 4)), std::vector<double>{2.160786, 2.847427, 1.126607, 1.666336});
  CHECK(excluding.value(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(one, 4)) == doctest::Approx(.105705).epsilon(1e-5));
  check_near(including.load(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(quarter, 4)), std::vector<double>{2.443566, 3.364434, .617625, 1.344578});
  CHECK(including.value(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(quarter, 4)) == doctest::Approx(.290563).epsilon(1e-5));
  std::vector<double> dl(16), ds(16);
  excluding.gradient(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(one, 4), matrix_view(dl.data(), 4, 4), matrix_view(ds.data(), 4, 4));
  check_central([&](std::vector<double> const& x) { return excluding.value(fanfold::serial, matrix(x, 4), matrix(h, 4), matrix(one, 4)); }, l, dl);
  check_central([&](std::vector<double> const& x) { return excluding.value(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(x, 4)); }, one, ds);
  CHECK(route::load_loss{.k = 4}.load(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(one, 4))[0] == 4);
  std::vector<double> const none(16);
  CHECK_THROWS_AS(excluding.value(fanfold::serial, matrix(l, 4), matrix(h, 4), matrix(none, 4)), fanfold::argument_error);
}

TEST_CASE("learned_noise_vjp: against central differences of the routed weights") {
  std::vector<double> const logits = abcd(), dw{1, -.5, .3, 2, .7, -1, .2, .9};
  std::vector<float> scale(16);
  for (std::size_t i = 0; i < 16; ++i) scale[i] = .125f * static_cast<float>(i % 5) - .25f;
  auto const noise = route::row_noise::of(5, 0, 0);
  auto const router_of = [&](std::vector<float> const& s) { return route::shazeer(2, matrix_view<float const>(s.data(), 4, 4), noise); };
  routed<double, double> r(router_of(scale), logits, 4);
  std::vector<double> dl(16), ds(16);
  route::assign_vjp(router_of(scale), r.input(), r.out(), matrix_view(dw.data(), 4, 2), matrix_view(dl.data(), 4, 4));
  route::learned_noise_vjp(fanfold::serial, router_of(scale).adjust, matrix_view<double const>(dl.data(), 4, 4), matrix_view(ds.data(), 4, 4));
  for (std::size_t i = 0; i < 16; ++i) {
    auto up = scale, down = scale;
    up[i] += 1.f / 512;
    down[i] -= 1.f / 512;
    routed<double, double> const a(router_of(up), logits, 4), b(router_of(down), logits, 4);
    REQUIRE(a.id == r.id);
    double change = 0;
    for (std::size_t j = 0; j < 8; ++j) change += dw[j] * (a.weight[j] - b.weight[j]);
    CHECK(ds[i] == doctest::Approx(change * 256).epsilon(1e-4).scale(1e-2));
  }
}

TEST_CASE("losses of single papers: worked examples") {
  auto const s = stats_of_abcd();
  std::vector<std::int32_t> const device{0, 0, 1, 1};
  CHECK(route::device_balance(2, device, 1).value(s) == approx(1.368473));
  std::vector<kind> const kinds{kind::real, kind::real, kind::null, kind::null};
  auto const group = route::adamoe_groups(kinds);
  auto const three = routed<double, double>(route::adamoe(kinds, 3), abcd(), 4).stats;
  CHECK(route::adamoe_balance(group, 1).value(three) == approx(1.100964));
  CHECK(route::balance_loss{.alpha = 1}.value(three) == approx(1.094608));
  routed<double, double> r(mixtral{.select = {.k = 2}}, abcd(), 4);
  auto const tokens = route::count_device_tokens(r.out(), device, 2);
  CHECK(tokens == std::vector<std::int64_t>{4, 1});
  CHECK(route::communication_balance{1, 2, device, tokens}.value(s) == approx(.809237));
  auto const sigmoid = routed<double, double>(sigmoid_router{.select = {.k = 2}}, abcd(), 4).stats;
  CHECK(route::megatron_balance(2, 1).value(sigmoid) == approx(1.148200));
  auto const relu = routed<double, double>(route::remoe(4), abcd(), 4).stats;
  CHECK(route::l1_balance{1, 2}.value(relu) == approx(4.375));
  CHECK(route::specialisation_balance{1, 0}.value(s) == approx(.351657));
  CHECK(route::specialisation_balance{1, .1}.value(s) == approx(.455080));
  CHECK(route::specialisation_balance{1, .1, route::specialisation_balance::entropy_sign::as_printed}.value(s) == approx(.248235));
  auto const hybrid = routed<double, double>(route::dynmole(), abcd(), 4).stats;
  CHECK(route::soft_balance{1}.value(hybrid) == approx(1.206664));
  CHECK(route::soft_balance{}.value(route::routing_stats(3)) == 0);
  CHECK(route::entropy_loss{1}.value(s) == approx(1.034224));
}

TEST_CASE("soft_balance: gradient through weights and shares") {
  auto const router = route::dynmole();
  auto const l = abcd();
  route::soft_balance const loss{.7};
  routed<double, double> r(router, l, 4);
  std::vector<double> dw(r.weight.size()), dl(16);
  auto const g = loss.gradient(r.stats);
  route::add_weight_gradient(r.out(), loss.weight_gradient(r.stats), matrix_view(dw.data(), 4, 4));
  route::assign_vjp(router, r.input(), r.out(), matrix_view(dw.data(), 4, 4), matrix_view(dl.data(), 4, 4), route::routing_stats_gradient{.score_sum = g});
  check_central([&](std::vector<double> const& x) { return loss.value(routed<double, double>(router, x, 4).stats); }, l, dl);
}

TEST_CASE("tsallis_loss: value, mask, gradient") {
  auto const l = abcd();
  route::tsallis_loss const loss{.beta = 1};
  CHECK(loss.value(fanfold::serial, matrix(l, 4)) == approx((.726866 + .995101 + .415415 + .830765) / 4));
  std::vector<std::uint8_t> const real{1, 0, 0, 1};
  CHECK(loss.value(fanfold::serial, matrix(l, 4), {real}) == approx((.726866 + .830765) / 2));
  std::vector<double> dl(16);
  loss.add_gradient(fanfold::serial, matrix(l, 4), matrix_view(dl.data(), 4, 4), {real});
  check_central([&](std::vector<double> const& x) { return loss.value(fanfold::serial, matrix(x, 4), {real}); }, l, dl);
  CHECK(loss.value(fanfold::serial, matrix_view<double const>(l.data(), 0, 4)) == 0);
}

TEST_CASE("locality_loss and chunk_sparsity_loss: worked example of BlockFFN, gradients, documents") {
  std::vector<double> const a{1, -.5, .2, .8, -.1, -.3, -.2, .6, .1, .5, .4, -1};
  CHECK(route::locality_loss{}.value(matrix(a, 3)) == doctest::Approx(18.889).epsilon(1e-5));
  CHECK(route::locality_loss{.alpha = 2}.value(matrix(a, 3)) == approx(.763742));
  CHECK(route::chunk_sparsity_loss{.length = 2}.value(matrix(a, 3)) == doctest::Approx(.464272).epsilon(5e-6));
  CHECK(route::chunk_sparsity_loss{.length = 2, .eps = 0}.value(matrix(std::vector<double>{1, .5, .2, .8, .1, .3}, 3)) > 0);
  CHECK(route::chunk_sparsity_loss{.length = 5}.value(matrix(a, 3)) == 0);
  CHECK(route::chunk_sparsity_loss{.length = 1}.value(matrix(a, 3)) == doctest::Approx(1. / 3).epsilon(1e-4));
  std::vector<double> da(12), dc(12);
  route::locality_loss const locality{.weight = .5, .alpha = 2};
  locality.add_gradient(matrix(a, 3), matrix_view(da.data(), 4, 3));
  check_central([&](std::vector<double> const& x) { return locality.value(matrix(x, 3)); }, a, da);
  route::chunk_sparsity_loss const chunk{.weight = .5, .length = 2};
  chunk.add_gradient(matrix(a, 3), matrix_view(dc.data(), 4, 3));
  check_central([&](std::vector<double> const& x) { return chunk.value(matrix(x, 3)); }, a, dc);
  std::vector<std::int64_t> const bounds{0, 1, 4};
  std::vector<double> const tail(a.begin() + 3, a.end());
  CHECK(route::locality_loss{.alpha = 2, .offsets = bounds}.value(matrix(a, 3)) == route::locality_loss{.alpha = 2}.value(matrix(tail, 3)));
}

TEST_CASE("controllers: worked examples") {
  std::vector<std::int64_t> const c{5, 1, 3, 3};
  route::loss_free_balance sign(4), proportional(4, 1e-3f, route::bias_step::proportional);
  sign.update(c);
  proportional.update(c);
  check_near(std::as_const(sign).state(), std::vector<double>{-.001, .001, 0, 0}, 1e-8);
  check_near(std::as_const(proportional).state(), std::vector<double>{-.002, .002, 0, 0}, 1e-8);
  sign.frozen = true;
  sign.update(c);
  CHECK(sign.state()[1] == 1e-3f);

  route::loss_free_balance two(2);
  using biased = route::token_choice<route::sigmoid_score, route::top_k, route::raw_weight, route::selection_bias>;
  std::vector<float> const logits{1, .9f, 1, .8f, .5f, 0, .2f, .1f};
  for (int step = 0; step < 20; ++step) {
    routed<float> const r(biased{.adjust = {two.state()}}, logits, 2);
    CHECK((r.stats.count()[0] == 2) == (step >= 13));
    two.update(r.stats);
  }
  check_near(std::as_const(two).state(), std::vector<double>{-.013, .013}, 1e-6);

  route::target_share share({.4, .3, .1, .2});
  share.update(std::vector<double>{.130108, .622459, 0, 1.247432});
  check_near(share.state(), std::vector<double>{.000335, -.000011, .000100, -.000424}, 1e-6);

  auto const relu = routed<double, double>(route::remoe(4), abcd(), 4).stats;
  route::l1_controller lambda(2);
  lambda.update(relu);
  CHECK(lambda.state() == doctest::Approx(1.2e-8));

  std::vector<double> y(16);
  auto const l = abcd();
  for (std::size_t t = 0; t < 4; ++t) route::detail::softmax_row(fanfold::host_lane{}, l.data() + 4 * t, y.data() + 4 * t, 4);
  route::quantile_balance quantile(4, 2);
  quantile.observe(matrix(y, 4));
  quantile.update();
  check_near(quantile.state(), std::vector<double>{-.024855, -.088219, 0, .022490}, 2e-6);
  CHECK_THROWS_AS(quantile.observe(matrix_view<double const>(y.data(), 3, 4)), fanfold::argument_error);

  route::chunk_coefficient chunk(1, 4, 4, 2);
  CHECK(chunk.state() == 0);
  for (int i = 0; i < 2; ++i) chunk.update(1);
  CHECK(chunk.state() == .5);
  for (int i = 0; i < 2; ++i) chunk.update(1);
  CHECK(chunk.state() == 1);
  for (int i = 0; i < 2; ++i) chunk.update(1.5);  // iteration 6: ratio 1.5
  chunk.update(9);
  CHECK(chunk.state() == 1.25);
  chunk.update(9);  // iteration 8: ratio 6, cut to twice lambda0
  CHECK(chunk.state() == 1.5);
  for (int i = 0; i < 2; ++i) chunk.update(9);
  CHECK(chunk.state() == 2);
}

}  // namespace
