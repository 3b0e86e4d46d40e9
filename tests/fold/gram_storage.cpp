#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/fold/gram.hpp"
#include "reference/gram.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

template <class T>
std::vector<double> distances(std::vector<T> const& x, std::int64_t n) {
  std::vector<double> out(static_cast<std::size_t>(n * n));
  ff::gram(ff::squared_distances{}, ff::matrix_view<T const>(x.data(), n, static_cast<std::int64_t>(x.size()) / n),
           ff::matrix_view<double>(out.data(), n, n));
  return out;
}

// The same bits as for the widened rows.
template <class T>
void check_half(std::vector<float> const& x) {
  std::vector<T> stored;
  std::vector<float> widened;
  for (float v : x) {
    stored.push_back(T(v));
    widened.push_back(static_cast<float>(T(v)));
  }
  CHECK(support::same_bits(distances(stored, 6), distances(widened, 6)));
}

}  // namespace

TEST_CASE("gram: bfloat16 and float16 rows") {
  for (std::size_t d : {5u, 100u, 4500u}) {
    check_half<ff::bfloat16>(support::reals(6 * d, d));
    check_half<ff::float16>(support::reals(6 * d, d));
  }
}

TEST_CASE("gram: double rows") {
  std::int64_t const n = 6, d = 5000;
  support::lcg g(3);
  std::vector<double> x;
  for (std::int64_t i = 0; i < n * d; ++i) x.push_back(static_cast<double>(g.real()) + 1e-9 * static_cast<double>(g.real()));
  auto const out = distances(x, n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      std::vector<double> const a(x.begin() + i * d, x.begin() + (i + 1) * d), b(x.begin() + j * d, x.begin() + (j + 1) * d);
      CHECK(out[static_cast<std::size_t>(i * n + j)] == doctest::Approx(reference::squared_distance(a, b)).epsilon(1e-13));
    }
}
