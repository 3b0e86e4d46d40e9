#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/monoid/bloom.hpp"
#include "fanfold/monoid/count_min.hpp"
#include "fanfold/monoid/dd_sketch.hpp"
#include "fanfold/monoid/hyper_log_log.hpp"
#include "fanfold/monoid/min_hash.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M, class G>
void passes(M const& m, G const& generator) {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65};
  o.samples = 20;
  o.shapes = 1;
  law_report const r = check_monoid_laws(m, generator, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}
nasty_values<std::uint64_t> const ids{};

template <class M>
auto first_ids(M const& m, std::uint64_t begin, std::uint64_t end) {
  auto s = m.identity();
  for (std::uint64_t id = begin; id < end; ++id) absorb_item(m, s, id);
  return s;
}

}  // namespace

TEST_CASE("sketches of sets obey their laws bit for bit") {
  passes(bloom{.bits = 200, .hashes = 3}, ids);
  passes(hyper_log_log{.precision = 4}, ids);
  passes(min_hash{.k = 5}, ids);
  passes(bottom_k_sample{.k = 7}, ids);
}
TEST_CASE("count_min and dd_sketch obey their laws bit for bit") {
  passes(count_min{.width = 16, .depth = 3}, ids);
  passes(dd_sketch{.alpha = 0.05, .max_bins = 40}, nasty_values<double>{});
}

TEST_CASE("bloom: no false negatives, few false positives, cardinality") {
  bloom const m{.bits = 10000, .hashes = 5, .seed = 3};
  auto const s = first_ids(m, 0, 1000);
  int wrong = 0;
  for (std::uint64_t id = 0; id < 1000; ++id) CHECK(s.contains(id));
  for (std::uint64_t id = 1000; id < 3000; ++id) wrong += s.contains(id);
  CHECK(wrong < 60);  // 0.9 % expected
  CHECK(s.cardinality() == doctest::Approx(1000).epsilon(0.05));
  CHECK(m.identity().cardinality() == 0.0);
  CHECK(std::isinf(first_ids(bloom{.bits = 4, .hashes = 5}, 0, 50).cardinality()));
}

TEST_CASE("hyper_log_log: estimate, worked example of the small range") {
  CHECK(hyper_log_log::estimate(16.0, 9.9375, 0) == doctest::Approx(17.337).epsilon(1e-4));
  CHECK(hyper_log_log::estimate(16.0, 9.9375, 7) == doctest::Approx(13.227).epsilon(1e-4));
  hyper_log_log const m{.precision = 12};
  CHECK(m.lower(first_ids(m, 0, 50000)) == doctest::Approx(50000).epsilon(0.06));
  CHECK(m.lower(first_ids(m, 0, 100)) == doctest::Approx(100).epsilon(0.05));
  CHECK(m.lower(m.identity()) == 0.0);
}

TEST_CASE("min_hash estimates the overlap of sets, bottom_k_sample their size") {
  min_hash const m{.k = 400};
  CHECK(jaccard(first_ids(m, 0, 300), first_ids(m, 100, 400)) == doctest::Approx(0.5).epsilon(0.15));
  bottom_k_sample const b{.k = 400};
  CHECK(first_ids(b, 0, 20000).distinct() == doctest::Approx(20000).epsilon(0.15));
  CHECK(first_ids(b, 0, 30).distinct() == 30.0);
  CHECK(b.combine(first_ids(b, 0, 30), first_ids(b, 10, 40)).distinct() == 40.0);
}

TEST_CASE("count_min: never below the true count") {
  count_min const m{.width = 256, .depth = 4};
  auto s = first_ids(m, 0, 500);
  for (int i = 0; i < 100; ++i) m.absorb(s, 7);
  CHECK(s.count(7) >= 101);
  CHECK(s.count(7) <= 101 + 20);
  CHECK(s.count(123456) <= 20);
}

TEST_CASE("dd_sketch: worked examples") {
  dd_sketch const m;
  auto const s = m.identity();
  CHECK(dd_sketch::bin_of(s, 5.0) == 81);
  CHECK(s.value(81) == doctest::Approx(5.00283).epsilon(1e-6));
  CHECK(dd_sketch::bin_of(s, 0.001) == -345);
  CHECK(s.value(-345) == doctest::Approx(0.000997478).epsilon(1e-6));
}

TEST_CASE("dd_sketch: every quantile within alpha, over signs, zeros and infinities") {
  dd_sketch const m{.alpha = 0.02};
  std::vector<double> sorted;
  for (int i = 0; i < 400; ++i) sorted.push_back((i - 150) * 0.37);
  auto s = m.identity();
  for (std::size_t i = 0; i < sorted.size(); ++i) m.absorb(s, sorted[(i * 7) % sorted.size()]);
  m.absorb(s, std::nan(""));
  CHECK(s.count() == 400);
  for (int p = 0; p <= 100; ++p) {
    double const exact = sorted[static_cast<std::size_t>(p / 100.0 * 399)];
    CHECK(std::abs(s.quantile(p / 100.0) - exact) <= 0.0200001 * std::abs(exact));
  }
  double const inf = std::numeric_limits<double>::infinity();
  m.absorb(s, inf);
  m.absorb(s, -inf);
  CHECK(s.quantile(1.0) == inf);
  CHECK(s.quantile(0.0) == -inf);
  CHECK(std::isnan(m.identity().quantile(0.5)));
  CHECK_THROWS_AS(static_cast<void>(s.quantile(1.5)), argument_error);
}

TEST_CASE("sketches: operands of different parameters are errors") {
  CHECK_THROWS_WITH_AS(static_cast<void>(bloom{}.combine(bloom{}.identity(), bloom{.seed = 1}.identity())), doctest::Contains("other parameters"), argument_error);
  CHECK_THROWS_AS(static_cast<void>(hyper_log_log{}.combine(hyper_log_log{}.identity(), hyper_log_log{.precision = 5}.identity())), argument_error);
  CHECK_THROWS_AS(static_cast<void>(min_hash{}.combine(min_hash{}.identity(), min_hash{.k = 5}.identity())), argument_error);
  CHECK_THROWS_AS(static_cast<void>(bottom_k_sample{}.combine(bottom_k_sample{}.identity(), bottom_k_sample{.k = 5}.identity())), argument_error);
  CHECK_THROWS_AS(static_cast<void>(count_min{}.combine(count_min{}.identity(), count_min{.depth = 2}.identity())), argument_error);
  CHECK_THROWS_AS(static_cast<void>(dd_sketch{}.combine(dd_sketch{}.identity(), dd_sketch{.alpha = 0.1}.identity())), argument_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(hyper_log_log{.precision = 19}.identity()), doctest::Contains("from 4 to 18"), argument_error);
}
