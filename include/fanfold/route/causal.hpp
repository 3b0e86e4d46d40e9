#pragma once

#include <concepts>
#include <utility>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// A router or capacity policy that says in its type whether what a row gets depends on rows after it.
template <class T>
concept states_causality = requires {
  { T::causal } -> std::same_as<bool const&>;
};

/// Rows after a row do not change what it gets: token choice is causal; expert choice, balanced assignment, Sinkhorn, soft mixtures, token
/// graphs without a causal relation, and drops by score or by all first choices are not.
template <class T>
concept causal_router = states_causality<T> && T::causal;

/// Fails to compile unless `Router` may serve an autoregressive model.
template <class Router>
constexpr void require_causal() {
  static_assert(states_causality<Router>, "this router does not say whether it is causal: give it `static constexpr bool causal`");
  static_assert(causal_router<Router>, "this router looks at later tokens: an autoregressive model needs a causal one");
}

/// `assign` for autoregressive models: the same call, and a compile error for routers that look at later tokens.
template <class E, class Router, class... Args>
void assign_causal(E const& ex, Router const& router, Args&&... args) {
  require_causal<Router>();
  assign(ex, router, std::forward<Args>(args)...);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
