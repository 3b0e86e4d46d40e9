#include "fanfold/fold/order_key.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/fold/lane_vector.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "support/bits.hpp"

namespace {

namespace ff = fanfold;

template <class T>
std::vector<T> rising() {
  using limits = std::numeric_limits<T>;
  return {-limits::infinity(), -limits::max(), T(-2), T(-1), -limits::min(), -limits::denorm_min(), T(-0.0),
          T(0.0),              limits::denorm_min(), limits::min(), T(1), T(1.5), limits::max(), limits::infinity()};
}

template <class T>
void check_keys() {
  using K = ff::detail::order_key<T>;
  auto const x = rising<T>();
  T const nothing = std::numeric_limits<T>::quiet_NaN();
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto const k = ff::detail::encode_key(x[i], K::nan);
    CHECK(support::same_bits(ff::detail::decode_key<T>(k), x[i]));
    if (i > 0) CHECK(ff::detail::encode_key(x[i - 1], K::nan) < k);
    CHECK(k < K::nan);
  }
  CHECK(ff::detail::encode_key(nothing, K::nan) == K::nan);
  CHECK(ff::detail::encode_key(-nothing, K::nan) == K::nan);
  CHECK(ff::detail::encode_key(-nothing, K::infinity) == ff::detail::encode_key(std::numeric_limits<T>::infinity(), K::nan));
  CHECK(K::nan < K::pad);

  // registers and arrays of lanes do the same
  using vectors = ff::native_lanes<T>;
  std::vector<T> some = x;
  some.push_back(-nothing);
  for (T v : some) {
    auto const a = ff::detail::encode_keys(vectors(v), K::nan);
    auto const b = ff::detail::encode_keys(ff::lane_array<T>(v), K::nan);
    for (int l = 0; l < vectors::lanes; ++l) {
      CHECK(a.v[l] == ff::detail::encode_key(v, K::nan));
      CHECK(b.v[l] == a.v[l]);
      T const back = ff::detail::decode_keys<T>(a).v[l];
      CHECK(support::same_bits(back, v));
    }
  }
}

template <class T>
void check_ranks() {
  auto const x = rising<T>();
  for (std::size_t i = 1; i < x.size(); ++i) {
    bool const equal = x[i - 1] == x[i];
    CHECK((ff::largest{}.rank(x[i - 1]) < ff::largest{}.rank(x[i])) == !equal);
    CHECK((ff::smallest{}.rank(x[i - 1]) > ff::smallest{}.rank(x[i])) == !equal);
    CHECK(ff::largest{}.template number<T>(ff::largest{}.rank(x[i])) == x[i]);
    CHECK(ff::smallest{}.template number<T>(ff::smallest{}.rank(x[i])) == x[i]);
    CHECK(ff::largest_magnitude{}.template number<T>(ff::largest_magnitude{}.rank(x[i])) == ff::math::abs(x[i]));
    CHECK(ff::largest_magnitude{}.rank(x[i]) > 0);
  }
  T const nothing = std::numeric_limits<T>::quiet_NaN();
  CHECK(ff::largest{}.rank(nothing) == 0);
  CHECK(ff::smallest{}.rank(-nothing) == 0);
  CHECK(ff::largest_magnitude{}.rank(-nothing) == 0);
}

}  // namespace

TEST_CASE("order keys: total order with NaN last") {
  check_keys<float>();
  check_keys<double>();
}

TEST_CASE("rank orders: zeros equal, NaN lowest") {
  check_ranks<float>();
  check_ranks<double>();
}

TEST_CASE("lane vectors: arithmetic, comparisons and choice lane by lane") {
  using V = ff::native_lanes<float>;
  using W = ff::lane_array<float>;
  float x[V::lanes], y[V::lanes];
  for (int l = 0; l < V::lanes; ++l) x[l] = static_cast<float>(l) - 1.5f, y[l] = 2.0f - static_cast<float>(l * l);
  V const a = V::load(x), b = V::load(y);
  W const c = W::load(x), d = W::load(y);
  auto const same = [](V const& v, W const& w) {
    bool all = true;
    for (int l = 0; l < V::lanes; ++l) all &= v.v[l] == w.v[l];
    return all;
  };
  CHECK(same(a + b, c + d));
  CHECK(same(a - b, c - d));
  CHECK(same(a * b, c * d));
  CHECK(same(a / b, c / d));
  CHECK(same(choose(a < b, a, b), choose(c < d, c, d)));
  CHECK(same(choose((a >= b) & (b != V(1)), a, b), choose((c >= d) & (d != W(1)), c, d)));
  CHECK(same(choose((a <= b) | (a == V(-0.5f)), V(3), b), choose((c <= d) | (c == W(-0.5f)), W(3), d)));
  CHECK((a + V(1)).v[1] == 0.5f);
  CHECK(ff::choose(true, 1, 2) == 1);
}
