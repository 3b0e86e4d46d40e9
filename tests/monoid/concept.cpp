#include "fanfold/monoid/concept.hpp"

#include <doctest/doctest.h>

namespace {

using fanfold::has_law;
using fanfold::law;

struct sum {
  using state = double;
  static constexpr law laws = law::associative | law::commutative;
  constexpr double identity() const { return 0; }
  constexpr double combine(double a, double b) const { return a + b; }
};
struct sum_of_squares : sum {
  using input = float;
  using output = float;
  constexpr double lift(float x) const { return static_cast<double>(x) * static_cast<double>(x); }
  constexpr float lower(double s) const { return static_cast<float>(s); }
};
struct largest : sum_of_squares {
  static constexpr law laws = law::associative;
  constexpr float empty() const { return -1; }
  constexpr void absorb(double& s, float x) const { s = s * 10 + x; }
};
struct no_laws {
  using state = int;
  int identity() const { return 0; }
  int combine(int a, int) const { return a; }
};
struct wrong_state : sum {
  using state = float;
};
struct wrong_lower : sum_of_squares {
  constexpr double lower(double s) const { return s; }
};

static_assert(fanfold::monoid<sum> && fanfold::monoid<sum_of_squares> && fanfold::commutative_monoid<sum>);
static_assert(!fanfold::commutative_monoid<largest>);
static_assert(fanfold::aggregator<sum_of_squares> && fanfold::aggregator<largest>);
static_assert(!fanfold::monoid<no_laws> && !fanfold::monoid<wrong_state> && !fanfold::monoid<int>);
static_assert(!fanfold::aggregator<sum> && !fanfold::aggregator<wrong_lower>);

static_assert(has_law(law::associative | law::bitwise, law::bitwise) && has_law(law::none, law::none) && has_law(law::commutative, law::none));
static_assert(!has_law(law::associative, law::associative | law::commutative));
static_assert((law::associative & law::commutative) == law::none);

static_assert(fanfold::empty_answer(sum_of_squares{}) == 0 && fanfold::empty_answer(largest{}) == -1);

template <class A>
constexpr double absorbed(A const& a, double s, float x) {
  fanfold::absorb_item(a, s, x);
  return s;
}
static_assert(absorbed(sum_of_squares{}, 1, 3) == 10, "without absorb: combine(state, lift(item))");
static_assert(absorbed(largest{}, 1, 3) == 13, "absorb is preferred");

}  // namespace
