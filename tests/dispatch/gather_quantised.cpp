#include "fanfold/dispatch/gather_quantised.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/dispatch/plan.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::ids_example;
using support::ints;
using support::matrix;
using support::plan_of;
using codes = std::vector<std::int8_t>;

/// A format of the user's: the power of two above the largest magnitude, and codes in 32 bits that count the calls.
struct counting_codec {
  using code_type = std::int32_t;
  std::int64_t* calls = nullptr;
  float scale_of(float largest) const { return largest > 1 ? 2.0f : 1.0f; }
  std::int32_t encode(float x, float scale) const {
    ++*calls;
    return static_cast<std::int32_t>(x / scale * 100);
  }
};

/// The definition, row by row.
template <class T>
void check_rows_of(quantised<> const& policy, plan_view const& p, std::vector<T> const& x, std::int64_t cols, codes const& rows, std::vector<arithmetic_t<T>> const& scales) {
  using A = arithmetic_t<T>;
  std::int64_t const groups = policy.scales_a_row(cols);
  for (std::int64_t r = 0; r < p.rows(); ++r)
    for (std::int64_t k = 0; k < groups; ++k) {
      std::int64_t const first = k * policy.columns_a_scale, end = policy.group_end(first, cols);
      A const scale = scales[static_cast<std::size_t>(r * groups + k)];
      A largest = 0;
      auto const at = [&](std::int64_t c) { return p.src_of[r] < 0 ? A(0) : to_arithmetic(x[static_cast<std::size_t>(p.src_of[r] / p.slots * cols + c)]); };
      for (std::int64_t c = first; c < end; ++c) largest = std::fmax(largest, std::fabs(at(c)));
      CHECK(scale == (largest > 0 ? largest / A(127) : A(1)));
      for (std::int64_t c = first; c < end; ++c) {
        A const q = static_cast<A>(rows[static_cast<std::size_t>(r * cols + c)]);
        CHECK(q == std::nearbyint(at(c) / scale));
        CHECK(std::fabs(at(c) - q * scale) <= scale / 2 * A(1.0001));
      }
    }
}

template <class T>
void check_type() {
  std::int64_t const tokens = 30, slots = 3, experts = 5;
  for (std::int64_t cols : {1, 128, 300})
    for (std::int64_t a_scale : {0, 1, 128}) {
      auto const x = support::randoms<T>(tokens * cols, 3);
      auto plan = plan_of(packed{8}, support::random_ids(tokens * slots, experts, 4), slots, experts);
      auto const p = plan.view();
      quantised<> const policy{{}, a_scale};
      codes rows(static_cast<std::size_t>(p.rows() * cols));
      std::vector<arithmetic_t<T>> scales(static_cast<std::size_t>(p.rows() * policy.scales_a_row(cols)));
      gather(serial, policy, p, matrix(x, tokens, cols), matrix(rows, p.rows(), cols), matrix(scales, p.rows(), policy.scales_a_row(cols)));
      check_rows_of(policy, p, x, cols, rows, scales);
    }
}

}  // namespace

TEST_CASE("quantised gather: an example by hand") {
  // largest 3: scale 3 / 127; the example of block_int8 codes, and one scale for every two columns
  auto plan = plan_of(packed{2}, ints{1, 1, 0, -1}, 2, 2);
  auto const p = plan.view();
  floats const x{3, -1, .5f, 0, 2, 0, 0, 0, 0, -254};
  codes rows(20, 5);
  floats scales(4, 5);
  gather(serial, quantised{}, p, matrix(x, 2, 5), matrix(rows, 4, 5), matrix(scales, 4, 1));
  CHECK(p.offsets[1] == 2);
  CHECK(rows == codes{0, 0, 0, 0, -127, 0, 0, 0, 0, 0, 127, -42, 21, 0, 85, 127, -42, 21, 0, 85});
  CHECK(scales == floats{2, 1, 3.0f / 127, 3.0f / 127});
  floats more(12, 5);
  gather(serial, quantised{absmax_int8{}, 2}, p, matrix(x, 2, 5), matrix(rows, 4, 5), matrix(more, 4, 3));
  CHECK(rows == codes{0, 0, 0, 0, -127, 0, 0, 0, 0, 0, 127, -42, 127, 0, 127, 127, -42, 127, 0, 127});
  CHECK(more == floats{1, 1, 2, 1, 1, 1, 3.0f / 127, .5f / 127, 2.0f / 127, 3.0f / 127, .5f / 127, 2.0f / 127});
}

TEST_CASE("quantised gather: the definition and its error for every storage type") {
  check_type<float>();
  check_type<double>();
  check_type<float16>();
  check_type<bfloat16>();
}

TEST_CASE("quantised gather: a token is encoded once, a format of one's own, masked padding untouched") {
  ints const ids{0, 1, 2, 1, -1, -1, 2, 0, 0};
  floats const x{1, 2, .5f, 1, 9, 9, .25f, 4};
  dispatch_plan plan(masked{3}, 3, 3, 3);
  auto const routes = support::routes_of(ids, 3);
  make_plan(masked{3}, routes, plan.view());
  std::int64_t calls = 0;
  ints rows(18, 77);
  floats scales(9, 77);
  gather(serial, quantised{counting_codec{&calls}}, plan.view(), matrix(floats(x.begin(), x.begin() + 6), 3, 2), matrix(rows, 9, 2), matrix(scales, 9, 1));
  CHECK(calls == 6);
  CHECK(rows == ints{50, 100, 450, 450, 450, 450, 50, 100, 50, 100, 77, 77, 50, 100, 450, 450, 77, 77});
  CHECK(scales == floats{2, 2, 2, 2, 1, 77, 2, 2, 77});
}

TEST_CASE("quantised gather: infinities, NaN, tiny numbers, nothing") {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  auto plan = plan_of(ints{0, 0, 0, 0, 0}, 1, 1);
  floats const x{1, 2, 3, inf, nan, 1, 1e-45f, -1e-38f, -0.0f, 0};
  codes rows(10, 5);
  floats scales(10);
  gather(serial, quantised{absmax_int8{}, 1}, plan.view(), matrix(x, 5, 2), matrix(rows, 5, 2), matrix(scales, 5, 2));
  CHECK(rows == codes{127, 127, 127, 0, 0, 127, 0, 0, 0, 0});
  CHECK((std::isnan(scales[3]) && std::isnan(scales[4])));
  CHECK(scales[2] == 3.0f / 127);
  CHECK((scales[6] == 1 && scales[7] == 1 && scales[8] == 1));
  gather(serial, quantised{}, plan.view(), matrix(x, 5, 2), matrix(rows, 5, 2), matrix(scales, 5, 1));
  CHECK((rows[2] == 0 && rows[3] == 0 && std::isnan(scales[1]) && std::isnan(scales[2]) && scales[0] == 2.0f / 127));
  floats const none;
  codes no_codes;
  gather(serial, quantised{}, plan.view(), matrix(none, 5, 0), matrix(no_codes, 5, 0), matrix(scales, 5, 1));
  CHECK(scales[4] == 1);
  auto empty = plan_of(ints{-1, -1}, 1, 3);
  gather(serial, quantised{}, empty.view(), matrix(x, 2, 5), matrix(no_codes, 0, 5), matrix(scales, 0, 1));
}

TEST_CASE("quantised gather: executors, allocations, errors") {
  std::int64_t const tokens = 700, cols = 130;
  auto const x = support::randoms<float>(tokens * cols, 3);
  auto plan = plan_of(packed{16}, support::random_ids(tokens * 2, 6, 4), 2, 6);
  auto const p = plan.view();
  codes expected(static_cast<std::size_t>(p.rows() * cols));
  floats steps(static_cast<std::size_t>(p.rows() * 2));
  quantised<> const policy{{}, 128};
  gather(serial, policy, p, matrix(x, tokens, cols), matrix(expected, p.rows(), cols), matrix(steps, p.rows(), 2));
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    codes rows(expected.size(), 5);
    floats scales(steps.size(), 5);
    support::allocation_count const count;
    gather(ex, policy, p, matrix(x, tokens, cols), matrix(rows, p.rows(), cols), matrix(scales, p.rows(), 2));
    if (std::is_same_v<std::remove_cvref_t<decltype(ex)>, serial_executor>) CHECK(count.get() == 0);
    CHECK(rows == expected);
    CHECK(support::same_bits(scales, steps));
  });
  auto dense = plan_of(ids_example, 2, 4);
  floats five(5), ten(10);
  codes rows(10);
  CHECK_THROWS_WITH_AS(gather(serial, quantised{}, dense.view(), matrix(five, 5, 1), matrix(rows, 9, 1), matrix(ten, 10, 1)), doctest::Contains("rows"), argument_error);
  CHECK_THROWS_WITH_AS(gather(serial, quantised{}, dense.view(), matrix(five, 5, 1), matrix(rows, 10, 1), matrix(ten, 5, 2)), doctest::Contains("scales"), argument_error);
  CHECK_THROWS_WITH_AS(gather(serial, quantised{}, dense.view(), matrix(five, 5, 1), matrix(rows, 10, 1), matrix_view<float>(five.data(), 10, 1, 0)),
                       doctest::Contains("x and scales"), argument_error);
  CHECK_THROWS_WITH_AS(gather(serial, quantised{absmax_int8{}, -1}, dense.view(), matrix(five, 5, 1), matrix(rows, 10, 1), matrix(ten, 10, 1)),
                       doctest::Contains("columns_a_scale"), argument_error);
}
