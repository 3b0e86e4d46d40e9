#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/attention_state.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A row of a partial attention result and its log-sum-exp.
template <class T, class L>
struct attention_row {
  T const* data;
  L lse;
  FANFOLD_HD constexpr T const& operator[](std::int64_t c) const { return data[c]; }
};

/// Partial attention results as messages: row `src` of `out` with `lse[src]`. `out` may be stored in 16 bits, lse may not.
template <class T, class L = arithmetic_t<T>>
struct attention_sources {
  matrix_view<T const> out{};
  view<L const> lse{};

  FANFOLD_HD constexpr attention_row<T, L> row(std::int64_t, std::int64_t src, std::int64_t) const {
    return {out.data() + src * out.stride(), lse[src]};
  }
  FANFOLD_HD constexpr std::int64_t sources() const { return out.rows(); }
  FANFOLD_HD constexpr std::int64_t columns() const { return out.cols(); }
};

/// attention_merge for rows of run-time width: the head is the log-sum-exp, joined once a row; columns follow by its factors. A row with
/// lse -infinity is absent whatever it holds; of no rows: zeros and -infinity.
template <class T, class Base = natural_base>
struct attention_rows {
  using input = T;
  using output = T;
  using state = T;
  using head = T;
  using factors = attention_factors<T>;
  static constexpr law laws = law::associative | law::commutative;

  template <class Row>
  FANFOLD_HD constexpr head lift_head(Row const& row) const {
    return row.lse;
  }
  FANFOLD_HD head join(head const& a, head const& b, factors& f) const { return join_attention<Base>(a, b, f); }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b, factors const& f) const { return f(a, b); }
  FANFOLD_HD constexpr output lower(head const& h, state const& s) const { return h == -math::infinity<T>() ? T(0) : s; }
  FANFOLD_HD constexpr head lower_head(head const& h) const { return h; }
  FANFOLD_HD constexpr output empty() const { return T(0); }
  FANFOLD_HD constexpr head empty_head() const { return -math::infinity<T>(); }
};
static_assert(row_monoid<attention_rows<float>>);

}  // namespace fanfold::inline FANFOLD_ABI
