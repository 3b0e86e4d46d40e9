#include "fanfold/aggregate/robust/attacks.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::table;

namespace {

table<double> honest() { return table<double>({{1, 2}, {2, 1}, {3, 4}, {2, 3}}); }

template <class Attack>
std::vector<double> forged(Attack const& attack, std::vector<double> own = {0, 0}) {
  table<double> out(1, 2);
  out.data = own;
  forge(attack, honest().view(), out.view());
  return out.data;
}

}  // namespace

TEST_CASE("attacks: the worked example") {
  auto const alie = forged(a_little_is_enough{});
  CHECK(alie[0] == doctest::Approx(3.224745).epsilon(1e-6));
  CHECK(alie[1] == doctest::Approx(4.436492).epsilon(1e-6));
  CHECK(forged(inner_product_manipulation{}) == std::vector<double>{-4, -5});
  CHECK(forged(inner_product_manipulation{1}) == std::vector<double>{-2, -2.5});
  CHECK(forged(sign_flip{}, {3, -1}) == std::vector<double>{-3, 1});
  CHECK(forged(zero_attack(), {3, -1}) == std::vector<double>{0, 0});
  CHECK(std::isinf(forged(infinity_attack())[1]));
  CHECK(std::isnan(forged(nan_attack())[0]));
  CHECK(forged(mimic{2}) == std::vector<double>{3, 4});
  CHECK(forged(mimic{}) == std::vector<double>{3, 4});  // the farthest of the honest rows along their main direction
  CHECK(flipped_label(2, 10) == 7);
  CHECK(alie_z_max(50, 12) == doctest::Approx(.336038).epsilon(1e-5));
  CHECK(alie_z_max(20, 4) == doctest::Approx(.157311).epsilon(1e-5));
  CHECK(alie_z_max(10, 3) == doctest::Approx(.180012).epsilon(1e-5));
  CHECK(alie_z_max(5, 1) == doctest::Approx(0).scale(1));
  CHECK_THROWS_AS(forged(mimic{4}), fanfold::argument_error);
}

TEST_CASE("attacks: one honest row has no deviation") {
  table<double> const one({{5, 6}});
  table<double> out(1, 2);
  forge(a_little_is_enough{}, one.view(), out.view());
  CHECK(out.data == one.data);
}

TEST_CASE("attacks: noise depends on its address alone") {
  table<float> const rows(3, 1000);
  table<float> a(2, 1000), b(2, 1000), c(2, 1000);
  forge(gaussian_attack{.deviation = 2, .seed = 9}, rows.view(), a.view());
  forge(gaussian_attack{.deviation = 2, .seed = 9}, rows.view(), b.view());
  forge(gaussian_attack{.deviation = 2, .seed = 9, .round = 1}, rows.view(), c.view());
  CHECK(support::same_bits(a.data, b.data));
  CHECK_FALSE(support::same_bits(a.data, c.data));
  double sum = 0, square = 0;
  for (float x : a.data) {
    sum += static_cast<double>(x);
    square += static_cast<double>(x) * static_cast<double>(x);
  }
  CHECK(std::fabs(sum / 2000) < 0.2);
  CHECK(square / 2000 == doctest::Approx(4).epsilon(0.15));
  CHECK(a(0, 0) != a(1, 0));
  for (float& x : a.data) x = 1;
  forge(drop_attack{.fraction = 0.25, .seed = 4}, rows.view(), a.view());
  double left = 0;
  for (float x : a.data) left += static_cast<double>(x);
  CHECK(left / 2000 == doctest::Approx(0.75).epsilon(0.06));
}

TEST_CASE("attacks: the line search of the worked example") {
  std::vector<double> seen;
  double const best = line_search([&](double t) {
    seen.push_back(t);
    return -(t - 37) * (t - 37);
  });
  CHECK(seen.size() == 20);
  double const first[] = {0, 10, 30, 70, 38, 12.4, 32.88, 49.264, 36.1568};
  for (std::size_t i = 0; i < 9; ++i) CHECK(seen[i] == doctest::Approx(first[i]));
  CHECK(best == doctest::Approx(37.188807).epsilon(1e-7));
}

TEST_CASE("attacks: the strongest factor hurts at least as much as the default") {
  fanfold::workspace ws;
  table<double> const rows({{1, 2}, {2, 1}, {3, 4}, {2, 3}, {1.5, 2.5}, {2.5, 2}});
  auto const family = [](double t) { return a_little_is_enough{t}; };
  auto const damage = [&](double t) {
    table<double> all(8, 2);
    for (std::size_t i = 0; i < rows.data.size(); ++i) all.data[i] = rows.data[i];
    forge(family(t), rows.view(), all.view().sub_rows(6, 2));
    auto const out = support::aggregated(trimmed_mean{.f = 2}, all);
    return std::hypot(out[0] - 2, out[1] - 14.5 / 6);
  };
  double const t = strongest_factor(fanfold::serial, family, trimmed_mean{.f = 2}, rows.view(), 2, ws);
  CHECK(t > 0);
  CHECK(damage(t) >= damage(0));
  CHECK(strongest_factor(fanfold::serial, family, average{}, rows.view(), 2, ws) > 1000);  // the mean has no limit
}
