#include "fanfold/fold/tree_fold.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "reference/canonical.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

struct bracket {
  using state = std::string;
  using input = std::string;
  using output = std::string;
  static constexpr fanfold::law laws = fanfold::law::none;
  std::string identity() const { return "e"; }
  std::string combine(std::string const& a, std::string const& b) const { return "(" + a + b + ")"; }
  std::string lift(std::string const& x) const { return x; }
  std::string lower(std::string const& s) const { return s; }
};

// a * b + sin(a) - 2 b: neither associative nor commutative, with a gradient
struct smooth {
  using state = double;
  using input = double;
  using output = double;
  static constexpr fanfold::law laws = fanfold::law::none;
  double identity() const { return 0; }
  double combine(double a, double b) const { return a * b + std::sin(a) - 2 * b; }
  double lift(double x) const { return x; }
  double lower(double s) const { return s; }
  void combine_vjp(double a, double b, double g, double& ga, double& gb) const {
    ga = g * (b + std::cos(a));
    gb = g * (a - 2);
  }
};

}  // namespace

TEST_CASE("every segment is its adjacent-pair tree, with empty ones between") {
  std::vector<std::int64_t> const offsets{0, 0, 1, 3, 10, 10, 15, 47};
  std::vector<std::string> items;
  for (int i = 0; i < 47; ++i) items.push_back(std::string(1, static_cast<char>('A' + i)));
  support::for_each_executor([&](char const*, auto const& ex) {
    auto const tape = fanfold::tree_fold(ex, bracket{}, items, offsets);
    CHECK(tape.shape.levels() == 6);
    CHECK(tape.empty(0));
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      if (offsets[s] == offsets[s + 1]) continue;
      std::vector<std::string> const segment(items.begin() + offsets[s], items.begin() + offsets[s + 1]);
      CHECK(tape.root(static_cast<std::int64_t>(s)) == reference::adjacent_pairs(bracket{}, segment));
    }
  });
  auto const none = fanfold::tree_fold(fanfold::serial, bracket{}, std::vector<std::string>{}, std::vector<std::int64_t>{});
  CHECK(none.shape.segments() == 0);
}

TEST_CASE("the tape's gradient agrees with central differences and does not depend on threads") {
  std::vector<std::int64_t> const offsets{0, 5, 5, 6, 19};
  support::lcg g(3);
  std::vector<double> x(19), root{1.0, 7.0, -0.5, 0.3};
  for (double& v : x) v = g.real();
  auto const value = [&](std::vector<double> const& at) {
    auto const tape = fanfold::tree_fold(fanfold::serial, smooth{}, at, offsets);
    return tape.root(0) * root[0] + tape.root(2) * root[2] + tape.root(3) * root[3];
  };
  std::vector<double> gradient(19), again(19);
  auto const tape = fanfold::tree_fold(fanfold::serial, smooth{}, x, offsets);
  fanfold::tree_fold_vjp(fanfold::serial, smooth{}, tape, root, gradient);
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::vector<double> up = x, down = x;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    CHECK(gradient[i] == doctest::Approx((value(up) - value(down)) / 2e-5).epsilon(1e-7));
  }
  support::for_each_executor([&](char const*, auto const& ex) {
    fanfold::tree_fold_vjp(ex, smooth{}, tape, root, again);
    CHECK(again == gradient);
  });
}

TEST_CASE("tapes refuse what does not fit") {
  std::vector<double> const x(3);
  using offsets = std::vector<std::int64_t>;
  CHECK_THROWS_AS(fanfold::tree_fold(fanfold::serial, smooth{}, x, offsets{0, 2}), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::tree_fold(fanfold::serial, smooth{}, x, offsets{0, 2, 1, 3}), fanfold::argument_error);
  auto const tape = fanfold::tree_fold(fanfold::serial, smooth{}, x, offsets{0, 3});
  std::vector<double> out(3);
  CHECK_THROWS_AS(fanfold::tree_fold_vjp(fanfold::serial, smooth{}, tape, std::vector<double>(2), out), fanfold::argument_error);
}
