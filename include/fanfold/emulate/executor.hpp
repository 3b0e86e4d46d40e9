#pragma once

#if defined(__CUDACC__)
#error "fanfold/emulate is for host compilers: include it from .cpp files only."
#endif

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/block.hpp"
#include "fanfold/emulate/detail/grid_run.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI::emulate {

/// How the emulated device looks and behaves. Results of correct algorithms depend on none of it.
struct options {
  unsigned block_threads = 256;
  /// A small device, so that loops over more work than the grid covers are exercised.
  std::int64_t resident_blocks = 3;
  /// Blocks and threads in falling order instead of rising: shows what relies on the order.
  bool descending = false;
};

/// A device_executor that runs kernel bodies on the calling thread, checked (see emulate::block), and whose device memory is host memory.
/// For tests and for development without a device; some thousand times slower than one.
class executor {
 public:
  using device_executor_tag = void;

  explicit executor(workspace& ws, options const& o = {}) : workspace_(&ws), options_(o) {
    check_argument(o.block_threads >= 32 && o.block_threads % 32 == 0 && o.block_threads <= 1024, "emulate::executor", "block_threads",
                   o.block_threads, "a multiple of 32 in [32, 1024]");
    check_argument(o.resident_blocks >= 1, "emulate::executor", "resident_blocks", o.resident_blocks, "1 or more");
    bool fresh = false;
    status_ = ws.status_word(fresh);
    check_argument(status_ != nullptr, "emulate::executor", "workspace", "too small", "at least 512 bytes, without open frames at its first use");
    if (fresh) *status_ = 0;
  }

  workspace& scratch() const { return *workspace_; }
  std::uint32_t* status() const { return status_; }
  unsigned block_threads() const { return options_.block_threads; }
  std::int64_t resident_blocks(unsigned) const { return options_.resident_blocks; }

  template <class Body, class... Args>
  void launch(Body const& body, std::int64_t grid, unsigned threads, Args const&... args) const {
    run<false>(body, grid, threads, 0, args...);
  }
  template <class Body, class... Args>
  void launch_dynamic(Body const& body, std::int64_t grid, unsigned threads, std::size_t bytes, Args const&... args) const {
    run<true>(body, grid, threads, bytes, args...);
  }

  template <class T>
  void copy(view<T> to, view<std::type_identity_t<T> const> from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    check_argument(from.size() == to.size(), "copy", "elements of the source", from.size(), "those of the target");
    if (to.size() > 0) std::memcpy(static_cast<void*>(to.data()), from.data(), static_cast<std::size_t>(to.size()) * sizeof(T));
  }

  void wait() const {}

 private:
  // doxygen mistakes the class around it for the concept of the same name
  /// \cond
  template <class Body, class... Args>
  struct packet {
    Body body;
    std::size_t dynamic_bytes;
    std::tuple<Args...> args;
  };
  /// \endcond

  template <bool Dynamic, class Body, class... Args>
  static void call(void const* data, block& b, std::byte* shared, std::byte* dynamic) {
    packet<Body, Args...> const mine = *static_cast<packet<Body, Args...> const*>(data);  // its own copy, as on a device
    view<std::byte> const bytes(dynamic, static_cast<std::int64_t>(mine.dynamic_bytes));
    using shared_type = typename fanfold::detail::shared_of<Body>::type;
    std::apply(
        [&](Args const&... args) {
          fanfold::detail::call_body<Dynamic>(mine.body, b, *reinterpret_cast<shared_type*>(shared), bytes, args...);
        },
        mine.args);
  }

  template <bool Dynamic, class Body, class... Args>
  void run(Body const& body, std::int64_t grid, unsigned threads, std::size_t dynamic_bytes, Args const&... args) const {
    fanfold::detail::check_launch<Body, Args...>(grid, threads);
    packet<Body, Args...> const data{body, dynamic_bytes, {args...}};
    using shared_type = typename fanfold::detail::shared_of<Body>::type;
    detail::grid_call call_all{&call<Dynamic, Body, Args...>, &data};
    detail::run_grid(call_all, {grid, threads, sizeof(shared_type), dynamic_bytes, options_.descending});
  }

  workspace* workspace_;
  options options_;
  std::uint32_t* status_ = nullptr;
};
static_assert(launch_executor<executor>);

/// Sorts by the lowest `bits` bits of the keys, rising, equal ones in their old order, and carries the values along. Outputs must not
/// overlap inputs.
template <std::unsigned_integral K, class V>
void sort_pairs(executor const&, view<K const> keys, view<K> sorted_keys, view<V const> values, view<V> sorted_values,
                int bits, workspace&) {
  K const mask = bits >= static_cast<int>(8 * sizeof(K)) ? static_cast<K>(~K{0}) : static_cast<K>((K{1} << bits) - 1);
  std::vector<std::int64_t> order(static_cast<std::size_t>(keys.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return (keys[a] & mask) < (keys[b] & mask); });
  for (std::int64_t i = 0; i < keys.size(); ++i) {
    sorted_keys[i] = keys[order[static_cast<std::size_t>(i)]];
    sorted_values[i] = values[order[static_cast<std::size_t>(i)]];
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::emulate
