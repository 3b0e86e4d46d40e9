#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Thrown by every public entry for a bad shape, range, null, overlap or non-finite parameter, before any output is written.
/// The text names function, argument, value and limit.
class argument_error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Thrown where an internal or body-level check fails in checked builds on the host and in the emulator.
class assertion_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace detail {

template <class V>
std::string value_text(V const& value) {
  if constexpr (std::is_same_v<V, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<V>) {
    char text[40];
    std::snprintf(text, sizeof(text), "%.10g", static_cast<double>(value));
    return text;
  } else if constexpr (std::is_arithmetic_v<V>) {
    return std::to_string(value);
  } else if constexpr (std::is_pointer_v<V> && !std::is_convertible_v<V, char const*>) {
    return value == nullptr ? "null" : "a pointer";
  } else {
    return std::string(value);
  }
}

[[noreturn]] FANFOLD_NOINLINE inline void throw_argument_error(char const* function, char const* argument, std::string const& value,
                                                               char const* limit) {
  throw argument_error(std::string("fanfold::") + function + ": " + argument + " is " + value + ", must be " + limit);
}

// Apart from the check, which is so small that it goes into its callers.
template <class V>
[[noreturn]] FANFOLD_NOINLINE void fail_argument(char const* function, char const* argument, V const& value, char const* limit) {
  throw_argument_error(function, argument, value_text(value), limit);
}

[[noreturn]] FANFOLD_NOINLINE inline void throw_assertion_error(char const* text) {
  throw assertion_error(std::string("fanfold assertion failed: ") + text);
}

}  // namespace detail

/// Throws argument_error "fanfold::function: argument is value, must be limit" unless `ok`.
template <class V>
FANFOLD_INLINE void check_argument(bool ok, char const* function, char const* argument, V const& value, char const* limit) {
  if (!ok) [[unlikely]] detail::fail_argument(function, argument, value, limit);
}

}  // namespace fanfold::inline FANFOLD_ABI

/// Body-level check: in checked builds traps on a device, throws assertion_error on the host and in the emulator.
/// A user may define it before including Fanfold.
#ifndef FANFOLD_ASSERT
#if !FANFOLD_CHECKED
#define FANFOLD_ASSERT(condition) static_cast<void>(0)
#elif FANFOLD_ON_DEVICE
#define FANFOLD_ASSERT(condition) ((condition) ? static_cast<void>(0) : __trap())
#else
#define FANFOLD_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::fanfold::detail::throw_assertion_error(#condition))
#endif
#endif
