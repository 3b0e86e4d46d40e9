#include "fanfold/kernel/scatter_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

static_assert(fanfold::has_atomic_cell<fanfold::binned_sum<float, 2>> && fanfold::has_atomic_cell<fanfold::exact_sum<double>>);
static_assert(fanfold::has_atomic_cell<fanfold::maximum<float>> && fanfold::has_atomic_cell<fanfold::plus<std::int32_t>>);
static_assert(!fanfold::has_atomic_cell<fanfold::plus<float>> && !fanfold::has_atomic_cell<fanfold::product<std::int64_t>>);

using float_rows = fanfold::matrix_view<float const>;
template <class A>
constexpr bool by_atomics = fanfold::detail::scatters_directly<fanfold::emulate::executor, A, fanfold::empty_policy::answer_t, float_rows,
                                                               fanfold::matrix_view<float>, fanfold::order::reproducible_t>;
static_assert(by_atomics<fanfold::binned_sum<float, 2>> && by_atomics<fanfold::maximum<float>>);

template <class A, class T>
void check(A const& a, std::vector<T> const& x, std::int64_t segments, std::int64_t width) {
  auto const n = static_cast<std::int64_t>(x.size()) / width;
  support::lcg g(3);
  std::vector<std::int32_t> index(static_cast<std::size_t>(n));
  for (auto& i : index) i = static_cast<std::int32_t>(g.below(segments)) - (g.below(4) == 0 ? 1 : 0);
  using output = typename A::output;
  std::vector<output> expected(static_cast<std::size_t>(segments * width)), out(expected.size());
  fanfold::matrix_view<T const> const rows(x.data(), n, width);
  auto const policy = fanfold::empty_policy::value{output(3)};
  fanfold::scatter_fold(a, index, rows, fanfold::matrix_view<output>(expected.data(), segments, width), fanfold::order::reproducible, policy);
  support::for_each_geometry([&](auto const& ex) {
    fanfold::scatter_fold(ex, a, index, rows, fanfold::matrix_view<output>(out.data(), segments, width), fanfold::order::reproducible, policy);
    fanfold::finish(ex);
    CHECK(support::same_bits(out, expected));
  });
}

}  // namespace

TEST_CASE("scatters by atomics have the bits of the host in every geometry") {
  std::vector<float> x = support::reals(900, 4);
  support::lcg g(8);
  for (float& v : x) v *= static_cast<float>(std::int64_t{1} << g.below(60));
  x[7] = -0.0f;
  x[100] = std::numeric_limits<float>::infinity();
  x[200] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::int32_t> integers(500);
  for (auto& v : integers) v = static_cast<std::int32_t>(g.next());
  check(fanfold::binned_sum<float, 2>{}, x, 9, 1);
  check(fanfold::binned_sum<float, 3>{}, x, 9, 3);
  check(fanfold::exact_sum<float>{}, x, 20, 2);
  check(fanfold::binned_sum<double, 3>{}, std::vector<double>(x.begin(), x.end()), 9, 1);
  check(fanfold::plus<std::int32_t>{}, integers, 11, 1);
  check(fanfold::maximum<float>{}, x, 9, 3);
  check(fanfold::minimum<float, fanfold::nan_policy::ignore>{}, x, 300, 1);
  check(fanfold::maximum<std::int32_t>{}, integers, 11, 5);
}

TEST_CASE("carriers without atomics take the sorted way, and bad keys are reported") {
  std::vector<std::int64_t> const x{3, 5, 7, 11};
  std::vector<std::int32_t> const index{1, 0, 1, -1}, bad{1, 4, 1, -1};
  std::vector<std::int64_t> out(2);
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {});
  fanfold::scatter_fold(ex, fanfold::product<std::int64_t>{}, index, x, out, fanfold::order::reproducible);
  CHECK(fanfold::fetch(ex, out) == 5);
  CHECK(out[1] == 21);
  fanfold::scatter_fold(ex, fanfold::plus<std::int64_t>{}, bad, x, out, fanfold::order::reproducible);
  CHECK_THROWS_AS(fanfold::fetch(ex, out), fanfold::argument_error);
  CHECK(out[1] == 10);
}
