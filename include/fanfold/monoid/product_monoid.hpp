#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/bundle.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class A, class... Rest>
struct first_input {
  using type = typename A::input;
};

}  // namespace detail

namespace detail {

template <class... Limits>
FANFOLD_HD constexpr std::uint64_t least_limit(Limits... limits) {
  std::uint64_t least = ~std::uint64_t{0};
  ((least = limits < least ? limits : least), ...);
  return least;
}

}  // namespace detail

/// Several aggregators over the same items in one pass: `get<I>(answer)` is the answer of the I-th. The item type is that of the first;
/// the others' must be constructible from it. States are combined part by part; the laws are those that all parts have.
template <aggregator... As>
  requires(sizeof...(As) > 0)
class product_monoid {
 public:
  using input = typename detail::first_input<As...>::type;
  using state = bundle<typename As::state...>;
  using output = bundle<typename As::output...>;
  static constexpr law laws = (As::laws & ...);
  static constexpr std::uint64_t max_items = detail::least_limit(item_limit<As>...);

  constexpr product_monoid() = default;
  FANFOLD_HD constexpr explicit product_monoid(As const&... parts)
    requires(sizeof...(As) > 0)
      : parts_(make_bundle(parts...)) {}

  template <std::size_t Index>
  FANFOLD_HD constexpr auto const& part() const {
    return get<Index>(parts_);
  }

  FANFOLD_HD constexpr state identity() const { return identity_of(indices{}); }
  FANFOLD_HD constexpr state lift(input const& x) const { return lift_of(x, indices{}); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return combine_of(a, b, indices{}); }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const { absorb_of(s, x, indices{}); }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const
    requires(has_law(laws, law::invertible))
  {
    return subtract_of(whole, part, indices{});
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return lower_of(s, indices{}); }
  FANFOLD_HD constexpr output empty() const { return empty_of(indices{}); }

 private:
  using indices = std::make_index_sequence<sizeof...(As)>;

  template <std::size_t... Index>
  FANFOLD_HD constexpr state identity_of(std::index_sequence<Index...>) const {
    return make_bundle(part<Index>().identity()...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr state lift_of(input const& x, std::index_sequence<Index...>) const {
    return make_bundle(part<Index>().lift(static_cast<typename As::input>(x))...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr state combine_of(state const& a, state const& b, std::index_sequence<Index...>) const {
    return make_bundle(part<Index>().combine(get<Index>(a), get<Index>(b))...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr state subtract_of(state const& a, state const& b, std::index_sequence<Index...>) const {
    return make_bundle(part<Index>().subtract(get<Index>(a), get<Index>(b))...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr void absorb_of(state& s, input const& x, std::index_sequence<Index...>) const {
    (absorb_item(part<Index>(), get<Index>(s), static_cast<typename As::input>(x)), ...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr output lower_of(state const& s, std::index_sequence<Index...>) const {
    return make_bundle(part<Index>().lower(get<Index>(s))...);
  }
  template <std::size_t... Index>
  FANFOLD_HD constexpr output empty_of(std::index_sequence<Index...>) const {
    return make_bundle(empty_answer(part<Index>())...);
  }

  bundle<As...> parts_{};
};
template <aggregator... As>
product_monoid(As const&...) -> product_monoid<As...>;

}  // namespace fanfold::inline FANFOLD_ABI
