#include "fanfold/testing/fold_laws.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/monoid/affine_map.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class A, class G>
law_report over_executors(A const& a, G const& generator, std::vector<std::int64_t> lengths) {
  law_options o;
  o.lengths = std::move(lengths);
  thread_pool pool(3);
#ifdef _OPENMP
  return check_fold_executors(a, generator, o, serial, pool.ref(), openmp_executor{1}, openmp_executor{2}, openmp_executor{8});
#else
  return check_fold_executors(a, generator, o, serial, pool.ref());
#endif
}
std::vector<std::int64_t> const lengths{0, 1, 31, 33, 63, 64, 65, 2047, 2049, 4097};

/// An absorb that adds one too much.
struct wrong_absorb : plus<float> {
  void absorb(float& s, float const& x) const { s = s + x + 1.0f; }
};

}  // namespace

TEST_CASE("fold gives the bits of the canonical tree on every executor: sums, extrema, moments") {
  law_report const sum = over_executors(plus<float>{}, nasty_values<float>{}, lengths);
  CHECK_MESSAGE(sum.ok(), sum.text());
  law_report const max = over_executors(maximum<float>{}, nasty_values<float>{}, lengths);
  CHECK_MESSAGE(max.ok(), max.text());
  law_report const variance = over_executors(moments<2>{}, nasty_values<double>{}, lengths);
  CHECK_MESSAGE(variance.ok(), variance.text());
}
TEST_CASE("fold gives the bits of the canonical tree on every executor: softmax, binned sums, maps") {
  law_report const lse = over_executors(log_sum_exp<float>{}, nasty_values<float>{}, lengths);
  CHECK_MESSAGE(lse.ok(), lse.text());
  law_report const binned = over_executors(binned_sum<float>{}, nasty_values<float>{}, lengths);
  CHECK_MESSAGE(binned.ok(), binned.text());
  auto const maps = items_from{nasty_values<double>{false, false}, [](double, std::int64_t, word_stream& w) { return affine<double>{w.uniform(), w.uniform()}; }};
  law_report const affine_fold = over_executors(affine_map<double>{}, maps, lengths);
  CHECK_MESSAGE(affine_fold.ok(), affine_fold.text());
}
TEST_CASE("fold gives the bits of the canonical tree on every executor: several tasks") {
  law_report const sum = over_executors(plus<float>{}, nasty_values<float>{false, false}, {100001, 139264});
  CHECK_MESSAGE(sum.ok(), sum.text());
}

TEST_CASE("check_fold_executors catches an aggregator whose fast form has other bits") {
  law_report const r = over_executors(wrong_absorb{}, nasty_values<float>{}, {65});
  CHECK(r.violates("fold on executor 0"));
}

TEST_CASE("canonical_fold: known answers") {
  auto const bits = [](std::int64_t n) {
    std::vector<float> x;
    for (std::int64_t i = 0; i < n; ++i) x.push_back(1.0f / static_cast<float>(i + 1));
    float const s = canonical_fold(plus<float>{}, x);
    std::uint32_t b;
    std::memcpy(&b, &s, 4);
    return b;
  };
  CHECK(bits(63) == 0x40974df4u);
  CHECK(bits(2047) == 0x410339b7u);
  CHECK(bits(2049) == 0x41033db7u);
  CHECK(bits(4097) == 0x410e5358u);
  CHECK(bits(6145) == 0x4114cfa1u);
  CHECK(bits(100001) == 0x41417149u);
}
