// E3: unsorted rows into segments, in the canonical order (sorted first) and reproducibly (as they come).
#include <algorithm>
#include <string>

#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

struct rows {
  bench::shared_vector<float> x, y, z;
  bench::shared_vector<std::int32_t> index;
  std::int64_t n, segments, columns;

  void plain() const {
    std::fill(z->begin(), z->end(), 0.0f);
    for (std::int64_t i = 0; i < n; ++i) {
      float* const to = z->data() + (*index)[static_cast<std::size_t>(i)] * columns;
      for (std::int64_t c = 0; c < columns; ++c) to[c] += (*x)[static_cast<std::size_t>(i * columns + c)];
    }
    benchmark::ClobberMemory();
  }
};

template <class A, class Order>
void add_case(std::string const& name, A a, Order order, std::int64_t n, std::int64_t segments, std::int64_t columns) {
  std::int64_t const bytes = n * (4 * columns + 4) + 4 * segments * columns;
  bench::add("scatter_fold/" + name + "/" + std::to_string(n) + " x " + std::to_string(columns) + " into " + std::to_string(segments), {n * columns, bytes},
             [=]() -> bench::contest {
               rows const r{bench::normal_floats(n * columns), bench::zeros<float>(segments * columns), bench::zeros<float>(segments * columns),
                            bench::uniform_ids(n, static_cast<std::int32_t>(segments)), n, segments, columns};
               auto const ws = std::make_shared<ff::workspace>();
               return {[=] {
                         ff::scatter_fold(a, *r.index, ff::matrix_view<float const>(r.x->data(), n, columns),
                                          ff::matrix_view<float>(r.y->data(), segments, columns), order, *ws);
                       },
                       {[r] { r.plain(); }},
                       bench::read_limit(bytes)};
             });
}

}  // namespace

void bench::register_cases() {
  std::int64_t const n = size(1 << 20);
  for (std::int64_t const columns : {1, 16})
    for (std::int64_t const segments : {std::int64_t{1000}, size(100'000)}) {
      add_case("sum, fixed", ff::plus<float>{}, ff::order::fixed, n, segments, columns);
      add_case("sum, reproducible", ff::binned_sum<float, 2>{}, ff::order::reproducible, n, segments, columns);
      add_case("maximum, reproducible", ff::maximum<float>{}, ff::order::reproducible, n, segments, columns);
    }
}
