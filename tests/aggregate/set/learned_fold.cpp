#include "fanfold/aggregate/set/learned_fold.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/set/associativity_gap.hpp"
#include "fanfold/aggregate/set/binary_gru.hpp"
#include "fanfold/aggregate/set/conjugate_sum.hpp"
#include "fanfold/aggregate/set/projection.hpp"
#include "fanfold/aggregate/set/symmetric_mlp.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/central_differences.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;
using offsets = std::vector<std::int64_t>;

template <class A>
fanfold::matrix_view<A> as_matrix(std::vector<A>& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

numbers random_numbers(std::size_t n, std::uint64_t seed, double scale = 1) {
  support::lcg g(seed);
  numbers x(n);
  for (double& v : x) v = scale * g.real();
  return x;
}

numbers const gru_parameters{.1, .2,  -.3, .4, .5,  -.1, .2, .3, .6, -.2, -.4, .1, .3, -.1, .2,  .2, -.5, .4,
                             .1, -.3, .7,  .1, -.2, .5,  0,  .1, 0,  -.1, .05, 0,  .1, 0,   -.1, 0,  0,   .05};

template <class Op>
numbers fold_with(Op const& op, numbers x, offsets const& o) {
  numbers out((o.size() - 1) * static_cast<std::size_t>(op.width()));
  ag::learned_tape<double> tape;
  ag::learned_fold(fanfold::serial, op, as_matrix(x, op.width()), o, as_matrix(out, op.width()), tape);
  return out;
}

/// The sum as an operation: what the engine's own tree must give.
struct sum_op {
  using value_type = double;
  static constexpr bool commutative = true;
  std::int64_t width() const { return 1; }
  std::int64_t parameters() const { return 0; }
  void check() const {}
  template <class E>
  void apply(E const&, fanfold::matrix_view<double const> x, fanfold::matrix_view<double> y, fanfold::workspace&) const {
    for (std::int64_t p = 0; p < y.rows(); ++p) y(p, 0) = x(2 * p, 0) + x(2 * p + 1, 0);
  }
  template <class E>
  void vjp(E const&, fanfold::matrix_view<double const>, fanfold::matrix_view<double const> g, fanfold::matrix_view<double> dx,
           fanfold::view<double>, fanfold::workspace&) const {
    for (std::int64_t p = 0; p < g.rows(); ++p) dx(2 * p, 0) = dx(2 * p + 1, 0) = g(p, 0);
  }
};

struct plain_sum {
  double combine(double a, double b) const { return a + b; }
};

/// Gradients of a fold over several segments against central differences.
template <class Make>
void check_gradients(Make const& make, std::int64_t d, std::size_t parameters) {
  offsets const o{0, 3, 3, 4, 11};
  numbers x = random_numbers(static_cast<std::size_t>(11 * d), 5), p = random_numbers(parameters, 9, 0.6),
          g = random_numbers(static_cast<std::size_t>(4 * d), 7);
  auto const loss = [&](numbers const& items, numbers const& q) {
    numbers const out = fold_with(make(q), items, o);
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * g[i];
    return sum;
  };
  numbers out(g.size()), dx(x.size()), dp(p.size());
  ag::learned_tape<double> tape;
  ag::learned_fold(fanfold::serial, make(p), as_matrix(x, d), o, as_matrix(out, d), tape);
  ag::learned_fold_vjp(fanfold::serial, make(p), tape, as_matrix(g, d), as_matrix(dx, d), dp);
  double const h = 1e-5;
  auto const close = [](double a, double b) { return std::fabs(a - b) <= 1e-6 * std::fmax(1, std::fabs(a)); };
  int wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    numbers up = x, down = x;
    up[i] += h, down[i] -= h;
    wrong += !close(dx[i], (loss(up, p) - loss(down, p)) / (2 * h));
  }
  for (std::size_t i = 0; i < p.size(); ++i) {
    numbers up = p, down = p;
    up[i] += h, down[i] -= h;
    wrong += !close(dp[i], (loss(x, up) - loss(x, down)) / (2 * h));
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("binary gru: the worked example") {
  ag::binary_gru<double> const op{.size = 2, .parameter = gru_parameters};
  ag::gru_step<double> const step{.size = 2, .parameter = gru_parameters};
  numbers const x{1, 0, 0, 1, -1, .5};
  auto const near = [](numbers const& v, double a, double b) {
    CHECK(v[0] == doctest::Approx(a).epsilon(1e-8));
    CHECK(v[1] == doctest::Approx(b).epsilon(1e-8));
  };
  near(fold_with(step, {0, 1, 1, 0}, {0, 2}), 0.187860246, 0.381792495);   // GRU(x0; x1): x1 is the state
  near(fold_with(step, {1, 0, 0, 1}, {0, 2}), 0.527661218, -0.000097098);  // GRU(x1; x0)
  near(fold_with(op, {1, 0, 0, 1}, {0, 2}), 0.357760732, 0.190847698);
  near(fold_with(op, x, {0, 3}), -0.452248262, 0.313892269);
  numbers const right = fold_with(op, {0, 1, -1, .5}, {0, 2});
  near(fold_with(op, {1, 0, right[0], right[1]}, {0, 2}), 0.021991481, 0.137655914);
  numbers const padded = fold_with(op, {1, 0, 0, 1, -1, .5, 0, 0}, {0, 4});  // what filling up with zeros would give
  near(padded, -0.150975188, 0.199301216);
  numbers a{1, 0}, b{0, 1}, c{-1, .5};
  CHECK(ag::associativity_gap(fanfold::serial, op, as_matrix(a, 2), as_matrix(b, 2), as_matrix(c, 2)) ==
        doctest::Approx(0.255962587).epsilon(1e-8));

  numbers out(2), dx(6), dp(36), g{1, -1}, items = x;
  ag::learned_tape<double> tape;
  ag::learned_fold(fanfold::serial, op, as_matrix(items, 2), offsets{0, 3}, as_matrix(out, 2), tape);
  ag::learned_fold_vjp(fanfold::serial, op, tape, as_matrix(g, 2), as_matrix(dx, 2), dp);
  numbers const expected{0.166230794, -0.137995415, 0.291280535, -0.127874988, 0.749189090, -0.384555401};
  for (std::size_t i = 0; i < 6; ++i) CHECK(dx[i] == doctest::Approx(expected[i]).epsilon(1e-8));
}

TEST_CASE("gradients of every operation agree with central differences") {
  SUBCASE("binary gru") {
    check_gradients([](numbers const& p) { return ag::binary_gru<double>{.size = 3, .parameter = p}; }, 3, 72);
  }
  SUBCASE("gru step") {
    check_gradients([](numbers const& p) { return ag::gru_step<double>{.size = 3, .parameter = p}; }, 3, 72);
  }
  SUBCASE("symmetric mlp") {
    check_gradients([](numbers const& p) { return ag::symmetric_mlp<double>{.size = 3, .hidden = 5, .parameter = p}; }, 3, 53);
  }
  SUBCASE("symmetric input mlp") {
    check_gradients([](numbers const& p) { return ag::symmetric_input_mlp<double>{.size = 3, .hidden = 5, .parameter = p}; }, 3, 53);
  }
  SUBCASE("conjugate sum") {
    check_gradients([](numbers const& p) { return ag::conjugate_sum<double>{.size = 4, .hidden = 3, .parameter = p}; }, 4, 34);
  }
}

TEST_CASE("the order of the operands does not change a bit, nor do batch mates") {
  numbers const p = random_numbers(6 * 5 * 6, 1), q = random_numbers(3 * 5 * 7 + 12, 2), r = random_numbers(2 * (6 * 7 + 7 + 3), 3);
  ag::binary_gru<double> const gru{.size = 5, .parameter = p};
  ag::symmetric_mlp<double> const mlp{.size = 5, .hidden = 7, .parameter = q};
  ag::symmetric_input_mlp<double> const joint{.size = 5, .hidden = 7, .parameter = q};
  ag::conjugate_sum<double> const conjugate{.size = 6, .hidden = 7, .parameter = r};
  auto const swaps = [](auto const& op) {
    std::int64_t const d = op.width();
    numbers const x = random_numbers(static_cast<std::size_t>(2 * d), 8);
    numbers y(x.begin() + d, x.end());
    y.insert(y.end(), x.begin(), x.begin() + d);
    CHECK(support::same_bits(fold_with(op, x, {0, 2}), fold_with(op, y, {0, 2})));
    // alone and among others
    numbers const many = random_numbers(static_cast<std::size_t>(40 * d), 4);
    numbers const all = fold_with(op, many, {0, 17, 20, 40}),
                  alone = fold_with(op, numbers(many.begin() + 17 * d, many.begin() + 20 * d), {0, 3});
    CHECK(support::same_bits(numbers(all.begin() + d, all.begin() + 2 * d), alone));
  };
  swaps(gru), swaps(mlp), swaps(joint), swaps(conjugate);
}

TEST_CASE("the conjugate operation is a monoid: every tree gives the same") {
  numbers const p = random_numbers(2 * (6 * 7 + 7 + 3), 3);
  ag::conjugate_sum<double> const op{.size = 6, .hidden = 7, .parameter = p};
  numbers a = random_numbers(60, 1), b = random_numbers(60, 2), c = random_numbers(60, 3);
  CHECK(ag::associativity_gap(fanfold::serial, op, as_matrix(a, 6), as_matrix(b, 6), as_matrix(c, 6)) < 1e-26);
  numbers x = random_numbers(6 * 13, 4), tree(6), chain(6);
  ag::learned_tape<double> tape;
  offsets const o{0, 13};
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 6), ag::fold_shape::balanced(o), as_matrix(tree, 6), tape);
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 6), ag::fold_shape::sequential(o), as_matrix(chain, 6), tape);
  for (std::size_t i = 0; i < 6; ++i) CHECK(tree[i] == doctest::Approx(chain[i]).epsilon(1e-12));
}

TEST_CASE("the tree: depth, pairs, and the same as the engine's tree of sums") {
  for (std::int64_t n : {1, 2, 3, 5, 8, 16, 17, 33, 100}) {
    offsets const o{0, n};
    auto const shape = ag::fold_shape::balanced(o);
    int depth = 0;
    while ((std::int64_t{1} << depth) < n) ++depth;
    CHECK(shape.levels() == depth);
    CHECK(shape.nodes() == 2 * n - 1);
    CHECK(ag::fold_shape::sequential(o).levels() == n - 1);
    numbers const x = random_numbers(static_cast<std::size_t>(n), 77);
    CHECK(fold_with(sum_op{}, x, o)[0] == reference::adjacent_pairs(plain_sum{}, x));
  }
  auto const mixed = ag::fold_shape::balanced(offsets{0, 0, 1, 6, 8});
  CHECK(mixed.nodes() - mixed.items() == 8 - 3);  // items less the segments that are not empty
  CHECK(mixed.root(0) == -1);
  CHECK(mixed.root(1) == 0);
  CHECK(ag::fold_shape::balanced(offsets{}).segments() == 0);
}

TEST_CASE("empty segments follow the policy; one item is itself; NaN stays in its segment") {
  ag::binary_gru<double> const op{.size = 2, .parameter = gru_parameters};
  numbers x{1, 2, 3, 4, std::numeric_limits<double>::quiet_NaN(), 0}, out(8, 9.0);
  offsets const o{0, 0, 1, 2, 3};
  ag::learned_tape<double> tape;
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), o, as_matrix(out, 2), tape);
  CHECK(out[0] == 0);
  CHECK(out[2] == 1);
  CHECK(out[5] == 4);
  CHECK(std::isnan(out[6]));
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), o, as_matrix(out, 2), tape, fanfold::empty_policy::value{0.5});
  CHECK(out[1] == 0.5);
  out[0] = 7;
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), o, as_matrix(out, 2), tape, fanfold::empty_policy::skip);
  CHECK(out[0] == 7);
  numbers with_nan{1, 2, std::numeric_limits<double>::quiet_NaN(), 0, 5, 6, 7, 8};
  numbers const y = fold_with(op, with_nan, {0, 2, 4});
  CHECK(std::isnan(y[0]));
  CHECK(!std::isnan(y[2]));
}

TEST_CASE("leaves in another order change the result by no more than the gaps on the way") {
  ag::binary_gru<double> const op{.size = 2, .parameter = gru_parameters};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    numbers const x = random_numbers(6, seed, 3);
    numbers a(x.begin(), x.begin() + 2), b(x.begin() + 2, x.begin() + 4), c(x.begin() + 4, x.end()), other = a;
    other.insert(other.end(), c.begin(), c.end()), other.insert(other.end(), b.begin(), b.end());
    numbers const one = fold_with(op, x, {0, 3}), two = fold_with(op, other, {0, 3});  // (a + b) + c -> a + (b + c) = a + (c + b) -> (a + c) + b
    double const way = std::sqrt(ag::associativity_gap(fanfold::serial, op, as_matrix(a, 2), as_matrix(b, 2), as_matrix(c, 2))) +
                       std::sqrt(ag::associativity_gap(fanfold::serial, op, as_matrix(a, 2), as_matrix(c, 2), as_matrix(b, 2)));
    CHECK(std::hypot(one[0] - two[0], one[1] - two[1]) <= way * (1 + 1e-12));
    CHECK(one != two);
  }
}

TEST_CASE("gradient of the associativity gap") {
  numbers p = random_numbers(72, 4, 0.7), a = random_numbers(12, 1), b = random_numbers(12, 2), c = random_numbers(12, 3);
  auto const gap = [&] {
    return ag::associativity_gap(fanfold::serial, ag::binary_gru<double>{.size = 3, .parameter = p}, as_matrix(a, 3), as_matrix(b, 3),
                                 as_matrix(c, 3));
  };
  numbers da(12), db(12), dc(12), dp(72);
  ag::associativity_gap_vjp(fanfold::serial, ag::binary_gru<double>{.size = 3, .parameter = p}, as_matrix(a, 3), as_matrix(b, 3),
                            as_matrix(c, 3), 1.0, as_matrix(da, 3), as_matrix(db, 3), as_matrix(dc, 3), dp);
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(gap, at, gradient, 1e-6, 0.1); };
  check(a, da), check(b, db), check(c, dc), check(p, dp);
  numbers none;
  CHECK(ag::associativity_gap(fanfold::serial, ag::binary_gru<double>{.size = 3, .parameter = p}, as_matrix(none, 3), as_matrix(none, 3),
                              as_matrix(none, 3)) == 0);
}

TEST_CASE("projection and shuffled leaves") {
  numbers p = random_numbers(3 * 5, 6), x = random_numbers(8, 2), g = random_numbers(6, 3), y(6), dx(8), dp(15);
  auto const value = [&] {
    ag::project(fanfold::serial, ag::item_projection<double>{.in = 4, .out = 3, .parameter = p}, as_matrix(x, 4), as_matrix(y, 3));
    double s = 0;
    for (std::size_t i = 0; i < 6; ++i) s += y[i] * g[i];
    return s;
  };
  value();
  ag::project_vjp(fanfold::serial, ag::item_projection<double>{.in = 4, .out = 3, .parameter = p}, as_matrix(x, 4), as_matrix(y, 3),
                  as_matrix(g, 3), as_matrix(dx, 4), dp);
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(value, at, gradient, 1e-6, 1, 1e-6); };
  check(x, dx), check(p, dp);

  std::vector<std::int32_t> order(20), again(20);
  offsets const o{0, 12, 12, 20};
  ag::shuffle_leaves(fanfold::random_stream{4, 1, 0}, o, order);
  std::vector<int> seen(20);
  bool moved = false;
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK((order[i] < 12) == (i < 12));
    ++seen[static_cast<std::size_t>(order[i])];
    moved |= order[i] != static_cast<std::int32_t>(i);
  }
  CHECK(seen == std::vector<int>(20, 1));
  CHECK(moved);
  ag::shuffle_leaves(fanfold::random_stream{5, 1, 0}, o, again);
  CHECK(again != order);
}

TEST_CASE("what does not fit is refused") {
  ag::binary_gru<double> const op{.size = 2, .parameter = gru_parameters};
  numbers x(6), out(2), dx(6), dp(36);
  ag::learned_tape<double> tape;
  CHECK_THROWS_WITH_AS(ag::learned_fold(fanfold::serial, op, as_matrix(x, 3), offsets{0, 2}, as_matrix(out, 2), tape),
                       doctest::Contains("project the items first"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), offsets{0, 2}, as_matrix(out, 2), tape),
                       doctest::Contains("x.rows()"), fanfold::argument_error);
  CHECK_THROWS_AS(ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), offsets{0, 1, 3}, as_matrix(out, 2), tape),
                  fanfold::argument_error);
  CHECK_THROWS_AS(ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), offsets{0, 4, 3}, as_matrix(out, 2), tape),
                  fanfold::argument_error);
  ag::binary_gru<double> const wrong{.size = 3, .parameter = gru_parameters};
  CHECK_THROWS_WITH_AS(ag::learned_fold(fanfold::serial, wrong, as_matrix(x, 3), offsets{0, 2}, as_matrix(dx, 3), tape),
                       doctest::Contains("6 d (d + 1)"), fanfold::argument_error);
  ag::conjugate_sum<double> const odd{.size = 3, .hidden = 1, .parameter = gru_parameters};
  CHECK_THROWS_WITH_AS(odd.check(), doctest::Contains("even"), fanfold::argument_error);
  ag::learned_fold(fanfold::serial, op, as_matrix(x, 2), offsets{0, 3}, as_matrix(out, 2), tape);
  numbers few(35);
  CHECK_THROWS_WITH_AS(ag::learned_fold_vjp(fanfold::serial, op, tape, as_matrix(out, 2), as_matrix(dx, 2), few),
                       doctest::Contains("dparameter"), fanfold::argument_error);
}
