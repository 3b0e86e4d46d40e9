// E2: sums and maxima over the neighbours of each node of a random graph.
#include <algorithm>
#include <random>
#include <string>

#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

struct graph {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> ids;
  std::vector<float> x, y, z;
  std::int64_t nodes, columns;

  graph(std::int64_t n, std::int64_t edges, std::int64_t d)
      : ids(*bench::uniform_ids(edges, static_cast<std::int32_t>(n))),
        x(*bench::normal_floats(n * d)),
        y(static_cast<std::size_t>(n * d)),
        z(static_cast<std::size_t>(n * d)),
        nodes(n),
        columns(d) {
    std::mt19937 random(3);
    std::uniform_int_distribution<std::int64_t> cut(0, edges);
    for (std::int64_t i = 1; i < n; ++i) offsets.push_back(cut(random));
    offsets.push_back(0), offsets.push_back(edges);
    std::sort(offsets.begin(), offsets.end());
  }
  ff::csr_view<float> csr() const { return {offsets, ids}; }
  ff::matrix_view<float const> sources() const { return {x.data(), nodes, columns}; }
  ff::matrix_view<float> out() { return {y.data(), nodes, columns}; }

  template <class Combine>
  void plain(float start, Combine combine) {
    for (std::int64_t r = 0; r < nodes; ++r) {
      float* const to = z.data() + r * columns;
      std::fill(to, to + columns, start);
      for (std::int64_t e = offsets[static_cast<std::size_t>(r)]; e < offsets[static_cast<std::size_t>(r) + 1]; ++e) {
        float const* const from = x.data() + ids[static_cast<std::size_t>(e)] * columns;
        for (std::int64_t c = 0; c < columns; ++c) to[c] = combine(to[c], from[c]);
      }
    }
    benchmark::ClobberMemory();
  }
};

template <class A, class Combine>
void add_case(std::string const& name, A a, float start, Combine combine, std::int64_t nodes, std::int64_t edges, std::int64_t d) {
  std::int64_t const read = edges * (4 * d + 4) + 8 * nodes, written = 4 * nodes * d;
  bench::add("neighbour_fold/" + name + "/" + std::to_string(edges) + " edges x " + std::to_string(d), {edges, read + written},
             [=]() -> bench::contest {
               auto const g = std::make_shared<graph>(nodes, edges, d);
               return {[=] { ff::neighbour_fold(a, g->csr(), ff::source_rows{g->sources()}, g->out()); },
                       {[=] { g->plain(start, combine); }},
                       bench::read_limit(read + written)};
             });
}

}  // namespace

void bench::register_cases() {
  std::int64_t const edges = size(2'000'000);
  for (std::int64_t const d : {16, 64}) {
    add_case("sum", ff::plus<float>{}, 0.0f, [](float a, float b) { return a + b; }, edges / 10, edges, d);
    add_case("maximum", ff::maximum<float>{}, -1e30f, [](float a, float b) { return a < b ? b : a; }, edges / 10, edges, d);
  }
}
