#include "fanfold/kernel/sinkhorn.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/route/balanced_assign.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;

struct balanced_rows {
  std::vector<std::int32_t> id;
  std::vector<float> weight;
};

template <class E, class L>
balanced_rows sinkhorn_rows(E const& ex, route::sinkhorn_router const& router, std::vector<L> const& logits, std::int64_t n) {
  std::int64_t const rows = static_cast<std::int64_t>(logits.size()) / n;
  auto const size = static_cast<std::size_t>(rows * router.k);
  balanced_rows r{std::vector<std::int32_t>(size, 77), std::vector<float>(size, 77)};
  route::assign(ex, router, matrix_view<L const>(logits.data(), rows, n),
                route::assignment<float>{{r.id.data(), rows, router.k}, {r.weight.data(), rows, router.k}});
  return r;
}

template <class L>
void check_sinkhorn_rows(route::sinkhorn_router const& router, std::vector<L> const& logits, std::int64_t n) {
  auto const want = sinkhorn_rows(fanfold::serial, router, logits, n);
  support::for_each_geometry([&](auto const& ex) {
    auto const got = sinkhorn_rows(ex, router, logits, n);
    CHECK(got.id == want.id);
    CHECK(support::same_bits(got.weight, want.weight));
    fanfold::finish(ex);
  });
}

}  // namespace

TEST_CASE("sinkhorn on a device: the host's ids and weights") {
  check_sinkhorn_rows<float>({.k = 1}, support::reals(70 * 5, 1), 5);
  check_sinkhorn_rows<float>({.k = 3, .options = {.temperature = .5}, .group_size = 33}, support::reals(100 * 40, 2), 40);
  check_sinkhorn_rows<float>({.k = 1}, support::reals(3, 3), 1);
  check_sinkhorn_rows<float>({.k = 2}, std::vector<float>{}, 4);
  std::vector<double> doubles;
  for (float x : support::reals(65 * 7, 4)) doubles.push_back(static_cast<double>(x) * 1.1);
  check_sinkhorn_rows<double>({.k = 2, .options = {.tolerance = 1e-6, .most_iterations = 7}}, doubles, 7);
}

TEST_CASE("sinkhorn on a device: plan and convergence, by launches and by one block") {
  float const nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (std::int64_t rows : {97, support::thread_sanitizer ? 300 : 1200}) {
    std::int64_t const n = rows == 97 ? 33 : support::thread_sanitizer ? 110 : 28;  // the second is more than one block takes
    auto logits = support::reals(static_cast<std::size_t>(rows * n), 5);
    logits[3] = nan;
    logits[7] = -inf;
    std::vector<float> want(logits.size()), got(logits.size());
    fanfold::workspace host;
    route::sinkhorn const options{.tolerance = rows == 97 ? 1e-4 : 1e-3, .most_iterations = rows == 97 ? 100 : 9};
    matrix_view<float const> const x(logits.data(), rows, n);
    auto const expected = route::balance(fanfold::serial, options, x, matrix_view(want.data(), rows, n), host);
    CHECK(expected.iterations > 1);
    int geometries = 0;
    support::for_each_geometry([&](auto const& ex) {
      if (rows != 97 && geometries++ % 3 != 0) return;
      route::sinkhorn_result result;
      route::balance(ex, options, x, matrix_view(got.data(), rows, n), ex.scratch(), fanfold::view<route::sinkhorn_result>(&result, 1));
      CHECK(support::same_bits(got, want));
      CHECK(result.iterations == expected.iterations);
      CHECK(result.converged == expected.converged);
    });
  }
}

TEST_CASE("sinkhorn on a device: what cannot be balanced is reported") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  float const inf = std::numeric_limits<float>::infinity();
  for (auto const& bad : {std::vector<float>{1, inf, 2, 3}, std::vector<float>{-inf, -inf, 2, 3}, std::vector<float>{1, -inf, 2, -inf}}) {
    auto const r = sinkhorn_rows(ex, {}, bad, 2);
    CHECK_THROWS_WITH_AS(fanfold::finish(ex), doctest::Contains("not finite"), fanfold::argument_error);
    for (auto e : r.id) CHECK((e == 0 || e == 1));
  }
}
