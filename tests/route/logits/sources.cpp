#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/causal.hpp"
#include "fanfold/route/logits/cosine.hpp"
#include "fanfold/route/logits/linear.hpp"
#include "fanfold/route/logits/recurrent.hpp"
#include "fanfold/route/routing_contrast.hpp"
#include "fanfold/route/soft_moe.hpp"
#include "route/central.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

static_assert(!route::causal_router<route::soft_moe<float>>);
using numbers = std::vector<double>;

numbers wave(int n, double step) {
  numbers x;
  for (int i = 0; i < n; ++i) x.push_back(std::sin(i * step + .3));
  return x;
}
matrix_view<double const> m(numbers const& x, std::int64_t cols) { return {x.data(), static_cast<std::int64_t>(x.size()) / cols, cols}; }
matrix_view<double> w(numbers& x, std::int64_t cols) { return {x.data(), static_cast<std::int64_t>(x.size()) / cols, cols}; }
double inner(numbers const& a, numbers const& b) {
  double s = 0;
  for (std::size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}

TEST_CASE("linear_logits: values, gradients, every executor, storage types") {
  numbers const x = wave(3 * 19, .7), weight = wave(5 * 19, 1.1), bias = wave(5, 2), d = wave(15, .9);
  auto const f = [&](numbers const& tokens, numbers const& mat, numbers const& b) {
    numbers out(15);
    route::logits(fanfold::serial, route::linear_logits<double>{m(mat, 19), b}, m(tokens, 19), w(out, 5));
    return out;
  };
  auto const l = f(x, weight, bias);
  double want = bias[3];
  for (std::size_t i = 0; i < 19; ++i) want += x[19 + i] * weight[57 + i];
  CHECK(l[8] == doctest::Approx(want).epsilon(1e-13));
  numbers dx(57), dw(95), db(5);
  route::logits_vjp(fanfold::serial, route::linear_logits<double>{m(weight, 19), bias}, m(x, 19), m(d, 5), route::linear_gradient<double>{w(dx, 19), w(dw, 19), db});
  check_central([&](numbers const& y) { return inner(d, f(y, weight, bias)); }, x, dx);
  check_central([&](numbers const& y) { return inner(d, f(x, y, bias)); }, weight, dw);
  check_central([&](numbers const& y) { return inner(d, f(x, weight, y)); }, bias, db);
  support::for_each_executor([&](char const*, auto const& ex) {
    numbers out(15);
    route::logits(ex, route::linear_logits<double>{m(weight, 19), bias}, m(x, 19), w(out, 5));
    CHECK(support::same_bits(out, l));
  });
  std::vector<fanfold::bfloat16> xb;
  for (double v : x) xb.push_back(fanfold::bfloat16(static_cast<float>(v)));
  std::vector<float> wf(weight.begin(), weight.end()), out(15);
  route::logits(fanfold::serial, route::linear_logits<float>{matrix_view<float const>(wf.data(), 5, 19), {}}, matrix_view(xb.data(), 3, 19), matrix_view(out.data(), 3, 5));
  CHECK(static_cast<double>(out[8]) == doctest::Approx(want - bias[3]).epsilon(3e-2).scale(1));
  CHECK_THROWS_AS(route::logits(fanfold::serial, route::linear_logits<double>{m(weight, 19), {}}, m(x, 3), w(dx, 5)), fanfold::argument_error);
}

TEST_CASE("residual_logits: worked example, gradients") {
  numbers const a{2, 1, .5, -1}, b{.2, .3, .1, 0}, half{.5, 0, 0, 0, 0, .5, 0, 0, 0, 0, .5, 0, 0, 0, 0, .5}, one{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  numbers out(4);
  route::logits(fanfold::serial, route::residual_logits<double>{m(one, 4), m(half, 4)}, m(b, 4), m(a, 4), w(out, 4));
  check_near(out, numbers{1.2, .8, .35, -.5});
  route::logits(fanfold::serial, route::residual_logits<double>{m(one, 4), m(half, 4)}, m(b, 4), matrix_view<double const>{}, w(out, 4));
  CHECK(out == b);
  numbers const x = wave(6, 1), weight = wave(6, 2), gate = wave(9, 3), previous = wave(6, 4), d = wave(6, 5);
  auto const f = [&](numbers const& g, numbers const& p) {
    numbers z(6);
    route::logits(fanfold::serial, route::residual_logits<double>{m(weight, 2), m(g, 3)}, matrix_view<double const>(x.data(), 2, 2), m(p, 3), w(z, 3));
    return inner(d, z);
  };
  numbers dg(9), dp(6);
  route::logits_vjp(fanfold::serial, route::residual_logits<double>{m(weight, 2), m(gate, 3)}, matrix_view<double const>(x.data(), 2, 2), m(previous, 3), m(d, 3),
                    route::linear_gradient<double>{}, w(dg, 3), w(dp, 3));
  check_central([&](numbers const& y) { return f(y, previous); }, gate, dg);
  check_central([&](numbers const& y) { return f(gate, y); }, previous, dp);
}

TEST_CASE("cosine_logits: worked example, limits, gradients") {
  numbers const h{3, 4}, e{1, 0, 0, 2, 1, 1};
  numbers out(3);
  route::logits(fanfold::serial, route::cosine_logits<double>{m(e, 2)}, m(h, 2), w(out, 3));
  check_near(out, numbers{1.2, 1.6, 1.979899});
  route::logits(fanfold::serial, route::cosine_logits<double>{m(e, 2), 99}, m(h, 2), w(out, 3));
  CHECK(out[0] == doctest::Approx(60));
  numbers const zero{0, 0};
  route::logits(fanfold::serial, route::cosine_logits<double>{m(e, 2)}, m(zero, 2), w(out, 3));
  CHECK(out == numbers{0, 0, 0});
  numbers const x = wave(12, 1), experts = wave(15, 2), d = wave(20, 3);
  auto const f = [&](numbers const& tokens, numbers const& mu, double s) {
    numbers l(20);
    route::logits(fanfold::serial, route::cosine_logits<double>{m(mu, 3), s}, m(tokens, 3), w(l, 5));
    return inner(d, l);
  };
  numbers dx(12), de(15);
  double const ds = route::logits_vjp(fanfold::serial, route::cosine_logits<double>{m(experts, 3), .4}, m(x, 3), m(d, 5), w(dx, 3), w(de, 3));
  check_central([&](numbers const& y) { return f(y, experts, .4); }, x, dx);
  check_central([&](numbers const& y) { return f(x, y, .4); }, experts, de);
  check_central([&](numbers const& s) { return f(x, experts, s[0]); }, {.4}, {ds});
}

TEST_CASE("recurrent_state: worked example, gradients") {
  numbers const x{.5, -1}, h{.2, .1}, none{0, 0}, input{.5, 0, 0, .5, 1, 0, 0, 1, 1, 0, 0, 1}, hidden{.5, 0, 0, .5, .5, 0, 0, .5, -1, 0, 0, -1};
  numbers next(2);
  route::recurrent_state<double> const gru{m(input, 2), m(hidden, 2)};
  route::advance(fanfold::serial, gru, m(x, 2), m(h, 2), w(next, 2));
  check_near(next, numbers{.258477, -.532755});
  route::advance(fanfold::serial, gru, m(x, 2), m(none, 2), w(next, 2));
  check_near(next, numbers{.174468, -.556770});
  numbers const xs = wave(9, 1), hs = wave(9, 2), wi = wave(27, 3), wh = wave(27, 4), bi = wave(9, 5), bh = wave(9, 6), d = wave(9, 7);
  auto const f = [&](numbers const& a, numbers const& b, numbers const& c, numbers const& e, numbers const& g, numbers const& k) {
    numbers out(9);
    route::advance(fanfold::serial, route::recurrent_state<double>{m(c, 3), m(e, 3), g, k}, m(a, 3), m(b, 3), w(out, 3));
    return inner(d, out);
  };
  numbers dx(9), dh(9), dwi(27), dwh(27), dbi(9), dbh(9);
  route::advance_vjp(fanfold::serial, route::recurrent_state<double>{m(wi, 3), m(wh, 3), bi, bh}, m(xs, 3), m(hs, 3), m(d, 3),
                     route::recurrent_gradient<double>{w(dx, 3), w(dh, 3), w(dwi, 3), w(dwh, 3), dbi, dbh});
  check_central([&](numbers const& y) { return f(y, hs, wi, wh, bi, bh); }, xs, dx);
  check_central([&](numbers const& y) { return f(xs, y, wi, wh, bi, bh); }, hs, dh);
  check_central([&](numbers const& y) { return f(xs, hs, y, wh, bi, bh); }, wi, dwi);
  check_central([&](numbers const& y) { return f(xs, hs, wi, y, bi, bh); }, wh, dwh);
  check_central([&](numbers const& y) { return f(xs, hs, wi, wh, y, bh); }, bi, dbi);
  check_central([&](numbers const& y) { return f(xs, hs, wi, wh, bi, y); }, bh, dbh);
}

TEST_CASE("prototypes: worked example of ProMoE, contrast, split") {
  numbers const x{1, 0, .9, .1, 0, 1, -.2, .8}, c{2, 1, -1, 2, 0, -1};
  numbers l(12);
  route::logits(fanfold::serial, route::prototype_logits<double>{m(c, 2)}, m(x, 2), w(l, 3));
  using promoe = route::token_choice<route::identity_score, route::top_k, route::raw_weight>;
  routed<double, double> r(promoe{}, l, 3);
  CHECK(r.id == std::vector<std::int32_t>{0, 0, 1, 1});
  check_near(r.weight, numbers{.894427, .938343, .894427, .976187});
  auto const id = r.out().id;
  CHECK(route::routing_contrast{}.value(m(x, 2), m(c, 2), id) == doctest::Approx(.000143341).epsilon(1e-5));
  CHECK(route::routing_contrast{.tau = 1}.value(m(x, 2), m(c, 2), id) == doctest::Approx(.340434724).epsilon(1e-8));
  numbers dx(8), dc(6);
  route::routing_contrast const loss{.lambda = .7, .tau = .5};
  loss.gradient(m(x, 2), m(c, 2), id, w(dx, 2), w(dc, 2));
  check_central([&](numbers const& y) { return loss.value(m(y, 2), m(c, 2), id); }, x, dx);
  check_central([&](numbers const& y) { return loss.value(m(x, 2), m(y, 2), id); }, c, dc);
  std::vector<std::uint8_t> const conditional{1, 0, 1, 0};
  route::split_unconditional(conditional, 3, r.out());
  CHECK(r.id == std::vector<std::int32_t>{0, 3, 1, 3});
  CHECK(r.weight[1] == 1);
}

TEST_CASE("soft_moe: worked example, mask, gradients") {
  numbers const x{1, 0, 0, 1, 1, 1}, mu{1, .5, 0, 1};
  numbers dispatch(6), combine(6), slots(4), out(6);
  route::soft_moe<double> const moe{m(mu, 2)};
  route::mixing_weights(fanfold::serial, moe, m(x, 2), w(dispatch, 2), w(combine, 2));
  check_near(dispatch, numbers{.371035, .174022, .237243, .473041, .391722, .352937});
  check_near(combine, numbers{.709803, .290197, .365218, .634782, .560102, .439898});
  route::mix_in(fanfold::serial, m(dispatch, 2), m(x, 2), w(slots, 2));
  check_near(slots, numbers{.762757, .628965, .526959, .825978});
  route::mix_out(fanfold::serial, m(combine, 2), m(slots, 2), w(out, 2));
  check_near(out, numbers{.694329, .686137, .613077, .754025, .659030, .715630});
  std::vector<std::uint8_t> const real{1, 0, 1};
  route::mixing_weights(fanfold::serial, moe, m(x, 2), w(dispatch, 2), w(combine, 2), {real});
  CHECK(dispatch[2] + combine[2] + combine[3] == 0);
  CHECK(dispatch[0] + dispatch[4] == doctest::Approx(1));
  CHECK(route::soft_moe<double>::slots_per_expert(10, 4) == 2);
  CHECK(route::soft_moe<double>::slots_per_expert(1, 4) == 1);

  numbers const tokens = wave(12, 1), vectors = wave(15, 2), dd = wave(20, 3), dc = wave(20, 4);
  auto const f = [&](numbers const& a, numbers const& b, double s) {
    numbers di(20), co(20);
    route::mixing_weights(fanfold::serial, route::soft_moe<double>{m(b, 3), s}, m(a, 3), w(di, 5), w(co, 5));
    return inner(dd, di) + inner(dc, co);
  };
  numbers di(20), co(20), dx(12), dv(15);
  route::soft_moe<double> const scaled{m(vectors, 3), 1.3};
  route::mixing_weights(fanfold::serial, scaled, m(tokens, 3), w(di, 5), w(co, 5));
  double const ds = route::mixing_weights_vjp(fanfold::serial, scaled, m(tokens, 3), m(di, 5), m(co, 5), m(dd, 5), m(dc, 5), w(dx, 3), w(dv, 3));
  check_central([&](numbers const& y) { return f(y, vectors, 1.3); }, tokens, dx);
  check_central([&](numbers const& y) { return f(tokens, y, 1.3); }, vectors, dv);
  check_central([&](numbers const& s) { return f(tokens, vectors, s[0]); }, {1.3}, {ds});
}

TEST_CASE("jitter: bounded, keyed by the row of the batch") {
  numbers const x(12, 1.);
  numbers all(12), half(6);
  auto const noise = route::row_noise::of(1, 2, 3);
  route::jitter(fanfold::serial, noise, .01f, m(x, 3), w(all, 3));
  auto later = noise;
  later.row0 = 2;
  route::jitter(fanfold::serial, later, .01f, matrix_view<double const>(x.data(), 2, 3), w(half, 3));
  CHECK(numbers(all.begin() + 6, all.end()) == half);
  for (double v : all) CHECK(std::abs(v - 1) < .0101);
  CHECK(all[0] != all[1]);
}

TEST_CASE("reorder: every state where its token goes; a bad order writes nothing") {
  numbers const state{1, 2, 3, 4, 5, 6};
  std::vector<std::int32_t> const order{2, 0, 1}, bad{0, 3, 1}, few{0, 1};
  numbers next(6, 9);
  route::reorder(m(state, 2), fanfold::view<std::int32_t const>(order), w(next, 2));
  CHECK(next == numbers{3, 4, 5, 6, 1, 2});
  numbers untouched(6, 9);
  CHECK_THROWS_WITH_AS(route::reorder(m(state, 2), fanfold::view<std::int32_t const>(bad), w(untouched, 2)), doctest::Contains("route::reorder"), fanfold::argument_error);
  CHECK_THROWS_AS(route::reorder(m(state, 2), fanfold::view<std::int32_t const>(few), w(untouched, 2)), fanfold::argument_error);
  CHECK(untouched == numbers(6, 9));
}

}  // namespace
