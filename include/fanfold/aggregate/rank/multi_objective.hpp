#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

// Several objectives (more is better) as one number: `value(objectives, weights)`.

/// sum w_i R_i
struct weighted_objectives {
  static double value(view<double const> r, view<double const> w) {
    double sum = 0;
    for (std::int64_t i = 0; i < r.size(); ++i) sum += w[i] * r[i];
    return sum;
  }
};

/// product R_i^w_i for R_i >= 0, from logarithms; an objective of 0 with a positive weight gives 0, a negative one NaN.
struct geometric_objectives {
  static double value(view<double const> r, view<double const> w) {
    double sum = 0;
    bool zero = false;
    for (std::int64_t i = 0; i < r.size(); ++i) {
      if (w[i] == 0) continue;
      if (r[i] == 0)
        zero = true;
      else
        sum += w[i] * (r[i] > 0 ? math::log(r[i]) : __builtin_nan(""));
    }
    return sum != sum ? sum : zero ? 0 : math::exp(sum);
  }
};

/// The weighted Tchebycheff distance max w_i |z*_i - R_i| to the utopia point z*: less is better.
struct tchebycheff_distance {
  view<double const> utopia{};
  double value(view<double const> r, view<double const> w) const {
    double most = 0;
    for (std::int64_t i = 0; i < r.size(); ++i) {
      double const d = utopia[i] - r[i], x = w[i] * (d < 0 ? -d : d);
      if (!(x <= most)) most = x;
    }
    return most;
  }
};

/// \throws argument_error for weights (or a utopia point) of another length than the objectives.
template <class S, viewable R, viewable W>
double scalarise(S const& rule, R const& objectives, W const& weights) {
  view<double const> const r = as_const(as_view(objectives)), w = as_const(as_view(weights));
  check_argument(w.size() == r.size(), "scalarise", "weights.size()", w.size(), "the number of objectives");
  if constexpr (requires { rule.utopia; })
    check_argument(rule.utopia.size() == r.size(), "scalarise", "utopia.size()", rule.utopia.size(), "the number of objectives");
  return rule.value(r, w);
}

/// Points of the unit simplex whose coordinates are multiples of 1 / divisions, first coordinate falling: [C(divisions + m - 1, m - 1), m].
inline std::vector<double> simplex_lattice(std::int64_t m, std::int64_t divisions) {
  check_argument(m >= 1, "simplex_lattice", "m", m, "1 or more");
  check_argument(divisions >= 1, "simplex_lattice", "divisions", divisions, "1 or more");
  std::vector<double> points;
  std::vector<std::int64_t> part(static_cast<std::size_t>(m), 0);
  auto const fill = [&](auto const& self, std::size_t c, std::int64_t left) -> void {
    if (c + 1 == part.size()) {
      part[c] = left;
      for (std::int64_t p : part) points.push_back(static_cast<double>(p) / static_cast<double>(divisions));
      return;
    }
    for (part[c] = left; part[c] >= 0; --part[c]) {
      std::int64_t const mine = part[c];
      self(self, c + 1, left - mine);
      part[c] = mine;
    }
  };
  fill(fill, 0, divisions);
  return points;
}

/// Points of the lattice with `per_axis` values 0 .. 1 an axis that have a coordinate 1: the outer faces of the unit cube.
inline std::vector<double> cube_faces(std::int64_t m, std::int64_t per_axis = 10) {
  check_argument(m >= 1, "cube_faces", "m", m, "1 or more");
  check_argument(per_axis >= 2, "cube_faces", "per_axis", per_axis, "2 or more");
  std::vector<double> points;
  std::vector<std::int64_t> at(static_cast<std::size_t>(m), 0);
  for (bool more = true; more;) {
    bool face = false;
    for (std::int64_t a : at) face = face || a == per_axis - 1;
    for (std::size_t c = 0; c < at.size() && face; ++c) points.push_back(static_cast<double>(at[c]) / static_cast<double>(per_axis - 1));
    std::size_t c = at.size();
    while (c > 0 && at[c - 1] == per_axis - 1) at[--c] = 0;
    more = c > 0;
    if (more) ++at[c - 1];
  }
  return points;
}

/// How R2 weighs the directions: their mean, the sum over the Frobenius norm of the direction matrix (the reference code), or the plain
/// sum.
enum class r2_scale { mean, frobenius, none };

namespace detail {

/// One number for every reference point or direction: the least over solutions of `cost(reference, solution)`, +inf without solutions.
template <class E, class Cost>
double sum_of_least(E const& ex, std::int64_t references, std::int64_t solutions, Cost const& cost, workspace& ws) {
  workspace::frame frame(ws);
  auto const least = frame.take<double>(references);
  for_each_task(ex, references, [&](std::int64_t r) {
    least[r] = math::infinity<double>();
    for (std::int64_t s = 0; s < solutions; ++s) {
      double const c = cost(r, s);
      if (c < least[r]) least[r] = c;
    }
  });
  return fold(ex, plus<double>{}, least, ws);
}

}  // namespace detail

/// R2 of a set of solutions: over directions lambda (rows), min over solutions a of max_i lambda_i |z*_i - a_i|, scaled as asked. Less is
/// better; a superset is never worse. No solutions: +inf. No directions: 0.
template <host_executor E, matrix_viewable X, matrix_viewable L, viewable Z, fanfold::detail::call_option... Options>
double r2_indicator(E const& ex, X const& solutions, L const& directions, Z const& utopia, r2_scale scale = r2_scale::mean,
                    Options&&... options) {
  matrix_view<double const> const a = as_const(as_matrix_view(solutions)), lambda = as_const(as_matrix_view(directions));
  view<double const> const z = as_const(as_view(utopia));
  check_argument(a.cols() == z.size() && lambda.cols() == z.size(), "r2_indicator", "number of objectives", "different in the arguments",
                 "the same");
  if (lambda.rows() == 0) return 0;
  fanfold::detail::call_workspace ws(ex, options...);
  tchebycheff_distance const distance{z};
  double const sum = detail::sum_of_least(
      ex, lambda.rows(), a.rows(), [&](std::int64_t l, std::int64_t s) { return distance.value(a.row(s), lambda.row(l)); }, ws.get());
  if (scale == r2_scale::none) return sum;
  if (scale == r2_scale::mean) return sum / static_cast<double>(lambda.rows());
  double square = 0;
  for (std::int64_t l = 0; l < lambda.rows(); ++l)
    for (std::int64_t i = 0; i < lambda.cols(); ++i) square += lambda(l, i) * lambda(l, i);
  return sum / math::sqrt(square);
}

/// Inverted generational distance: the mean over reference points of the Euclidean distance to the nearest solution. No solutions: +inf.
template <host_executor E, matrix_viewable X, matrix_viewable R, fanfold::detail::call_option... Options>
double inverted_generational_distance(E const& ex, X const& solutions, R const& reference, Options&&... options) {
  matrix_view<double const> const a = as_const(as_matrix_view(solutions)), ref = as_const(as_matrix_view(reference));
  check_argument(a.cols() == ref.cols(), "inverted_generational_distance", "reference.cols()", ref.cols(), "solutions.cols()");
  check_argument(ref.rows() >= 1, "inverted_generational_distance", "reference.rows()", ref.rows(), "1 or more");
  fanfold::detail::call_workspace ws(ex, options...);
  auto const distance = [&](std::int64_t r, std::int64_t s) {
    double sum = 0;
    for (std::int64_t c = 0; c < a.cols(); ++c) sum += (a(s, c) - ref(r, c)) * (a(s, c) - ref(r, c));
    return math::sqrt(sum);
  };
  return detail::sum_of_least(ex, ref.rows(), a.rows(), distance, ws.get()) / static_cast<double>(ref.rows());
}

/// Weights uniform on the simplex (Dirichlet(1)) a row: -log of uniform draws, scaled to the sum 1. Element (row, column) of the stream.
inline void sample_preferences(random_stream const& draws, matrix_view<double> preference) {
  for (std::int64_t r = 0; r < preference.rows(); ++r) {
    double sum = 0;
    for (std::int64_t c = 0; c < preference.cols(); ++c) {
      preference(r, c) = -math::log(static_cast<double>(draws.u01(static_cast<std::uint64_t>(r * preference.cols() + c))));
      sum += preference(r, c);
    }
    for (std::int64_t c = 0; c < preference.cols(); ++c) preference(r, c) /= sum;
  }
}

/// How much a solution counts under a focus on a direction: 0 outside the cone cos(R, direction) >= `cosine`, inside cos^gamma with
/// gamma = log(limit) / log(cosine), so 1 on the axis and `limit` on the cone. A zero vector gets 0.
struct focus_cone {
  double cosine = 0.98;
  double limit = 0.2;

  double weight(view<double const> r, view<double const> direction) const {
    check_argument(cosine > 0 && cosine < 1, "focus_cone", "cosine", cosine, "in (0, 1)");
    check_argument(limit > 0 && limit <= 1, "focus_cone", "limit", limit, "in (0, 1]");
    check_argument(direction.size() == r.size(), "focus_cone", "direction.size()", direction.size(), "the number of objectives");
    double dot = 0, rr = 0, dd = 0;
    for (std::int64_t i = 0; i < r.size(); ++i) dot += r[i] * direction[i], rr += r[i] * r[i], dd += direction[i] * direction[i];
    double const c = dot / math::sqrt(rr * dd);
    if (!(c >= cosine)) return 0;
    return math::exp(math::log(c < 1 ? c : 1.0) * (math::log(limit) / math::log(cosine)));
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
