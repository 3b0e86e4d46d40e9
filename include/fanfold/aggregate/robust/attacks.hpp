#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/core/dense.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/moments.hpp"

/// \file
/// What faulty clients send in tests of robust rules: `forge(ex, attack, honest, faulty)` writes the f rows of `faulty` from the honest ones.
/// An attack is a policy: `policy<A>(n, j)` is what map_fold runs for faulty row j over n honest rows, or over the row itself.

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

template <class A>
struct constant_element {
  static constexpr int inputs = 0, outputs = 1;
  A value;
  FANFOLD_HD constexpr void operator()(std::int64_t, A const*, A* y) const { y[0] = value; }
};

template <class A>
struct scaled_mean {
  using state = A;
  A rows, factor;
  FANFOLD_HD constexpr A lift(std::int64_t, A x, std::int64_t) const { return x; }
  FANFOLD_HD constexpr A combine(A a, A b) const { return a + b; }
  FANFOLD_HD constexpr A lower(A s) const { return factor * (s / rows); }
};

template <class A>
struct mean_and_deviations {
  using state = typename moments<2>::state;
  double z;
  FANFOLD_HD state lift(std::int64_t, A x, std::int64_t) const { return moments<2>{}.lift(static_cast<double>(x)); }
  FANFOLD_HD state combine(state const& a, state const& b) const { return moments<2>{}.combine(a, b); }
  FANFOLD_HD A lower(state const& s) const {
    double const variance = s.count > 1 ? s.sum_of_power(2) / static_cast<double>(s.count - 1) : 0;
    return static_cast<A>(s.mean + z * math::sqrt(variance));
  }
};

template <class A>
struct negated {
  static constexpr int inputs = 1, outputs = 1;
  FANFOLD_HD constexpr void operator()(std::int64_t, A const* x, A* y) const { y[0] = -x[0]; }
};

template <class A>
struct normal_noise {
  static constexpr int inputs = 0, outputs = 1;
  random_stream source;
  A mean, deviation;
  FANFOLD_HD void operator()(std::int64_t c, A const*, A* y) const {
    y[0] = mean + deviation * static_cast<A>(source.normal(static_cast<std::uint64_t>(c)));
  }
};

template <class A>
struct dropped {
  static constexpr int inputs = 1, outputs = 1;
  random_stream source;
  double fraction;
  FANFOLD_HD void operator()(std::int64_t c, A const* x, A* y) const {
    y[0] = bernoulli(source.word(static_cast<std::uint64_t>(c)), fraction) ? A(0) : x[0];
  }
};

constexpr random_stream noise_of(std::uint64_t seed, std::uint32_t round, std::int64_t j) {
  return {seed, streams::attack_noise_base + static_cast<std::uint32_t>(j), round};
}

}  // namespace detail

/// A constant in every coordinate: zero_attack(), infinity_attack(), nan_attack(), or any other.
struct constant_attack {
  double value = 0;
  template <class A>
  detail::constant_element<A> policy(std::int64_t, std::int64_t) const {
    return {static_cast<A>(value)};
  }
};
constexpr constant_attack zero_attack() { return {}; }
constexpr constant_attack infinity_attack() { return {(std::numeric_limits<double>::infinity)()}; }
constexpr constant_attack nan_attack() { return {(std::numeric_limits<double>::quiet_NaN)()}; }

/// IPM, -t times the honest mean: Xie et al., Fall of Empires, 2019 (arXiv 1903.03936). ByzFL's default t is 2; t = 1 is its sign flip.
struct inner_product_manipulation {
  double t = 2;
  template <class A>
  detail::scaled_mean<A> policy(std::int64_t n, std::int64_t) const {
    return {static_cast<A>(n), static_cast<A>(-t)};
  }
};

/// Each faulty client sends the negative of its own row.
struct sign_flip {
  template <class A>
  detail::negated<A> policy(std::int64_t, std::int64_t) const {
    return {};
  }
};

/// ALIE: the honest mean plus z standard deviations (of n - 1) of each coordinate; one row has deviation 0. ByzFL's default is 1.5; the paper
/// takes -z_max. Baruch et al., A Little Is Enough, 2019 (arXiv 1902.06156).
struct a_little_is_enough {
  double z = 1.5;
  template <class A>
  detail::mean_and_deviations<A> policy(std::int64_t, std::int64_t) const {
    return {z};
  }
};

/// The paper's z for n clients of which f are faulty: Phi^-1((n - f - s) / (n - f)) with s = floor(n/2 + 1) - f.
inline double alie_z_max(std::int64_t n, std::int64_t f) {
  check_argument(f >= 0 && 2 * f < n, "alie_z_max", "f", f, "0 or more and below n / 2");
  std::int64_t const s = n / 2 + 1 - f;
  double const p = static_cast<double>(n - f - s) / static_cast<double>(n - f);
  double z = 0;
  for (int step = 0; step < 60; ++step)  // Newton; p is well inside (0, 1)
    z -= (0.5 * (1 + math::erf(z * 0x1.6a09e667f3bcdp-1)) - p) / (0x1.9884533d43651p-2 * math::exp(-0.5 * z * z));
  return z;
}

/// Independent normal numbers.
struct gaussian_attack {
  double mean = 0;
  double deviation = 1;
  std::uint64_t seed = 0;
  std::uint32_t round = 0;
  template <class A>
  detail::normal_noise<A> policy(std::int64_t, std::int64_t j) const {
    return {detail::noise_of(seed, round, j), static_cast<A>(mean), static_cast<A>(deviation)};
  }
};

/// Each faulty client sends its own row with a random fraction of the coordinates zeroed.
struct drop_attack {
  double fraction = 0.5;
  std::uint64_t seed = 0;
  std::uint32_t round = 0;
  template <class A>
  detail::dropped<A> policy(std::int64_t, std::int64_t j) const {
    return {detail::noise_of(seed, round, j), fraction};
  }
};

/// A copy of an honest row: `row`, or with -1 the one farthest out along the honest rows' direction of largest variance.
/// Karimireddy et al. 2022 (arXiv 2006.09365).
struct mimic {
  std::int64_t row = -1;

  template <executor E, class T>
  std::int64_t source(E const& ex, rows_view<T const> const& honest, workspace& ws) const {
    std::int64_t const n = honest.rows();
    check_argument(row < n, "mimic", "row", row, "an honest row, or -1");
    if (row >= 0) return row;
    detail::host_memory<E> memory(ws);
    workspace::frame frame(memory.get());
    matrix_view<double> const d = detail::take_matrix(frame, n, n);
    detail::host_gram(ex, squared_distances{}, honest, honest, true, d, ws);
    view<double> const mean = frame.template take<double>(n);
    double all = 0, share = 1 / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      mean[i] = 0;
      for (std::int64_t j = 0; j < n; ++j) mean[i] += d(i, j) * share;
      all += mean[i] * share;
    }
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) d(i, j) = -0.5 * (d(i, j) - mean[i] - mean[j] + all);
    auto const eigen = symmetric_eigen(d, true);
    std::int64_t best = 0;
    double const* const u = eigen.vectors.data() + (n - 1) * n;
    for (std::int64_t i = 1; i < n; ++i) best = std::fabs(u[i]) > std::fabs(u[best]) ? i : best;
    return best;
  }
};

/// Data poisoning: the label that a faulty client trains on.
constexpr std::int64_t flipped_label(std::int64_t label, std::int64_t classes) { return classes - 1 - label; }

/// Writes the rows of the faulty clients. Attacks on a client's own row (sign_flip, drop_attack) read it from `faulty`, where it must be.
/// \throws argument_error for shapes that do not match or where there is no honest row.
template <executor E, class Attack, rows_viewable H, rows_viewable Out, detail::robust_option... Options>
void forge(E const& ex, Attack const& attack, H const& honest, Out&& faulty, Options&&... options) {
  auto const from = as_const(as_rows_view(honest));
  auto const to = as_rows_view(faulty);
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  using U = std::remove_const_t<typename decltype(to)::element_type>;
  check_argument(from.rows() >= 1, "forge", "number of honest rows", from.rows(), "1 or more");
  check_argument(to.cols() == from.cols() || to.rows() == 0, "forge", "columns of the faulty rows", to.cols(), "those of the honest ones");
  fanfold::detail::check_rows("forge", "data of an honest row", from);
  fanfold::detail::call_workspace ws(ex, options...);
  element_range const whole[1] = {{0, from.cols()}};
  auto const write = [&](auto const& policy, rows_view<T const> const& inputs, std::int64_t j) {
    map_fold(ex, policy, inputs, rows_view<U>(matrix_view<U>(to.row_data(j), 1, to.cols())), whole, ws.get());
  };
  if constexpr (requires { attack.source(ex, from, ws.get()); }) {
    T const* const row = from.row_data(attack.source(ex, from, ws.get()));
    for (std::int64_t j = 0; j < to.rows(); ++j) write(copied<arithmetic_t<T>>{}, rows_view<T const>(matrix_view<T const>(row, 1, to.cols())), j);
  } else {
    for (std::int64_t j = 0; j < to.rows(); ++j) {
      auto const policy = attack.template policy<arithmetic_t<T>>(from.rows(), j);
      if constexpr (row_reduction<std::remove_const_t<decltype(policy)>, arithmetic_t<T>>) {
        write(policy, from, j);
      } else if constexpr (policy.inputs == 0) {
        write(policy, rows_view<T const>(nullptr, 0, to.cols()), j);
      } else {
        write(policy, rows_view<T const>(matrix_view<T const>(to.row_data(j), 1, to.cols())), j);
      }
    }
  }
}
template <class Attack, rows_viewable H, rows_viewable Out, detail::robust_option... Options>
void forge(Attack const& attack, H const& honest, Out&& faulty, Options&&... options) {
  forge(serial, attack, honest, faulty, options...);
}

/// A t >= 0 with a large y(t), by `evaluations` evaluations in all: steps that double while y grows, then steps that shrink by 0.8 back and
/// forth about the best (as ByzFL's attack optimiser does).
template <class F>
double line_search(F&& y, int evaluations = 20) {
  double best = 0, step = 10, highest = y(0.0), p = 0;
  int left = evaluations - 1;
  for (bool growing = true; growing && left > 0; --left) {
    p = best + step;
    double const now = y(p);
    growing = now > highest;
    if (growing) {
      highest = now;
      best = p;
      step *= 2;
    } else {
      step *= 0.8;
    }
  }
  for (; left > 0; --left) {
    p += p < best ? step : -step;
    while (p < 0) p = (p + best) / 2;
    double const now = y(p);
    if (now > highest) {
      highest = now;
      best = p;
    }
    step *= 0.8;
  }
  return best;
}

/// The factor t for which f copies of `family(t)` move `rule` farthest from the honest mean: for IPM and ALIE, `family` is
/// `[](double t) { return inner_product_manipulation{t}; }`.
template <executor E, class Family, class R, rows_viewable H>
double strongest_factor(E const& ex, Family const& family, R const& rule, H const& honest, std::int64_t f, workspace& ws) {
  auto const from = as_const(as_rows_view(honest));
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  std::int64_t const n = from.rows(), d = from.cols();
  workspace::frame frame(ws);
  matrix_view<T> const rows(frame.take<T>(3 * d).data(), 3, d);  // forged, the rule's answer, honest mean
  std::vector<T const*> table(static_cast<std::size_t>(n + f), rows.row(0).data());
  for (std::int64_t i = 0; i < n; ++i) table[static_cast<std::size_t>(i)] = from.row_data(i);
  robust(ex, average{}, from, rows.row(2), ws);
  return line_search([&](double t) {
    forge(ex, family(t), from, rows.sub_rows(0, 1), ws);
    robust(ex, rule, rows_view<T const>(table.data(), n + f, d), rows.row(1), ws);
    double square[4];
    rows_view<T const> const pair(matrix_view<T const>(rows.sub_rows(1, 2)));
    detail::host_gram(ex, squared_distances{}, pair, pair, true, matrix_view<double>(square, 2, 2), ws);
    return std::sqrt(square[1]);
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
