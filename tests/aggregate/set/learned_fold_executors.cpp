#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/set/binary_gru.hpp"
#include "fanfold/aggregate/set/conjugate_sum.hpp"
#include "fanfold/aggregate/set/learned_fold.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using offsets = std::vector<std::int64_t>;

template <class A>
fanfold::matrix_view<A> as_matrix(std::vector<A>& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

template <class Op>
void check_same_on_all_executors(Op const& op) {
  using A = typename Op::value_type;
  std::int64_t const d = op.width();
  offsets o{0};
  for (std::int64_t n : {7, 0, 1, 64, 33, 2, 129}) o.push_back(o.back() + n);
  support::lcg random(11);
  std::vector<A> x(static_cast<std::size_t>(o.back() * d)), g((o.size() - 1) * static_cast<std::size_t>(d));
  for (A& v : x) v = static_cast<A>(random.real());
  for (A& v : g) v = static_cast<A>(random.real());
  std::vector<A> first_out, first_dx, first_dp;
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<A> out(g.size()), dx(x.size()), dp(static_cast<std::size_t>(op.parameters()));
    ag::learned_tape<A> tape;
    ag::learned_fold(ex, op, as_matrix(x, d), o, as_matrix(out, d), tape);
    ag::learned_fold_vjp(ex, op, tape, as_matrix(g, d), as_matrix(dx, d), dp);
    if (first_out.empty()) first_out = out, first_dx = dx, first_dp = dp;
    CHECK(support::same_bits(out, first_out));
    CHECK(support::same_bits(dx, first_dx));
    CHECK(support::same_bits(dp, first_dp));
  });
}

template <class A>
std::vector<A> parameters(std::int64_t n) {
  support::lcg g(3);
  std::vector<A> p(static_cast<std::size_t>(n));
  for (A& v : p) v = static_cast<A>(0.5f * g.real());
  return p;
}

}  // namespace

TEST_CASE("learned folds and their gradients have the same bits on every executor") {
  SUBCASE("binary gru, float") {
    auto const p = parameters<float>(6 * 16 * 17);
    check_same_on_all_executors(ag::binary_gru<float>{.size = 16, .parameter = p});
  }
  SUBCASE("conjugate sum, double") {
    auto const p = parameters<double>(2 * (6 * 7 + 7 + 3));
    check_same_on_all_executors(ag::conjugate_sum<double>{.size = 6, .hidden = 7, .parameter = p});
  }
}
