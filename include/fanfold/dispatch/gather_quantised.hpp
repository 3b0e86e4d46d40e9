#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/monoid/extrema.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `quantised` asks of a format: `scale_of(largest)` of the largest magnitude of a group of columns (finite, 0 or more), and
/// `encode(x, scale)`, the code of one of its numbers.
template <class Q>
concept group_codec = requires(Q const& q, float x) {
  typename Q::code_type;
  { q.scale_of(x) } -> std::same_as<float>;
  { q.encode(x, x) } -> std::same_as<typename Q::code_type>;
};

/// Signed bytes: x is about q * scale, scale = largest / 127, q = x / scale to the nearest integer, ties to even; so the error is half a scale.
/// Scale 1 and codes 0 where largest / 127 is 0 or subnormal.
struct absmax_int8 {
  using code_type = std::int8_t;

  template <class A>
  FANFOLD_HD A scale_of(A largest) const {
    A const scale = largest / A(127);
    return scale < smallest_normal(A{}) ? A(1) : scale;
  }
  template <class A>
  FANFOLD_HD std::int8_t encode(A x, A scale) const {
    A const q = math::rint(x / scale);
    return static_cast<std::int8_t>(q > A(127) ? A(127) : q < A(-127) ? A(-127) : q);
  }

 private:
  FANFOLD_HD static constexpr float smallest_normal(float) { return 0x1p-126f; }
  FANFOLD_HD static constexpr double smallest_normal(double) { return 0x1p-1022; }
};

/// Rows are codes of their tokens, with one scale a row, or one for every `columns_a_scale` columns (128 is usual).
template <group_codec Codec = absmax_int8>
struct quantised {
  Codec codec{};
  std::int64_t columns_a_scale = 0;

  FANFOLD_HD constexpr std::int64_t scales_a_row(std::int64_t cols) const {
    return columns_a_scale == 0 ? 1 : (cols + columns_a_scale - 1) / columns_a_scale;
  }
  FANFOLD_HD constexpr std::int64_t group_end(std::int64_t first, std::int64_t cols) const {
    return columns_a_scale == 0 || cols - first < columns_a_scale ? cols : first + columns_a_scale;
  }
};
quantised() -> quantised<>;
template <group_codec C>
quantised(C) -> quantised<C>;
template <group_codec C>
quantised(C, std::int64_t) -> quantised<C>;

namespace detail {

/// |x| as an integer: magnitudes rise, then infinity, then NaN.
template <class T>
struct magnitude_at {
  T const* x;
  FANFOLD_HD auto operator()(std::int64_t c) const {
    auto const bits = math::bits_of(math::abs(to_arithmetic(x[c])));
    return static_cast<std::make_signed_t<decltype(bits)>>(bits);
  }
};

template <class Codec, class T>
struct quantise_rows {
  using A = arithmetic_t<T>;
  using code = typename Codec::code_type;

  quantised<Codec> policy{};
  plan_view plan{};
  matrix_view<T const> x{};
  matrix_view<code> rows{};
  matrix_view<A> scales{};

  /// Codes and scales of a token into `row`; a null `from` is a row of zeros.
  template <row_group G>
  FANFOLD_HD void encode_row(G const& g, T const* from, std::int64_t row) const {
    for (std::int64_t k = 0, first = 0; k < scales.cols(); ++k) {
      std::int64_t const end = policy.group_end(first, x.cols());
      encode_group(g, from, row, k, first, end);
      first = end;
    }
  }

 private:
  template <row_group G>
  FANFOLD_HD void encode_group(G const& g, T const* from, std::int64_t row, std::int64_t k, std::int64_t first, std::int64_t end) const {
    A const largest = from == nullptr ? A(0) : largest_of(g, from + first, end - first);
    bool const sound = is_finite(largest);
    A const scale = policy.codec.scale_of(sound ? largest : A(0));
    code* const to = rows.data() + row * rows.stride();
    if (from != nullptr && sound)
      for (std::int64_t c = first + g.rank(); c < end; c += g.size()) to[c] = policy.codec.encode(static_cast<A>(to_arithmetic(from[c])), scale);
    else
      for (std::int64_t c = first + g.rank(); c < end; c += g.size()) to[c] = policy.codec.encode(A(0), scale);
    if (g.rank() == 0) scales.data()[row * scales.stride() + k] = sound ? scale : largest - largest;
  }
  template <row_group G>
  FANFOLD_HD static A largest_of(G const& g, T const* from, std::int64_t n) {
    using key = decltype(magnitude_at<T>{from}(0));
    if (n == 0) return A(0);
    return math::from_bits(static_cast<std::make_unsigned_t<key>>(g.fold(maximum<key>{}, n, magnitude_at<T>{from})));
  }
};

/// A token is encoded once, into its first row, and that is copied to the others.
template <class Codec, class T>
struct quantise_token {
  quantise_rows<Codec, T> all{};

  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    std::int64_t const slots = all.plan.slots;
    std::int32_t const* const row_of = all.plan.row_of.data() + t * slots;
    std::int64_t s = 0;
    while (s < slots && row_of[s] < 0) ++s;
    if (s == slots) return;
    std::int64_t const row = row_of[s];
    all.encode_row(g, all.x.data() + t * all.x.stride(), row);
    g.sync();
    for (++s; s < slots; ++s) {
      if (row_of[s] < 0) continue;
      copy(g, all.rows, row, row_of[s]);
      copy(g, all.scales, row, row_of[s]);
    }
  }

 private:
  template <class G, class U>
  FANFOLD_HD static void copy(G const& g, matrix_view<U> m, std::int64_t from_row, std::int64_t to_row) {
    U const* const FANFOLD_RESTRICT from = m.data() + from_row * m.stride();
    U* const FANFOLD_RESTRICT to = m.data() + to_row * m.stride();
    for (std::int64_t c = g.rank(); c < m.cols(); c += g.size()) to[c] = from[c];
  }
};

/// Padding rows are codes of zeros.
template <class Codec, class T>
struct quantise_padding {
  quantise_rows<Codec, T> all{};

  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t row) const {
    if (row < all.plan.offsets.data()[all.plan.experts()] && all.plan.src_of.data()[row] < 0) all.encode_row(g, nullptr, row);
  }
};

}  // namespace detail

/// Tokens to rows of codes: `rows[r, c]` is the code of `x[src_of[r] / K, c]` for the scale `scales[r, k]` of its group of columns. Each token is
/// encoded once and the codes are copied. `scales` (at least R rows, `policy.scales_a_row(columns)` columns) has the arithmetic type of x.
/// Padding rows are the codes of zeros, or untouched in the masked layout. A group with an infinity or NaN has scale NaN and the codes of zeros.
/// \throws argument_error for shapes that do not match the plan, overlaps, negative columns_a_scale.
/// \par Determinism  elementwise, and the largest of a group does not depend on the order.
template <executor E, class Codec, matrix_viewable X, matrix_viewable Rows, matrix_viewable Scales, fanfold::detail::call_option... Options>
void gather(E const& ex, quantised<Codec> const& policy, plan_view const& plan, X const& x, Rows&& rows, Scales&& scales, Options&&...) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(rows);
  auto const steps = as_matrix_view(scales);
  using T = typename std::remove_cv_t<decltype(from)>::value_type;
  static_assert(std::is_same_v<typename std::remove_cv_t<decltype(to)>::element_type, typename Codec::code_type>, "rows hold the codes of the codec");
  static_assert(std::is_same_v<typename std::remove_cv_t<decltype(steps)>::element_type, arithmetic_t<T>>, "scales have the arithmetic type of x");
  check_argument(policy.columns_a_scale >= 0, "gather", "columns_a_scale", policy.columns_a_scale, "0 or more");
  detail::check_plan_shape("gather", plan);
  detail::check_tokens("gather", "x", plan, from, from.cols());
  detail::check_rows("gather", "rows", ex, plan, to, from.cols());
  detail::check_rows("gather", "scales", ex, plan, steps, policy.scales_a_row(from.cols()));
  detail::check_apart("gather", "x and rows", from, to);
  detail::check_apart("gather", "x and scales", from, steps);
  detail::check_apart("gather", "rows and scales", to, steps);
  detail::quantise_rows<Codec, T> const all{policy, plan, from, to, steps};
  for_each_token(ex, detail::quantise_token<Codec, T>{all}, plan.tokens, detail::tokens_a_task(from.cols(), sizeof(T)));
  if (!plan.leaves_padding)
    for_each_token(ex, detail::quantise_padding<Codec, T>{all}, detail::rows_to_hold(ex, plan), detail::tokens_a_task(from.cols(), sizeof(T)));
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
