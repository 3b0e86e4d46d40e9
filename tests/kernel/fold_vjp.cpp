#include "fanfold/kernel/fold_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/fold_vjp.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

TEST_CASE("gradients on the emulated device have the bits of the host") {
  fanfold::log_sum_exp<float> const a;
  using state = fanfold::log_sum_exp<float>::state;
  std::int64_t const rows = 700, width = 3, segments = 5;
  std::vector<std::int64_t> const offsets{1, 30, 30, 33, 600, 690};
  auto const x = support::reals(static_cast<std::size_t>(rows * width), 2), g = support::reals(static_cast<std::size_t>(segments * width), 3);
  fanfold::matrix_view<float const> const items(x.data(), rows, width), gradients(g.data(), segments, width);
  std::vector<state> states(g.size()), final(1);
  std::vector<float> whole(x.size()), expected(x.size(), 9.0f);
  fanfold::fold(fanfold::state_of{a}, x, final);
  fanfold::fold_vjp(a, x, final, fanfold::view<float const>(g.data(), 1), whole);
  fanfold::matrix_view<state> const finals(states.data(), segments, width);
  fanfold::segmented_fold(fanfold::state_of{a}, items, offsets, finals);
  fanfold::segmented_fold_vjp(a, items, offsets, finals, gradients, fanfold::matrix_view<float>(expected.data(), rows, width));
  support::for_each_geometry([&](auto const& ex) {
    std::vector<state> device_state(1), device_states(g.size());
    fanfold::matrix_view<state> const device_finals(device_states.data(), segments, width);
    std::vector<float> dx(x.size()), dx_segments(x.size(), 9.0f);
    fanfold::fold(ex, fanfold::state_of{a}, x, device_state);
    fanfold::fold_vjp(ex, a, x, device_state, fanfold::view<float const>(g.data(), 1), dx);
    fanfold::segmented_fold(ex, fanfold::state_of{a}, items, offsets, device_finals);
    fanfold::segmented_fold_vjp(ex, a, items, offsets, device_finals, gradients, fanfold::matrix_view<float>(dx_segments.data(), rows, width));
    fanfold::finish(ex);
    CHECK(support::same_bits(dx, whole));
    CHECK(support::same_bits(dx_segments, expected));
  });
}
