#pragma once

#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Signs of a coordinate over samples: their sum, and how many were NaN (which do not vote).
struct sign_tally {
  std::int64_t votes = 0;
  std::int64_t missing = 0;
};

/// Counts signs: an exact commutative monoid, so tallies of batches, shards and machines add up in any order.
template <class T>
struct sign_count {
  using input = T;
  using state = sign_tally;
  using output = sign_tally;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {0, 0}; }
  FANFOLD_HD constexpr state lift(input const& item) const {
    auto const x = to_arithmetic(item);
    return {static_cast<std::int64_t>(x > 0) - static_cast<std::int64_t>(x < 0), static_cast<std::int64_t>(x != x)};
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return {a.votes + b.votes, a.missing + b.missing}; }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const {
    return {whole.votes - part.votes, whole.missing - part.missing};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// What all coordinates say together.
struct sign_agreement {
  std::int64_t score = 0;    ///< sum over coordinates of |sum of signs|
  std::int64_t missing = 0;  ///< NaN entries
};

namespace detail {

/// Tallies of coordinates to the agreement.
struct agreement_count {
  using input = sign_tally;
  using state = sign_agreement;
  using output = sign_agreement;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {0, 0}; }
  FANFOLD_HD constexpr state lift(input const& t) const { return {t.votes < 0 ? -t.votes : t.votes, t.missing}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return {a.score + b.score, a.missing + b.missing}; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

}  // namespace detail

/// tally[k] += signs of column k of `gradients` [n samples, p]. Start from zeros; call it batch after batch, or add tallies of machines.
/// \throws argument_error for shapes that do not match.
template <host_executor E, matrix_viewable X, viewable Tally, fanfold::detail::call_option... Options>
void count_signs(E const& ex, X const& gradients, Tally&& tally, Options&&... options) {
  auto const x = as_const(as_matrix_view(gradients));
  view<sign_tally> const to = as_view(tally);
  check_argument(to.size() == x.cols(), "count_signs", "tally.size()", to.size(), "the number of coordinates");
  using T = typename decltype(x)::value_type;
  fanfold::detail::call_workspace call(ex, options...);
  workspace::frame frame(call.get());
  auto const all = frame.take<std::int64_t>(2);
  auto const batch = frame.take<sign_tally>(x.cols());
  all[0] = 0, all[1] = x.rows();
  segmented_fold(ex, sign_count<T>{}, x, all, matrix_view<sign_tally>(batch.data(), 1, batch.size()), call.get());
  for (std::int64_t k = 0; k < to.size(); ++k) to[k] = sign_count<T>{}.combine(to[k], batch[k]);
}

/// Psi = sum over coordinates of |sum over samples of sign(gradient)|: how far the samples of a network at initialisation agree about the
/// way downhill; more predicts better training. 0 <= Psi <= n p; Psi / (n p) compares networks. Zhang and Jia, GradSign, 2022 (arXiv
/// 2110.08616). No samples: 0.
template <host_executor E, viewable Tally, fanfold::detail::call_option... Options>
sign_agreement sign_agreement_score(E const& ex, Tally const& tally, Options&&... options) {
  return fold(ex, detail::agreement_count{}, tally, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
