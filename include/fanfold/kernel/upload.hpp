#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// As much as fits the arguments of a launch on every device.
template <class T>
struct uploaded_items {
  static constexpr std::int64_t most = 3072 / static_cast<std::int64_t>(sizeof(T));
  T item[std::size_t{most}];
};

template <class T>
struct store_items_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, uploaded_items<T> const& items, std::int64_t count, T* to) const {
    for (std::int64_t i = grid_thread(b); i < count; i += grid_threads(b)) to[i] = items.item[i];
  }
};

}  // namespace detail

/// Small control data, from host memory to the device, in the arguments of launches, 3 KiB each: nothing waits, and the host's copy may go at
/// once (as cudaMemcpyAsync does not promise). \throws argument_error where the sizes differ; nothing is written then.
template <device_executor E, class T>
void upload(E const& ex, view<T> to, view<T const> from) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 256);
  check_argument(to.size() == from.size(), "upload", "number of items", from.size(), "the size of the target");
  using items = detail::uploaded_items<T>;
  using body = detail::store_items_body<T>;
  for (std::int64_t first = 0; first < from.size(); first += items::most) {
    std::int64_t const count = from.size() - first < items::most ? from.size() - first : items::most;
    items part{};
    for (std::int64_t i = 0; i < count; ++i) part.item[i] = from[first + i];
    ex.launch(body{}, 1, threads_for<body>(ex), part, count, to.data() + first);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
