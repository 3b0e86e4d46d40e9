#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "fanfold/route/token_graph.hpp"
#include "route/routed.hpp"

// Worked numbers that belong to no single header.
namespace {

double entropy(double const* p, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum -= p[i] > 0 ? p[i] * std::log(p[i]) : 0;
  return sum;
}

TEST_CASE("Graph of Tokens: entropies of mixed rows lie between those of their parts and these plus the relation's") {
  std::vector<double> const logits{2, 1, .5, -1, .2, .3, .1, 0, -1, 3, 0, 1, 1, 1, -2, .5};
  std::vector<float> const relation{.6f, .1f, .1f, .2f, .2f, .5f, .2f, .1f, .1f, .1f, .7f, .1f, .3f, .1f, .1f, .5f};
  std::vector<std::int32_t> id(16);
  std::vector<double> weight(16);
  route::token_graph_router<> const router{.k = 4, .relation = {.dense = {relation.data(), 4, 4}}};
  route::assign(fanfold::serial, router, matrix_view<double const>(logits.data(), 4, 4), route::assignment<double>{{id.data(), 4, 4}, {weight.data(), 4, 4}});
  routed<double, double> const plain(route::lora_mixer_training(), logits, 4);
  std::vector<double> const mixed{.468608, .321777, .113112, .096503, .293173, .393004, .155510, .158313,
                                  .135364, .670599, .068065, .125972, .398709, .367453, .077938, .155900};
  std::vector<double> const entropies{1.192216, 1.307972, .982547, 1.223133};
  for (std::size_t t = 0; t < 4; ++t) {
    for (std::size_t j = 0; j < 4; ++j)
      CHECK(weight[4 * t + j] == doctest::Approx(mixed[4 * t + static_cast<std::size_t>(id[4 * t + j])]).epsilon(5e-6));
    double const h = entropy(weight.data() + 4 * t, 4);
    CHECK(h == doctest::Approx(entropies[t]).epsilon(2e-6));
    double parts = 0, own = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      double const s = static_cast<double>(relation[4 * t + j]);
      parts += s * entropy(plain.weight.data() + 4 * j, 4);
      own -= s * std::log(s);
    }
    CHECK(parts < h);
    CHECK(h < parts + own);
    if (t == 0) {
      CHECK(parts == doctest::Approx(1.035625).epsilon(2e-6));
      CHECK(parts + own == doctest::Approx(2.124525).epsilon(2e-6));
    }
  }
}

TEST_CASE("log-sum-exp of single rows") {
  std::vector<double> const logits{2, 1, .5, -1, .2, .3, .1, 0, -1, 3, 0, 1, 1, 1, -2, .5}, lse{2.495182, 1.542536, 3.185182, 1.976941};
  for (std::size_t t = 0; t < 4; ++t) {
    auto const begin = logits.begin() + static_cast<std::ptrdiff_t>(4 * t);
    routed<double, double> const r(mixtral{.select = {.k = 2}}, std::vector<double>(begin, begin + 4), 4);
    CHECK(std::sqrt(r.stats.lse_sq_sum()) == doctest::Approx(lse[t]).epsilon(1e-6));
  }
}

}  // namespace
