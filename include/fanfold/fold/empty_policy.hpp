#pragma once

#include <type_traits>

#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What a segment without items leaves in the output; passed among the options of segmented folds.
namespace empty_policy {

/// The aggregator's answer for nothing (`empty()`, by default `lower(identity())`), so -inf for a maximum. The default.
struct answer_t {};
/// Leave the output as it is.
struct skip_t {};
/// A given value, such as the 0 that graph layers want from an empty maximum.
template <class T>
struct value {
  T v{};
};
template <class T>
value(T) -> value<T>;

inline constexpr answer_t answer{};
inline constexpr skip_t skip{};

}  // namespace empty_policy

namespace detail {

template <class P>
inline constexpr bool is_empty_policy = std::is_same_v<P, empty_policy::answer_t> || std::is_same_v<P, empty_policy::skip_t>;
template <class T>
inline constexpr bool is_empty_policy<empty_policy::value<T>> = true;

template <class O>
concept segment_option = call_option<O> || is_empty_policy<std::remove_cvref_t<O>>;

inline empty_policy::answer_t find_empty_policy() { return {}; }
template <class First, class... Rest>
auto find_empty_policy(First const& first, Rest const&... rest) {
  if constexpr (is_empty_policy<First>)
    return first;
  else
    return find_empty_policy(rest...);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
