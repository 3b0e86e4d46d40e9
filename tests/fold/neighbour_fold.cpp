#include "fanfold/fold/neighbour_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using support::same_bits;

struct random_graph {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> ids;
  std::vector<float> values;

  random_graph(std::int64_t rows, std::int64_t sources, std::int64_t most, std::uint64_t seed) {
    support::lcg g(seed);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::int64_t const degree = r % 50 == 7 ? 3 * most : g.below(most + 1);
      for (std::int64_t i = 0; i < degree; ++i) {
        ids.push_back(static_cast<std::int32_t>(g.below(sources)));
        values.push_back(g.real());
      }
      offsets.push_back(static_cast<std::int64_t>(ids.size()));
    }
  }
  fanfold::csr_view<float> view() const { return {offsets, ids, values}; }
};

struct position_code {
  FANFOLD_HD float operator()(std::int64_t dst, std::int64_t src, std::int64_t edge, std::int64_t column) const {
    return static_cast<float>(dst * 1000 + src * 10 + edge % 10) + static_cast<float>(column) * 0.25f;
  }
};

// Carriers that fold columns in vector lanes: the bits of folding each column alone.
template <class A>
void check_lanes(A const& a) {
  std::int64_t const rows = 60, sources = 80;
  for (std::int64_t width : {4, 7, 8, 16, 29, 64, 127}) {
    random_graph const graph(rows, sources, 45, static_cast<std::uint64_t>(width));
    auto data = support::reals(static_cast<std::size_t>(sources * width), 5);
    data[3] = -0.0f;
    data[4] = 0.0f;
    data[data.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    data.back() = -std::numeric_limits<float>::infinity();
    std::vector<fanfold::bfloat16> half(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) half[i] = fanfold::from_arithmetic<fanfold::bfloat16>(data[i]);
    fanfold::matrix_view<float const> const x(data.data(), sources, width);
    fanfold::matrix_view<fanfold::bfloat16 const> const h(half.data(), sources, width);
    std::size_t const cells = static_cast<std::size_t>(rows * width);
    std::vector<float> plain(cells), weighted(cells), narrow(cells), out(cells);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < width; ++c) {
        std::vector<float> items, products, halves;
        for (auto e = static_cast<std::size_t>(graph.offsets[static_cast<std::size_t>(r)]); e < static_cast<std::size_t>(graph.offsets[static_cast<std::size_t>(r + 1)]); ++e) {
          items.push_back(x(graph.ids[e], c));
          products.push_back(graph.values[e] * x(graph.ids[e], c));
          halves.push_back(fanfold::to_arithmetic(h(graph.ids[e], c)));
        }
        auto const at = static_cast<std::size_t>(r * width + c);
        auto const fold = [&](std::vector<float> const& v) {
          return v.empty() ? fanfold::empty_answer(a) : a.lower(reference::ordered(a, reference::lifted(a, v)));
        };
        plain[at] = fold(items);
        weighted[at] = fold(products);
        narrow[at] = fold(halves);
      }
    fanfold::matrix_view<float> const y(out.data(), rows, width);
    fanfold::neighbour_fold(a, graph.view(), fanfold::source_rows{x}, y);
    CHECK(same_bits(out, plain));
    fanfold::neighbour_fold(a, graph.view(), fanfold::weighted_source_rows{x, graph.values}, y);
    CHECK(same_bits(out, weighted));
    fanfold::neighbour_fold(a, graph.view(), fanfold::source_rows{h}, y);
    CHECK(same_bits(out, narrow));
  }
}

}  // namespace

TEST_CASE("columns in vector lanes have the bits of columns alone") {
  check_lanes(fanfold::plus<float>{});
  check_lanes(fanfold::maximum<float>{});
  check_lanes(fanfold::minimum<float, fanfold::nan_policy::ignore>{});
  check_lanes(fanfold::log_sum_exp<float>{});
}

TEST_CASE("sums and weighted sums over neighbours follow the ordered tree on every executor") {
  std::int64_t const rows = 300, sources = 120;
  support::float_sum const m;
  for (std::int64_t width : {1, 5, 16, 70}) {
    random_graph const graph(rows, sources, 40, static_cast<std::uint64_t>(width));
    auto const data = support::reals(static_cast<std::size_t>(sources * width), 3);
    fanfold::matrix_view<float const> const x(data.data(), sources, width);
    std::vector<float> plain(static_cast<std::size_t>(rows * width), 0.0f), weighted = plain;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < width; ++c) {
        std::vector<float> items, products;
        for (auto e = static_cast<std::size_t>(graph.offsets[static_cast<std::size_t>(r)]); e < static_cast<std::size_t>(graph.offsets[static_cast<std::size_t>(r + 1)]); ++e) {
          items.push_back(x(graph.ids[e], c));
          products.push_back(graph.values[e] * x(graph.ids[e], c));
        }
        if (items.empty()) continue;
        plain[static_cast<std::size_t>(r * width + c)] = reference::ordered(m, items);
        weighted[static_cast<std::size_t>(r * width + c)] = reference::ordered(m, products);
      }
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      CAPTURE(width);
      std::vector<float> out(plain.size(), 7.0f);
      fanfold::matrix_view<float> const y(out.data(), rows, width);
      fanfold::neighbour_fold(ex, m, graph.view(), fanfold::source_rows{x}, y);
      CHECK(same_bits(out, plain));
      fanfold::neighbour_fold(ex, m, graph.view(), fanfold::weighted_source_rows{x, graph.values}, y);
      CHECK(same_bits(out, weighted));
    });
  }
}

TEST_CASE("messages of edges and computed messages") {
  std::vector<std::int64_t> const offsets{0, 2, 2, 3};
  std::vector<std::int32_t> const ids{4, 1, 2};
  fanfold::csr_view<float> const graph{offsets, ids, {}};
  std::vector<float> const edges{1, 2, 3, 4, 5, 6};
  std::vector<float> out(6);
  fanfold::matrix_view<float> const y(out.data(), 3, 2);
  fanfold::neighbour_fold(support::float_sum{}, graph, fanfold::edge_rows{fanfold::matrix_view<float const>(edges.data(), 3, 2)}, y);
  CHECK(out == std::vector<float>{4, 6, 0, 0, 5, 6});
  fanfold::neighbour_fold(support::float_sum{}, graph, fanfold::edge_function{position_code{}}, y, fanfold::empty_policy::value{-1.0f});
  CHECK(out == std::vector<float>{40 + 11, 51.5f, -1, -1, 2022, 2022.25f});
}

TEST_CASE("bad graphs are refused before anything is written") {
  std::vector<std::int64_t> const offsets{0, 1, 2};
  std::vector<std::int32_t> const ids{0, 3}, negative{0, -1};
  std::vector<float> const data{1, 2, 3}, weight{1};
  fanfold::matrix_view<float const> const x(data.data(), 3, 1);
  std::vector<float> out(2, 9.0f);
  fanfold::matrix_view<float> const y(out.data(), 2, 1);
  support::float_sum const m;
  CHECK_THROWS_WITH_AS(fanfold::neighbour_fold(m, fanfold::csr_view<float>{offsets, ids, {}}, fanfold::source_rows{x}, y),
                       doctest::Contains("largest id is 3"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::neighbour_fold(m, fanfold::csr_view<float>{offsets, negative, {}}, fanfold::source_rows{x}, y),
                       doctest::Contains("smallest id is -1"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::neighbour_fold(m, fanfold::csr_view<float>{offsets, ids, {}}, fanfold::weighted_source_rows{x, weight}, y),
                       doctest::Contains("edges of the message"), fanfold::argument_error);
  fanfold::matrix_view<float> const wide(out.data(), 2, 2, 1);
  CHECK_THROWS_WITH_AS(fanfold::neighbour_fold(m, fanfold::csr_view<float>{offsets, negative, {}}, fanfold::source_rows{x}, wide),
                       doctest::Contains("columns of the message"), fanfold::argument_error);
  CHECK(out == std::vector<float>{9, 9});
  fanfold::neighbour_fold(m, fanfold::csr_view<float>{{}, {}, {}}, fanfold::source_rows{x}, fanfold::matrix_view<float>(out.data(), 0, 1));
}
