#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Returns its argument.
struct identity_map {
  template <class X>
  FANFOLD_HD constexpr X const& operator()(X const& x) const {
    return x;
  }
};

namespace detail {

template <class A, class Pre>
struct mapped_input {
  using type = typename A::input;
};
template <class A, class Pre>
  requires requires { typename Pre::input; }
struct mapped_input<A, Pre> {
  using type = typename Pre::input;
};

}  // namespace detail

/// `A` behind two maps: items pass `pre` before lift, the answer passes `post`. Callables are named functors with FANFOLD_HD operators; where
/// `pre` takes another type than A's items it says so by a member type `input`. States, combine and laws are those of A.
template <aggregator A, class Pre = identity_map, class Post = identity_map>
struct mapped {
  using input = typename detail::mapped_input<A, Pre>::type;
  using state = typename A::state;
  using output = std::remove_cvref_t<std::invoke_result_t<Post const&, typename A::output const&>>;
  static constexpr law laws = A::laws;
  static constexpr std::uint64_t max_items = item_limit<A>;

  A aggregator{};
  Pre pre{};
  Post post{};

  FANFOLD_HD constexpr state identity() const { return aggregator.identity(); }
  FANFOLD_HD constexpr state lift(input const& x) const { return aggregator.lift(static_cast<typename A::input>(pre(x))); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return aggregator.combine(a, b); }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const { absorb_item(aggregator, s, static_cast<typename A::input>(pre(x))); }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const
    requires(has_law(laws, law::invertible))
  {
    return aggregator.subtract(whole, part);
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return post(aggregator.lower(s)); }
  FANFOLD_HD constexpr output empty() const { return post(empty_answer(aggregator)); }
};
template <class A>
mapped(A) -> mapped<A>;
template <class A, class Pre>
mapped(A, Pre) -> mapped<A, Pre>;
template <class A, class Pre, class Post>
mapped(A, Pre, Post) -> mapped<A, Pre, Post>;

}  // namespace fanfold::inline FANFOLD_ABI
