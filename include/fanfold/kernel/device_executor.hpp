#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/launch.hpp"
#include "fanfold/kernel/status.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// A body that does nothing, for the concept below.
struct idle_body {
  template <block B>
  FANFOLD_HD void operator()(B&, int) const {}
};

}  // namespace detail

/// What the device forms of the loops are written against, once for hardware and emulation. All work is queued in order on one stream;
/// nothing waits except `wait()`, nothing allocates.
/// - `launch(body, grid, threads, args...)`: body(b[, shared], args...) in every thread of `grid` blocks; body and arguments go by value.
///   A grid of 0 blocks is no launch. `launch_dynamic(body, grid, threads, bytes, args...)` adds a `view<std::byte>` of that many bytes
///   of shared memory (16-byte aligned) before the arguments.
/// - `copy(to, from)`: between views of equal length in device memory, or to and from host memory that outlives the copy.
/// - `scratch()`: the workspace, in device memory. `status()`: the word for data faults (kernel/status.hpp).
/// - `block_threads()`: the block size to use where a body has no other wish. `resident_blocks(threads)`: how many blocks fill the device,
///   a hint for grids; results must not depend on either.
/// - `wait()`: until all is done, here.
/// Free functions: `fill`, `fetch`, `sort_pairs` (emulate/executor.hpp, cuda/sort.cuh).
template <class E>
concept launch_executor =
    device_executor<E> && requires(E const& ex, detail::idle_body body, std::int64_t n, unsigned threads, std::size_t bytes, view<float> to) {
      { ex.launch(body, n, threads, 1) } -> std::same_as<void>;
      { ex.copy(to, as_const(to)) } -> std::same_as<void>;
      { ex.status() } -> std::same_as<std::uint32_t*>;
      { ex.block_threads() } -> std::convertible_to<unsigned>;
      { ex.resident_blocks(threads) } -> std::convertible_to<std::int64_t>;
      { ex.wait() } -> std::same_as<void>;
    };

/// The executor's block size, cut to what the body allows.
template <class Body, device_executor E>
unsigned threads_for(E const& ex) {
  unsigned const wish = ex.block_threads();
  return wish < max_threads_of<Body>() ? wish : max_threads_of<Body>();
}

/// Blocks for a grid-stride loop over `items` of which a block takes `items_per_block` at a time: enough for all, at most `waves` times what
/// the device holds at once.
template <device_executor E>
std::int64_t blocks_for(E const& ex, std::int64_t items, std::int64_t items_per_block, unsigned threads, std::int64_t waves = 4) {
  std::int64_t const wanted = items / items_per_block + (items % items_per_block != 0);
  std::int64_t const most = waves * ex.resident_blocks(threads);
  return wanted < most ? wanted : most;
}

namespace detail {

template <class T>
struct fill_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, view<T> to, T value) const {
    for (std::int64_t i = grid_thread(b); i < to.size(); i += grid_threads(b)) to[i] = value;
  }
};

}  // namespace detail

/// to[i] = value, on the device.
template <device_executor E, class T>
void fill(E const& ex, view<T> to, std::type_identity_t<T> value) {
  using body = detail::fill_body<T>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{}, blocks_for(ex, to.size(), threads, threads), threads, to, value);
}

/// Waits for everything queued, then throws argument_error if a kernel noted a fault in the data since the last call.
template <device_executor E>
void finish(E const& ex) {
  std::uint32_t bits = 0;
  ex.copy(view<std::uint32_t>(&bits, 1), view<std::uint32_t const>(ex.status(), 1));
  ex.wait();
  if (bits == 0) return;
  fill(ex, view<std::uint32_t>(ex.status(), 1), 0u);
  throw_data_faults(bits);
}

/// Copies `from`, in device memory, to `to`, in host memory, and waits for it; throws as finish() does.
template <device_executor E, class T>
void fetch(E const& ex, view<T const> from, view<std::type_identity_t<T>> to) {
  check_argument(from.size() == to.size(), "fetch", "elements of the host view", to.size(), "those of the device view");
  ex.copy(to, from);
  finish(ex);
}

/// The value that `out[0]`, in device memory, holds once everything before it is done; throws as finish() does.
template <device_executor E, viewable Out>
auto fetch(E const& ex, Out const& out) {
  auto const from = as_view(out);
  using T = typename decltype(from)::value_type;
  static_assert(std::is_trivially_copyable_v<T>, "fetch copies bytes: the element type must be trivially copyable");
  check_argument(from.size() >= 1, "fetch", "elements of out", from.size(), "1 or more");
  union storage {
    char unset;
    T value;
    storage() : unset{} {}
  } result;
  fetch(ex, view<T const>(from.data(), 1), view<T>(&result.value, 1));
  return result.value;
}

}  // namespace fanfold::inline FANFOLD_ABI
