// E6: the r items of largest magnitude of a long row.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "fanfold/fold/select.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

// Partial selection of positions, then sorting them: what one writes by hand.
void nth_element(std::vector<float> const& x, std::int64_t count, std::vector<std::int32_t>& all, std::vector<std::int32_t>& index) {
  std::iota(all.begin(), all.end(), 0);
  std::nth_element(all.begin(), all.begin() + count, all.end(), [&](std::int32_t a, std::int32_t b) {
    float const u = std::abs(x[static_cast<std::size_t>(a)]), v = std::abs(x[static_cast<std::size_t>(b)]);
    return u > v || (u == v && a < b);
  });
  std::copy(all.begin(), all.begin() + count, index.begin());
  std::sort(index.begin(), index.end());
  benchmark::ClobberMemory();
}

void add_case(std::int64_t d, std::int64_t count) {
  bench::add("select/" + std::to_string(count) + " of " + std::to_string(d), {d, 4 * d}, [=]() -> bench::contest {
    auto const x = bench::normal_floats(d);
    auto const index = bench::zeros<std::int32_t>(count), all = bench::zeros<std::int32_t>(d);
    auto const ws = std::make_shared<ff::workspace>();
    return {[=] { ff::select(ff::largest_magnitude{.count = count}, *x, ff::selection_view<float>{*index, {}, {}}, *ws); },
            {[=] { nth_element(*x, count, *all, *index); }},
            bench::read_limit(4 * d)};
  });
}

}  // namespace

void bench::register_cases() {
  std::int64_t const d = size(10'000'000);
  add_case(d, d / 100);
  add_case(d, d / 10);
}
