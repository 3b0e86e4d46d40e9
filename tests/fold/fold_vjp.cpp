#include "fanfold/fold/fold_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/neighbour_fold_vjp.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"
#include "fanfold/monoid/statistics.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

std::vector<double> doubles(std::size_t n, std::uint64_t seed, double low) {
  support::lcg g(seed);
  std::vector<double> x(n);
  for (double& v : x) v = low + 0.5 * static_cast<double>(g.real());
  return x;
}

// Central differences of the scalar f with respect to each element of x.
template <class F>
void check_gradient(std::vector<double> x, std::vector<double> const& gradient, F const& f) {
  double scale = 1e-3;
  for (double v : gradient) scale = v * v > scale * scale ? (v < 0 ? -v : v) : scale;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const at = x[i], h = 1e-5;
    x[i] = at + h;
    double const up = f(x);
    x[i] = at - h;
    double const down = f(x);
    x[i] = at;
    CAPTURE(i);
    CHECK((up - down) / (2 * h) == doctest::Approx(gradient[i]).epsilon(1e-6).scale(scale));
  }
}

template <class A>
void check_stream(A const& a) {
  auto const x = doubles(70, 3, 1.0);
  std::vector<typename A::state> state(1);
  std::vector<double> const g{1.7};
  std::vector<double> dx(x.size());
  fanfold::fold(fanfold::state_of{a}, x, state);
  fanfold::fold_vjp(a, x, state, g, dx);
  check_gradient(x, dx, [&](std::vector<double> const& y) { return 1.7 * fanfold::fold(a, y); });
}

struct variance : fanfold::moments<2> {
  using output = double;
  double lower(state const& s) const { return fanfold::moments<2>::lower(s).variance(); }
  fanfold::moments_pullback fold_vjp(state const& s, double g) const { return fanfold::moments<2>::fold_vjp(s, {0.0, g, 0.0}); }
};

}  // namespace

TEST_CASE("gradients of folds agree with central differences") {
  check_stream(fanfold::plus<double>{});
  check_stream(fanfold::mean<double>{});
  check_stream(variance{});
  check_stream(fanfold::log_sum_exp<double>{});
  check_stream(fanfold::l2_norm<double>{});
  check_stream(fanfold::tied_maximum<double>{});
}

TEST_CASE("gradients of segmented folds, on every executor") {
  std::vector<std::int64_t> const offsets{2, 5, 5, 40, 41};
  std::int64_t const rows = 43, width = 3, segments = 4;
  auto const x = doubles(static_cast<std::size_t>(rows * width), 5, 0.0);
  auto const g = doubles(static_cast<std::size_t>(segments * width), 6, 0.2);
  fanfold::log_sum_exp<double> const a;
  using state = fanfold::log_sum_exp<double>::state;
  std::vector<state> states(static_cast<std::size_t>(segments * width));
  std::vector<double> expected(x.size(), 0.0);
  fanfold::matrix_view<double const> const gradients(g.data(), segments, width);
  fanfold::matrix_view<state> const finals(states.data(), segments, width);
  auto const rows_of = [&](std::vector<double> const& v) { return fanfold::matrix_view<double const>(v.data(), rows, width); };
  fanfold::segmented_fold(fanfold::state_of{a}, rows_of(x), offsets, finals);
  fanfold::segmented_fold_vjp(a, rows_of(x), offsets, finals, gradients, fanfold::matrix_view<double>(expected.data(), rows, width));
  check_gradient(x, expected, [&](std::vector<double> const& y) {
    std::vector<double> out(static_cast<std::size_t>(segments * width));
    fanfold::segmented_fold(a, rows_of(y), offsets, fanfold::matrix_view<double>(out.data(), segments, width), fanfold::empty_policy::value{0.0});
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += g[i] * out[i];
    return sum;
  });
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<double> dx(x.size(), 0.0);
    fanfold::segmented_fold_vjp(ex, a, rows_of(x), offsets, finals, gradients, fanfold::matrix_view<double>(dx.data(), rows, width));
    CHECK(support::same_bits(dx, expected));
  });
}

TEST_CASE("the gradient of a neighbour fold is a neighbour fold over the transposed graph") {
  // edges 0 -> {1, 2}, 1 -> {0}, 2 -> {1, 0, 2} as rows that fold their sources
  std::vector<std::int64_t> const offsets{0, 2, 3, 6}, transposed_offsets{0, 2, 4, 6};
  std::vector<std::int32_t> const ids{1, 2, 0, 1, 0, 2}, transposed_ids{1, 2, 0, 2, 0, 2};
  std::vector<double> const weight{0.5, -1.0, 2.0, 0.3, 1.1, 0.7}, transposed_weight{2.0, 1.1, 0.5, 0.3, -1.0, 0.7};
  std::int64_t const n = 3, width = 5;
  auto const x = doubles(15, 9, 0.0), g = doubles(15, 10, 0.3);
  fanfold::log_sum_exp<double> const a;
  std::vector<fanfold::log_sum_exp<double>::state> states(15);
  auto const matrix = [&](auto& v) { return fanfold::matrix_view(v.data(), n, width); };
  for (bool const weighted : {false, true}) {
    fanfold::csr_view<double> const graph{offsets, ids, {}}, transposed{transposed_offsets, transposed_ids,
                                                                         weighted ? fanfold::view<double const>(transposed_weight) : fanfold::view<double const>()};
    auto const run = [&](auto const& policy, auto const& y, auto const& out) {
      if (weighted)
        fanfold::neighbour_fold(policy, graph, fanfold::weighted_source_rows{y, weight}, out);
      else
        fanfold::neighbour_fold(policy, graph, fanfold::source_rows{y}, out);
    };
    run(fanfold::state_of{a}, matrix(x), matrix(states));
    std::vector<double> dx(15);
    fanfold::neighbour_fold_vjp(fanfold::serial, a, transposed, matrix(x), matrix(states), matrix(g), matrix(dx));
    check_gradient(x, dx, [&](std::vector<double> const& y) {
      std::vector<double> out(15);
      run(a, matrix(y), matrix(out));
      double sum = 0;
      for (std::size_t i = 0; i < out.size(); ++i) sum += g[i] * out[i];
      return sum;
    });
  }
}

TEST_CASE("gradient entries check shapes before they write") {
  fanfold::plus<double> const a;
  std::vector<double> const x{1, 2}, one{1}, two{1, 1};
  std::vector<double> dx(2, 9.0), three(3, 9.0);
  CHECK_THROWS_WITH_AS(fanfold::fold_vjp(a, x, two, one, dx), doctest::Contains("state.size()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::fold_vjp(a, x, one, two, dx), doctest::Contains("g.size()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::fold_vjp(a, x, one, one, three), doctest::Contains("dx.size()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::segmented_fold_vjp(a, x, std::vector<std::int64_t>{0, 1}, two, one, dx), doctest::Contains("states.rows()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::segmented_fold_vjp(a, x, std::vector<std::int64_t>{0, 3}, one, one, dx), doctest::Contains("last offset"), fanfold::argument_error);
  CHECK(dx == std::vector<double>{9, 9});
}
