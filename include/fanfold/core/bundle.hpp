#pragma once

#include <cstddef>
#include <type_traits>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A few values of different types side by side, for host and device: standard layout, trivially copyable where its parts are.
/// Read and written by `get<I>(b)`; made by `make_bundle(...)`.
template <class... Ts>
struct bundle;
template <class First>
struct bundle<First> {
  First first{};
  template <class Same>
  constexpr bool matches(bundle const& other, Same const& same) const {
    return same(first, other.first);
  }
};
template <class First, class... Rest>
  requires(sizeof...(Rest) > 0)
struct bundle<First, Rest...> {
  First first{};
  bundle<Rest...> rest{};
  template <class Same>
  constexpr bool matches(bundle const& other, Same const& same) const {
    return same(first, other.first) && rest.matches(other.rest, same);
  }
};

template <std::size_t Index, class... Ts>
FANFOLD_HD constexpr auto& get(bundle<Ts...>& b) {
  static_assert(Index < sizeof...(Ts));
  if constexpr (Index == 0)
    return b.first;
  else
    return get<Index - 1>(b.rest);
}
template <std::size_t Index, class... Ts>
FANFOLD_HD constexpr auto const& get(bundle<Ts...> const& b) {
  static_assert(Index < sizeof...(Ts));
  if constexpr (Index == 0)
    return b.first;
  else
    return get<Index - 1>(b.rest);
}

template <class First>
FANFOLD_HD constexpr bundle<First> make_bundle(First const& first) {
  return {first};
}
template <class First, class... Rest>
  requires(sizeof...(Rest) > 0)
FANFOLD_HD constexpr bundle<First, Rest...> make_bundle(First const& first, Rest const&... rest) {
  return {first, make_bundle(rest...)};
}

}  // namespace fanfold::inline FANFOLD_ABI
