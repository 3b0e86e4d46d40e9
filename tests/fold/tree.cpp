#include "fanfold/fold/tree.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "reference/canonical.hpp"
#include "support/monoids.hpp"

namespace {

// Shows the bracketing itself.
struct bracket {
  using state = std::string;
  static constexpr fanfold::law laws = fanfold::law::none;
  std::string identity() const { return "e"; }
  std::string combine(std::string const& a, std::string const& b) const { return "(" + a + b + ")"; }
};

}  // namespace

TEST_CASE("the streamed tree has the brackets of the listed one") {
  bracket const m;
  for (int n = 1; n < 70; ++n) {
    std::vector<std::string> list;
    fanfold::pair_tree<std::string, 8> tree;
    for (int i = 0; i < n; ++i) {
      list.push_back(std::string(1, static_cast<char>('A' + i % 26)));
      tree.push(m, list.back());
    }
    CAPTURE(n);
    CHECK(tree.root(m) == reference::adjacent_pairs(m, list));
    CHECK(tree.count() == static_cast<std::uint64_t>(n));
  }
  fanfold::pair_tree<std::string, 8> seven;
  for (char c : std::string("abcdefg")) seven.push(m, std::string(1, c));
  CHECK(seven.root(m) == "(((ab)(cd))((ef)g))");
}

TEST_CASE("items and plain states are taken alike") {
  CHECK(fanfold::detail::lift_item(support::float_sum{}, 2.0f) == 2.0f);
  CHECK(fanfold::detail::lift_item(bracket{}, std::string("x")) == "x");
  CHECK(fanfold::detail::load_item<double>(1.5f) == 1.5);
  CHECK(fanfold::detail::divide_up(0, 32) == 0);
  CHECK(fanfold::detail::divide_up(33, 32) == 2);
}
