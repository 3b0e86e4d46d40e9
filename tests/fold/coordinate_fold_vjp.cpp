#include "fanfold/fold/coordinate_fold_vjp.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fanfold/core/random.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace ff = fanfold;

namespace {

/// The mean of the ranks [low, high).
struct middle_mean {
  std::int64_t low = 0, high = 1;

  void check(std::int64_t n) const { ff::check_argument(high <= n, "middle_mean", "number of rows", n, "high or more"); }
  template <class Column>
  FANFOLD_HD typename Column::value_type operator()(Column const& v) const {
    using V = typename Column::value_type;
    return ff::sum_of_ranks(v, low, high) / V(static_cast<typename ff::detail::lanes_of<V>::scalar>(high - low));
  }
  template <class Column>
  ff::rank_window window(Column const&) const {
    return {low, high - low};
  }
};

}  // namespace

TEST_CASE_TEMPLATE("coordinate_fold_vjp: shares go to the rows of the window, equal values by index", T, float, double, ff::bfloat16) {
  using A = ff::arithmetic_t<T>;
  for (std::int64_t n : {1, 3, 20, 67})
    for (std::int64_t d : {1, 16, 517}) {
      middle_mean const rule{n / 3, n / 3 + (n + 1) / 2};
      std::vector<T> x;
      std::vector<A> g;
      ff::random_stream const draws{5, 6, static_cast<std::uint32_t>(n)};
      for (std::int64_t i = 0; i < n * d; ++i) x.push_back(ff::from_arithmetic<T>(static_cast<A>(draws.below(9, static_cast<std::uint64_t>(i)))));  // many ties
      for (std::int64_t c = 0; c < d; ++c) g.push_back(static_cast<A>(c + 1));
      std::vector<A> expected(x.size(), A(0));
      for (std::int64_t c = 0; c < d; ++c) {
        std::vector<std::int64_t> order;
        for (std::int64_t i = 0; i < n; ++i) order.push_back(i * d + c);
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
          return ff::to_arithmetic(x[static_cast<std::size_t>(a)]) < ff::to_arithmetic(x[static_cast<std::size_t>(b)]);
        });
        for (std::int64_t r = rule.low; r < rule.high; ++r)
          expected[static_cast<std::size_t>(order[static_cast<std::size_t>(r)])] = g[static_cast<std::size_t>(c)] / static_cast<A>(rule.high - rule.low);
      }
      support::for_each_executor([&](char const* name, auto const& ex) {
        CAPTURE(name);
        std::vector<A> dx(x.size(), A(7));
        ff::coordinate_fold_vjp(ex, rule, ff::matrix_view<T const>(x.data(), n, d), g, ff::matrix_view<A>(dx.data(), n, d));
        CHECK(support::same_bits(dx, expected));
      });
    }
}

TEST_CASE("coordinate_fold_vjp: no rows, no coordinates, shapes that do not match") {
  std::vector<float> const x(6, 1.0f), g(3, 1.0f);
  std::vector<float> dx(6, 7.0f);
  ff::matrix_view<float const> const rows(x.data(), 2, 3);
  ff::matrix_view<float> const to(dx.data(), 2, 3);
  ff::coordinate_fold_vjp(ff::serial, middle_mean{0, 2}, rows.sub_rows(0, 0), g, to.sub_rows(0, 0));
  CHECK(dx == std::vector<float>(6, 7.0f));
  CHECK_THROWS_AS(ff::coordinate_fold_vjp(ff::serial, middle_mean{0, 3}, rows, g, to), ff::argument_error);
  CHECK_THROWS_AS(ff::coordinate_fold_vjp(ff::serial, middle_mean{0, 2}, rows, g, to.sub_rows(0, 1)), ff::argument_error);
  CHECK_THROWS_AS(ff::coordinate_fold_vjp(ff::serial, middle_mean{0, 2}, rows, std::vector<float>(2), to), ff::argument_error);
  CHECK(dx == std::vector<float>(6, 7.0f));
}
