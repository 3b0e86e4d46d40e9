#include "fanfold/kernel/soft_moe.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/soft_moe.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;

template <class R>
std::vector<R> numbers(std::int64_t n, std::uint64_t seed) {
  std::vector<R> r;
  for (float x : support::reals(static_cast<std::size_t>(n), seed)) r.push_back(static_cast<R>(x));
  return r;
}

/// Weights, slots and output of one soft mixture whose experts are the identity.
template <class R, class E>
std::vector<R> soft_mixture(E const& ex, std::int64_t rows, std::int64_t d, std::int64_t slots, bool noisy, route::row_mask mask) {
  auto const x = numbers<R>(rows * d, 1), mu = numbers<R>(slots * d, 2), noise = numbers<R>(rows * slots, 3);
  std::vector<R> out(static_cast<std::size_t>(2 * rows * slots + slots * d + rows * d), R(77));
  matrix_view<R> const dispatch(out.data(), rows, slots), combine(dispatch.data() + rows * slots, rows, slots), mixed(combine.data() + rows * slots, slots, d),
      result(mixed.data() + slots * d, rows, d);
  route::soft_moe<R> const moe{{mu.data(), slots, d}, R(1.5)};
  matrix_view<R const> const tokens(x.data(), rows, d);
  route::mixing_weights(ex, moe, tokens, dispatch, combine, mask, noisy ? matrix_view<R const>(noise.data(), rows, slots) : matrix_view<R const>());
  route::mix_in(ex, fanfold::as_const(dispatch), tokens, mixed);
  route::mix_out(ex, fanfold::as_const(combine), fanfold::as_const(mixed), result);
  return out;
}

template <class R>
void check_mixture(std::int64_t rows, std::int64_t d, std::int64_t slots, bool noisy, route::row_mask mask = {}) {
  auto const want = soft_mixture<R>(fanfold::serial, rows, d, slots, noisy, mask);
  support::for_each_geometry([&](auto const& ex) { CHECK(support::same_bits(soft_mixture<R>(ex, rows, d, slots, noisy, mask), want)); });
}

}  // namespace

TEST_CASE("soft mixtures on a device: the host's weights, slots and outputs") {
  check_mixture<float>(13, 24, 6, false);
  check_mixture<float>(40, 7, 9, true);
  check_mixture<double>(9, 5, 3, true);
  check_mixture<float>(1, 1, 1, false);
  check_mixture<float>(0, 4, 2, false);
  std::vector<std::uint8_t> const real{1, 0, 1, 1, 0, 1, 1};
  check_mixture<float>(7, 10, 4, false, {real});
  std::vector<std::uint8_t> const none(3);
  check_mixture<float>(3, 10, 4, true, {none});
}
