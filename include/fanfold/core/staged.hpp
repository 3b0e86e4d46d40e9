#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Small control data that host code writes and the executor's loops read: in the workspace itself on the host, else a host copy
/// that `publish` sends to the workspace's memory by `upload` (fanfold/kernel/upload.hpp).
template <class T>
class staged {
 public:
  template <executor E>
  staged(E const&, workspace::frame& frame, std::int64_t count) : target_(frame.take<T>(count)) {
    if constexpr (device_executor<E>) copy_.resize(static_cast<std::size_t>(count));
  }
  staged(staged const&) = delete;
  staged& operator=(staged const&) = delete;

  /// Where host code writes.
  view<T> host() { return copy_.empty() ? target_ : view<T>(copy_); }
  /// Where loops read, once everything is written.
  template <executor E>
  view<T const> publish(E const& ex) {
    if constexpr (device_executor<E>) upload(ex, target_, view<T const>(copy_));
    return target_;
  }

 private:
  view<T> target_;
  std::vector<T> copy_;
};

}  // namespace fanfold::inline FANFOLD_ABI
