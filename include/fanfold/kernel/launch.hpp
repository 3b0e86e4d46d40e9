#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/kernel/block.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class Body>
concept has_shared = requires { typename Body::shared; };
template <class Body>
concept has_max_threads = requires { Body::max_threads; };

template <class Body>
struct shared_of {
  struct type {};
};
template <has_shared Body>
struct shared_of<Body> {
  using type = typename Body::shared;
};

/// Calls body(b[, shared][, dynamic], args...): `shared` where the body has that type, `dynamic` where the launch asks for it.
template <bool Dynamic, block B, class Body, class... Args>
FANFOLD_HD void call_body(Body const& body, B& b, typename shared_of<Body>::type& shared, view<std::byte> dynamic, Args const&... args) {
  if constexpr (has_shared<Body> && Dynamic)
    body(b, shared, dynamic, args...);
  else if constexpr (has_shared<Body>)
    body(b, shared, args...);
  else if constexpr (Dynamic)
    body(b, dynamic, args...);
  else
    body(b, args...);
}

template <class Body, class... Args>
constexpr void require_launchable() {
  static_assert(std::is_trivially_copyable_v<Body> && (std::is_trivially_copyable_v<Args> && ...),
                "a kernel body and its arguments are copied to the device as bytes: they must be trivially copyable");
  static_assert(std::is_trivially_default_constructible_v<typename shared_of<Body>::type>,
                "the shared struct of a kernel body starts unset: no constructors or member initialisers (arrays: checked_array)");
}

}  // namespace detail

/// Most threads a block of this body may have: `Body::max_threads` where it exists, else 256.
template <class Body>
constexpr unsigned max_threads_of() {
  if constexpr (detail::has_max_threads<Body>)
    return Body::max_threads;
  else
    return 256;
}

namespace detail {

/// The checks of a launch that every device executor makes.
template <class Body, class... Args>
void check_launch(std::int64_t grid, unsigned threads) {
  require_launchable<Body, Args...>();
  check_argument(grid >= 0 && grid <= 0x7fffffff, "launch", "number of blocks", grid, "in [0, 2^31)");
  check_argument(threads >= 32 && threads % 32 == 0 && threads <= max_threads_of<Body>(), "launch", "threads of a block", threads,
                 "a multiple of 32 and at most the body's max_threads");
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
