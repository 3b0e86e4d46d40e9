// E9: squared distances of all pairs of long rows.
#include <string>

#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/gram.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

// A pair after the other, each with 64 sums side by side.
void pair_loop(std::vector<float> const& x, std::int64_t n, std::int64_t d, std::vector<double>& out) {
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j) {
      float const *a = x.data() + i * d, *b = x.data() + j * d;
      double total = 0;
      for (std::int64_t begin = 0; begin < d; begin += 2048) {
        std::int64_t const end = begin + 2048 < d ? begin + 2048 : d;
        float lane[64] = {};
        std::int64_t c = begin;
        for (; c + 64 <= end; c += 64)
          for (int l = 0; l < 64; ++l) {
            float const difference = a[c + l] - b[c + l];
            lane[l] += difference * difference;
          }
        for (; c < end; ++c) lane[0] += (a[c] - b[c]) * (a[c] - b[c]);
        float sum = 0;
        for (float s : lane) sum += s;
        total += static_cast<double>(sum);
      }
      out[static_cast<std::size_t>(i * n + j)] = total;
    }
  benchmark::ClobberMemory();
}

void add_case(std::int64_t n, std::int64_t d) {
  bench::add("gram/squared distances/" + std::to_string(n) + " x " + std::to_string(d), {n * (n - 1) / 2 * d, 4 * n * d}, [=]() -> bench::contest {
    auto const x = bench::normal_floats(n * d);
    auto const y = bench::zeros<double>(n * n);
    auto const ws = std::make_shared<ff::workspace>();
    return {[=] { ff::gram(ff::squared_distances{}, ff::matrix_view<float const>(x->data(), n, d), ff::matrix_view<double>(y->data(), n, n), *ws); },
            {[=] { pair_loop(*x, n, d, *y); }},
            bench::read_limit(4 * n * d)};
  });
}

}  // namespace

void bench::register_cases() {
  for (std::int64_t const n : {8, 20, 64}) add_case(n, size(1'000'000));
}
