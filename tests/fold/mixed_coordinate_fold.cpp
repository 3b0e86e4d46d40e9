#include "fanfold/fold/mixed_coordinate_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace ff = fanfold;
using ff::aggregate::coordinate_median;
using ff::aggregate::trimmed_mean;

namespace {

enum class weights { one, various };

/// n rows of d numbers, and mixtures of `entries(i)` of them.
template <class T>
struct mixing_case {
  std::int64_t n, d;
  std::vector<T> x;
  std::vector<T const*> address;
  std::vector<std::int64_t> offset{0};
  std::vector<std::int32_t> id;
  std::vector<ff::arithmetic_t<T>> weight;

  template <class F>
  mixing_case(std::int64_t rows, std::int64_t size, std::int64_t mixed, weights kind, F const& entries)
      : n(rows), d(size), x(static_cast<std::size_t>(rows * size)) {
    ff::random_stream const draws{3, 4, static_cast<std::uint32_t>(rows + size)};
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = ff::from_arithmetic<T>(static_cast<ff::arithmetic_t<T>>(draws.normal(i)));
    for (std::int64_t i = 0; i < n; ++i) address.push_back(x.data() + i * d);
    for (std::int64_t i = 0; i < mixed; ++i) {
      for (std::int64_t e = 0; e < entries(i); ++e) {
        id.push_back(static_cast<std::int32_t>((i + e * 7) % n));
        weight.push_back(kind == weights::one ? ff::arithmetic_t<T>(0.3f) : ff::arithmetic_t<T>(draws.normal(1000 + id.size())));
      }
      offset.push_back(static_cast<std::int64_t>(id.size()));
    }
  }
  ff::row_mixture<T> recipe() const { return {address.data(), n, d, offset, id, weight}; }
};

template <class T, class R>
void check_against_two_passes(mixing_case<T> const& c, R const& rule) {
  using A = ff::arithmetic_t<T>;
  auto const mixed = static_cast<std::int64_t>(c.offset.size()) - 1;
  std::vector<A> rows(static_cast<std::size_t>(mixed * c.d)), expected(static_cast<std::size_t>(c.d));
  ff::matrix_view<A> const block(rows.data(), mixed, c.d);
  ff::element_range const whole[1] = {{0, c.d}};
  ff::map_fold(ff::serial, ff::weighted_sum<A>{c.weight}, ff::row_lists<T const>{ff::rows_view<T const>(c.address.data(), c.n, c.d), c.offset, c.id}, block, whole);
  ff::coordinate_fold(ff::serial, rule, ff::as_const(block), expected);
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<A> out(expected.size(), A(7));
    ff::workspace ws;
    ff::mixed_coordinate_fold(ex, rule, c.recipe(), ff::view<A>(out), ff::nonfinite::as_pos_inf, ws);
    CHECK(support::same_bits(out, expected));
  });
}

}  // namespace

TEST_CASE_TEMPLATE("mixed_coordinate_fold: the bits of map_fold and coordinate_fold", T, float, double, ff::bfloat16) {
  for (weights kind : {weights::one, weights::various})
    for (std::int64_t d : {0, 1, 15, 127, 256, 300, 4096, 9001}) {
      CAPTURE(d);
      check_against_two_passes(mixing_case<T>(9, d, 7, kind, [](std::int64_t i) { return 1 + i; }), trimmed_mean{.f = 2});
    }
}

TEST_CASE("mixed_coordinate_fold: mixtures of no row, of a few runs, of many") {
  for (weights kind : {weights::one, weights::various}) {
    check_against_two_passes(mixing_case<float>(5, 700, 5, kind, [](std::int64_t i) { return i; }), coordinate_median{});
    check_against_two_passes(mixing_case<float>(70, 700, 4, kind, [](std::int64_t i) { return 30 + 2 * i; }), coordinate_median{});
    check_against_two_passes(mixing_case<float>(200, 300, 3, kind, [](std::int64_t i) { return 63 + i; }), coordinate_median{});
    check_against_two_passes(mixing_case<float>(40, 300, 70, kind, [](std::int64_t) { return 5; }), trimmed_mean{.f = 30});
  }
}

TEST_CASE("mixed_coordinate_fold: what the rule refuses is refused before anything is written") {
  mixing_case<float> const c(5, 40, 5, weights::one, [](std::int64_t) { return 2; });
  std::vector<float> out(40, 7.0f);
  ff::workspace ws;
  CHECK_THROWS_AS(ff::mixed_coordinate_fold(ff::serial, trimmed_mean{.f = 3}, c.recipe(), ff::view<float>(out), ff::nonfinite::as_pos_inf, ws), ff::argument_error);
  CHECK(out == std::vector<float>(40, 7.0f));
}
