#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/detail/bins.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// All bins of T: `binned_sum<T, all_bins<T>>` is correctly rounded.
template <class T>
inline constexpr int all_bins = detail::bins<arithmetic_t<T>>::count;

/// Integer digits of a sum in K neighbouring bins, the upper one with unit weight 2^(32 top + e0).
template <class T, int K, class Limb = std::int64_t>
struct binned_state {
  static constexpr bool keeps_all = K == detail::bins<T>::count;

  std::int32_t top;
  detail::item_marks<keeps_all> marks;
  std::uint64_t count;
  Limb limb[std::size_t{K}];  // of bins top, top - 1, ...

  template <class Same>
  constexpr bool matches(binned_state const& other, Same const&) const {
    bool equal = top == other.top && marks == other.marks && count == other.count;
    for (int i = 0; i < K; ++i) equal = equal && limb[i] == other.limb[i];
    return equal;
  }
};

/// Sum with the same bits for every order, partition, thread count and backend.
///
/// Every item is cut into integer digits of 32 bits at absolute places (bins); the digits of the K highest bins in use are added as
/// integers. `|result - exact| <= n 2^(-32 (K - 1)) max |x| + u |result|`; correctly rounded when no item has bits below the lowest kept
/// bin, always with K = all_bins<T>. NaN, +-infinity and signed zeros behave as in one IEEE sum. Default: K = 2 for float, 3 for double.
///
/// With the default 64-bit limbs up to 2^32 - 1 items; `Limb = int128` for more. With all bins it is invertible: `subtract`.
template <class T, int K = sizeof(arithmetic_t<T>) == 4 ? 2 : 3, class Limb = std::int64_t>
struct binned_sum {
  using input = T;
  using number = arithmetic_t<T>;
  using layout = detail::bins<number>;
  static_assert(K >= 1 && K <= layout::count);
  using state = binned_state<number, K, Limb>;
  using output = number;
  static constexpr bool keeps_all = state::keeps_all;
  static constexpr law laws = law::associative | law::commutative | law::bitwise | (keeps_all ? law::invertible : law::none);
  /// The limbs cannot overflow up to here.
  static constexpr std::uint64_t max_items = sizeof(Limb) == 8 ? 0xffffffffu : ~std::uint64_t(0);

  FANFOLD_HD constexpr state identity() const {
    state s{};
    s.top = keeps_all ? layout::count - 1 : -1;
    return s;
  }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& item) const {
    number const x = to_arithmetic(item);
    ++s.count;
    s.marks.note(x);
    if (!is_finite(x) || x == number(0)) return;
    int const top = layout::top(x);
    raise(s, top);
    add_digits(s, x, top);
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s = a;
    s.count += b.count;
    s.marks.add(b.marks);
    if constexpr (keeps_all) {
      for (int i = 0; i < K; ++i) s.limb[i] += b.limb[i];
    } else {
      bool const falls = a.top < b.top;
      Limb low[std::size_t{K}] = {};
      for (int i = 0; i < K; ++i) {
        Limb const x = a.limb[i], y = b.limb[i];
        s.limb[i] = falls ? y : x;
        low[i] = falls ? x : y;
      }
      s.top = falls ? b.top : a.top;
      detail::shift_limbs<K>(low, falls ? b.top - a.top : a.top - b.top);
      for (int i = 0; i < K; ++i) s.limb[i] += low[i];
    }
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
#if !FANFOLD_ON_DEVICE
    if (s.count > max_items) check_argument(false, "binned_sum", "count of items", s.count, "below 2^32 (use a 128-bit limb)");
#endif
    if (s.marks.nan() || (s.marks.positive_infinity() && s.marks.negative_infinity())) return math::quiet_nan<number>();
    if (s.marks.positive_infinity()) return math::infinity<number>();
    if (s.marks.negative_infinity()) return -math::infinity<number>();
    if (s.count > 0 && !s.marks.other()) return -number(0);
    return detail::rounded_bins<number, K>(s.limb, s.top);
  }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const
    requires keeps_all
  {
    state s = whole;
    for (int i = 0; i < K; ++i) s.limb[i] -= part.limb[i];
    s.count -= part.count;
    s.marks.remove(part.marks);
    return s;
  }
  FANFOLD_HD constexpr constant_pullback<output> fold_vjp(state const&, output const& g) const { return {g}; }

  /// A block of items in one pass (host): digits for the current top bin and the greatest magnitude together; redone where the latter
  /// raises the top. The bits of absorbing item by item.
  state fold_block(view<input const> x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  void absorb(state& s, view<input const> x) const {
    std::int64_t i = 0;
    if constexpr (!keeps_all && !is_half_v<T>)
      for (; i + detail::bin_block <= x.size(); i += detail::bin_block) {
        if (block(s, x.data() + i)) continue;
        for (std::int64_t j = i; j < i + detail::bin_block; ++j) absorb(s, x[j]);
      }
    for (; i < x.size(); ++i) absorb(s, x[i]);
  }

 private:
  // digits shift down, the lowest are dropped
  FANFOLD_HD static constexpr void raise(state& s, int top) {
    if (top <= s.top) return;
    detail::shift_limbs<K>(s.limb, top - s.top);
    s.top = top;
  }
  // top <= s.top
  FANFOLD_HD static constexpr void add_digits(state& s, number x, int top) {
    int const down = s.top - top;
    detail::scaled_digits digits(layout::scaled(x, top));
    // a host indexes longer states faster than it walks over them
    if constexpr (K <= (FANFOLD_ON_DEVICE ? detail::most_register_limbs : 4)) {
      for (int j = 0; j < layout::digits; ++j) {
        std::int64_t const digit = digits.next();
        for (int i = j; i < K; ++i)
          if (i - j == down) s.limb[i] += digit;
      }
    } else {
      for (int i = down; i < K && i < down + layout::digits; ++i) s.limb[i] += digits.next();
    }
  }

  // false: something in the block asks for the path item by item; s is as before then
  static bool block(state& s, number const* x) {
    int top = s.top;
    if (top < 0) top = layout::top_of_magnitude(detail::greatest_magnitude(x));
    for (;;) {
      if (!layout::direct(top, K)) return false;
      detail::block_digits<number, K> digits;
      auto const magnitude = digits.run(x, top);
      if (magnitude == 0 || magnitude >= ieee<number>::infinity) return false;
      int const needed = layout::top_of_magnitude(magnitude);
      if (needed > top) {
        top = needed;
        continue;
      }
      raise(s, top);
      for (int i = 0; i < K; ++i) s.limb[i] += digits.sum[i];
      s.count += detail::bin_block;
      s.marks.note_other();
      return true;
    }
  }
};

/// Correctly rounded sum.
template <class T, class Limb = std::int64_t>
using exact_sum = binned_sum<T, all_bins<T>, Limb>;

}  // namespace fanfold::inline FANFOLD_ABI
