#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// How the combines of a fold are bracketed: the determinism contract.
namespace order {

/// The canonical tree: a function of the input sequence alone, the same bits on every backend and at every thread count. The default.
struct fixed_t {};
/// The same bits for every permutation and partition of the input; needs a bitwise associative and commutative carrier.
struct reproducible_t {};
/// Whatever is fastest; no promise.
struct any_t {};

/// What calls take as their order.
inline constexpr fixed_t fixed{};
inline constexpr reproducible_t reproducible{};
inline constexpr any_t any{};

}  // namespace order

/// One of the three orders.
template <class O>
concept order_policy = std::same_as<std::remove_cvref_t<O>, order::fixed_t> || std::same_as<std::remove_cvref_t<O>, order::reproducible_t> ||
                       std::same_as<std::remove_cvref_t<O>, order::any_t>;

/// A compile error that names the missing law where `Order` asks for more than the monoid `M` states.
template <class Order, class M>
constexpr void require_laws() {
  constexpr bool fixed = std::is_same_v<Order, order::fixed_t>;
  constexpr bool reproducible = std::is_same_v<Order, order::reproducible_t>;
  static_assert(!fixed || has_law(M::laws, law::associative), "order::fixed needs a monoid whose laws include law::associative");
  static_assert(!reproducible || has_law(M::laws, law::associative), "order::reproducible needs a monoid whose laws include law::associative");
  static_assert(!reproducible || has_law(M::laws, law::commutative), "order::reproducible needs a monoid whose laws include law::commutative");
  static_assert(!reproducible || has_law(M::laws, law::bitwise), "order::reproducible needs a monoid whose laws include law::bitwise");
}

namespace detail {

/// Refuses more items than a state of A may stand for.
template <class A>
void check_item_count(char const* function, std::int64_t items) {
  if constexpr (item_limit<A> < ~std::uint64_t{0})
    check_argument(static_cast<std::uint64_t>(items) <= item_limit<A>, function, "number of items", items,
                   "at most max_items of the aggregator (binned sums with 128-bit limbs take more)");
}

/// The same for each segment. A device's offsets are not read: there all segments together count.
template <class A, class E, class Offsets>
void check_segment_items(char const* function, Offsets const& offsets, std::int64_t items) {
  if constexpr (item_limit<A> < ~std::uint64_t{0}) {
    if (static_cast<std::uint64_t>(items) <= item_limit<A>) return;
    if constexpr (host_executor<E>) {
      for (std::int64_t s = 1; s < offsets.size(); ++s) check_item_count<A>(function, offsets.data()[s] - offsets.data()[s - 1]);
    } else {
      check_item_count<A>(function, items);
    }
  }
}

/// What may follow the outputs of a call: an order tag, a workspace, both or neither.
template <class O>
concept call_option = order_policy<O> || std::same_as<std::remove_reference_t<O>, workspace>;

template <class Default, class... Options>
struct chosen_order {
  using type = Default;
};
template <class Default, class First, class... Rest>
struct chosen_order<Default, First, Rest...> : chosen_order<Default, Rest...> {};
template <class Default, order_policy First, class... Rest>
struct chosen_order<Default, First, Rest...> {
  using type = std::remove_cvref_t<First>;
};
template <class... Options>
using order_of = typename chosen_order<order::fixed_t, Options...>::type;

inline workspace* find_workspace() { return nullptr; }
template <class First, class... Rest>
workspace* find_workspace(First& first, Rest&... rest) {
  if constexpr (std::same_as<First, workspace>)
    return &first;
  else
    return find_workspace(rest...);
}

/// The workspace of a call: the one given, else the device executor's, else a temporary one.
template <class E, class... Options>
class call_workspace {
 public:
  explicit call_workspace(E const& ex, Options&... options) : chosen_(find_workspace(options...)) {
    if (chosen_ != nullptr) return;
    if constexpr (device_executor<E>)
      chosen_ = &ex.scratch();
    else
      chosen_ = &temporary_;
  }
  workspace& get() { return *chosen_; }

 private:
  workspace temporary_;
  workspace* chosen_;
};
template <class E, class... Options>
call_workspace(E const&, Options&...) -> call_workspace<E, Options...>;

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
