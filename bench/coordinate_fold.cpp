// E8: order statistics over rows, coordinate by coordinate.
#include <algorithm>
#include <string>

#include "fanfold/fold/coordinate_fold.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

struct median {
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    std::int64_t const n = v.size();
    V const high = v[n / 2];
    return n % 2 == 1 ? high : (v[n / 2 - 1] + high) / V(2);
  }
};

struct trimmed_mean {
  std::int64_t f = 0;
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    return ff::sum_of_ranks(v, f, v.size() - f) / V(static_cast<float>(v.size() - 2 * f));
  }
};

// Sorts each coordinate's values on their own.
void sort_each(std::vector<float> const& x, std::int64_t n, std::int64_t d, std::int64_t f, std::vector<float>& out) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::int64_t c = 0; c < d; ++c) {
    for (std::int64_t i = 0; i < n; ++i) v[static_cast<std::size_t>(i)] = x[static_cast<std::size_t>(i * d + c)];
    std::sort(v.begin(), v.end());
    float sum = 0;
    for (std::int64_t i = f; i < n - f; ++i) sum += v[static_cast<std::size_t>(i)];
    auto const middle = static_cast<std::size_t>(n / 2);
    out[static_cast<std::size_t>(c)] = n % 2 == 1 ? v[middle] : (v[middle - 1] + v[middle]) / 2;
    out[static_cast<std::size_t>(d + c)] = sum / static_cast<float>(n - 2 * f);
  }
  benchmark::ClobberMemory();
}

void add_case(std::int64_t n, std::int64_t d) {
  std::int64_t const read = 4 * n * d, written = 8 * d, f = n / 5;
  bench::add("coordinate_fold/median and trimmed mean/" + std::to_string(n) + " x " + std::to_string(d), {d, read + written},
             [=]() -> bench::contest {
               auto const x = bench::normal_floats(n * d), y = bench::zeros<float>(2 * d);
               auto const ws = std::make_shared<ff::workspace>();
               return {[=] {
                         ff::coordinate_fold(ff::together(median{}, trimmed_mean{f}), ff::matrix_view<float const>(x->data(), n, d),
                                             ff::matrix_view<float>(y->data(), 2, d), *ws);
                       },
                       {[=] { sort_each(*x, n, d, f, *y); }},
                       bench::read_limit(read)};
             });
}

}  // namespace

void bench::register_cases() {
  for (std::int64_t const n : {8, 20, 64}) add_case(n, size(1'000'000));
  add_case(200, size(100'000));
}
