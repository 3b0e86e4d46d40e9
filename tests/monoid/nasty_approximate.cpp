#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "fanfold/monoid/affine_map.hpp"
#include "fanfold/monoid/attention_state.hpp"
#include "fanfold/monoid/compensated.hpp"
#include "fanfold/monoid/covariance.hpp"
#include "fanfold/monoid/gaussian_message.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"
#include "fanfold/monoid/scaled_product.hpp"
#include "fanfold/monoid/semiring_matrix.hpp"
#include "fanfold/monoid/statistics.hpp"
#include "fanfold/testing/laws.hpp"

// Carriers that are associative up to rounding, on signed zeros, subnormals, infinities, NaN, huge offsets and cancellation: NaN and infinities
// must come out the same for every bracketing, finite answers within the carrier's bound.
namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M, class Items, class Eq>
void passes(M const& m, Items const& items, Eq const& eq, bool commutative_bits = true) {
  law_options o;
  o.commutative_bits = commutative_bits;
  o.lengths = {0, 1, 2, 33, 65};
  law_report const r = check_monoid_laws(m, items, eq, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

double size_of(double x) { return number_size{}(x); }

/// A draw that is not zero, of at most 1.
double factor(word_stream& words) { return (words.next() & 1u) != 0 ? 0.5 + 0.5 * words.uniform() : -0.5 - 0.5 * words.uniform(); }

struct value_size {
  template <class T>
  double operator()(weighted<T> const& x) const {
    return size_of(static_cast<double>(x.value));
  }
};
struct pair_size {
  double operator()(observation<double, 2, 1> const& o) const { return size_of(o.x[0]) + size_of(o.x[1]) + size_of(o.y[0]); }
  double operator()(correlation<>::input const& o) const { return size_of(o.x) + size_of(o.y); }
};
struct offset_size {
  double operator()(affine<double> const& f) const { return size_of(f.offset); }
  double operator()(affine<complex_number<double>> const& f) const { return size_of(f.offset.re) + size_of(f.offset.im); }
  double operator()(affine<small_array<double, 2>> const& f) const { return size_of(f.offset[0]) + size_of(f.offset[1]); }
};

nasty_values<double> const all{};

}  // namespace

TEST_CASE_TEMPLATE("moments on nasty items", T, float, double) {
  nasty_values<T> const values;
  passes(moments<1, T>{}, values, bounded{number_size{}, 1e-13, 1.0, 1});
  passes(moments<2, T>{}, values, bounded{number_size{}, 1e-13, 1.0, 2});
  passes(moments<3, T>{}, values, bounded{number_size{}, 1e-13, 1.0, 3});
  passes(moments<4, T>{}, values, bounded{number_size{}, 1e-13, 1.0, 4});
}

TEST_CASE("weighted moments on nasty items") {
  auto const items = items_from{all, [](double x, std::int64_t, word_stream& w) { return weighted<double>{x, w.below(5) == 0 ? 0.0 : w.uniform()}; }};
  passes(weighted_moments<2>{}, items, bounded{value_size{}, 1e-12, 1.0, 2});
}

TEST_CASE("covariance and correlation on nasty items") {
  passes(covariance<2, 1>{}, items_from{all, [](double x, std::int64_t i, word_stream& w) { return observation<double, 2, 1>{{{x, w.uniform()}}, {{i % 3 == 0 ? x : -w.uniform()}}}; }},
         bounded{pair_size{}, 1e-13, 1.0, 2});
  passes(correlation<>{}, items_from{all, [](double x, std::int64_t i, word_stream& w) { return correlation<>::input{w.uniform(), i % 2 == 0 ? x : 1.0}; }},
         bounded{pair_size{}, 1e-13, 1.0, 2});
}

TEST_CASE_TEMPLATE("means, deviations and norms on nasty items", T, float, double) {
  nasty_values<T> const values;
  double const eps = sizeof(T) == 4 ? 1e-6 : 1e-14;
  passes(mean<T>{}, values, bounded{number_size{}, eps, 0.0, 1});
  // a root of a cancelled variance: half the digits
  passes(standard_deviation<T>{}, values, bounded{number_size{}, 1e-6, 1.0, 1});
  // squares leave the range long before the items do
  passes(l2_norm<T>{}, values, bounded{number_size{}, eps, static_cast<double>(std::sqrt(std::numeric_limits<T>::min())), 1});
  auto const weighted_items = items_from{values, [](T x, std::int64_t, word_stream& w) { return weighted<T>{x, static_cast<T>(0.5 + w.uniform())}; }};
  passes(weighted_mean<T>{}, weighted_items, bounded{value_size{}, 4 * eps, 0.0, 1});
}

TEST_CASE("affine maps with factors of at most 1 and nasty offsets") {
  passes(affine_map<double>{}, items_from{all, [](double x, std::int64_t, word_stream& w) { return affine<double>{factor(w), x}; }},
         bounded{offset_size{}, 1e-13, 1.0, 1}, false);
  passes(log_affine_map<double>{}, items_from{all, [](double x, std::int64_t, word_stream& w) { return affine<double>{-w.uniform(), x}; }},
         bounded{offset_size{}, 1e-13, 1.0, 1}, false);
  passes(diagonal_affine_map<double, 2>{},
         items_from{all, [](double x, std::int64_t, word_stream& w) { return affine<small_array<double, 2>>{{{factor(w), 1.0}}, {{x, -x}}}; }},
         bounded{offset_size{}, 1e-13, 1.0, 1}, false);
}

TEST_CASE("attention merges on nasty log-sum-exps") {
  using merge = attention_merge<double, 2>;
  struct row_size {
    double operator()(attention_result<double, 2> const& r) const { return size_of(r.lse); }
  };
  // weights are exponentials of differences of lse: their relative error is the absolute one of lse
  passes(merge{}, items_from{all, [](double x, std::int64_t, word_stream& w) { return attention_result<double, 2>{w.below(2) == 0 ? x : -x, {w.uniform(), -w.uniform()}}; }},
         bounded{row_size{}, 1e-13, 1.0, 1});
  double const inf = std::numeric_limits<double>::infinity();
  merge::state const sides[] = {{inf, {1, 0}}, {inf, {2, 0}}, {0, {4, 0}}};
  CHECK(merge{}.combine(sides[0], sides[2]).out[0] == 1.0);
  auto const two = merge{}.combine(sides[0], sides[1]);
  CHECK(two.lse == inf);
  CHECK(std::isnan(two.out[0]));
}

TEST_CASE("max-plus, min-plus and log matrices on nasty entries") {
  struct entry_size {
    double operator()(small_array<double, 4> const& a) const { return size_of(a[0]) + size_of(a[1]) + size_of(a[2]) + size_of(a[3]); }
  };
  // +infinity beside -infinity has no sum: each semiring takes the infinity that is its zero
  auto const entries = [](double zero) {
    return items_from{all, [zero](double x, std::int64_t, word_stream& w) {
                        double const usable = std::isinf(x) ? zero : x;
                        return small_array<double, 4>{{usable, w.uniform(), w.below(6) == 0 ? zero : -usable * 0.5, 1.0}};
                      }};
  };
  double const inf = std::numeric_limits<double>::infinity();
  bounded const close{entry_size{}, 1e-13, 1.0, 1};
  passes(semiring_matrix<max_plus<double>, 2>{}, entries(-inf), close, false);
  passes(semiring_matrix<min_plus<double>, 2>{}, entries(inf), close, false);
  passes(semiring_matrix<log_plus<double>, 2>{}, entries(-inf), close, false);
}

TEST_CASE("gaussian messages with nasty means") {
  using line = gaussian_message<double, 1>;
  struct eta_size {
    double operator()(line::input const& x) const { return size_of(x.eta[0]) + size_of(x.precision[0]); }
  };
  struct states : line {  // the flat message has no moments
    using output = line::state;
    output lower(line::state const& s) const { return s; }
  };
  passes(states{}, items_from{all, [](double x, std::int64_t, word_stream& w) { return line::input{{x}, {0.5 + w.uniform()}}; }},
         bounded{eta_size{}, 1e-13, 0.0, 1});
}
