#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A rows_view as kernels see it: n equally long rows at a constant distance, or at addresses in a table in device memory.
template <class T>
class device_rows {
 public:
  using element_type = T;

  device_rows() = default;
  device_rows(T* base, T* const* table, std::int64_t step, std::int64_t rows, std::int64_t cols)
      : base_(base), table_(table), step_(step), rows_(rows), cols_(cols) {}

  FANFOLD_HD std::int64_t rows() const { return rows_; }
  FANFOLD_HD std::int64_t cols() const { return cols_; }
  FANFOLD_HD T* row_data(std::int64_t r) const {
    FANFOLD_ASSERT(r >= 0 && r < rows_);
    return table_ == nullptr ? base_ + r * step_ : table_[r];
  }
  FANFOLD_HD view<T> row(std::int64_t r) const { return {row_data(r), cols_}; }

 private:
  T* base_ = nullptr;
  T* const* table_ = nullptr;
  std::int64_t step_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

namespace detail {

/// As many row addresses as fit the arguments of a launch on every device.
template <class T>
struct row_addresses {
  static constexpr std::int64_t most = 256;
  T* row[most];
};

template <class T>
struct store_rows_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, row_addresses<T> rows, std::int64_t count, T** to) const {
    for (std::int64_t i = grid_thread(b); i < count; i += grid_threads(b)) to[i] = rows.row[i];
  }
};

}  // namespace detail

/// The rows for a kernel. A table, which is in host memory, goes to the workspace in arguments of launches, 256 addresses each: nothing is
/// copied from host memory, and the host's table may go at once. The result lives as long as `frame`.
template <device_executor E, class T>
device_rows<T> to_device_rows(E const& ex, rows_view<T> const& x, workspace::frame& frame) {
  if (x.table() == nullptr) return {x.base(), nullptr, x.step(), x.rows(), x.cols()};
  using addresses = detail::row_addresses<T>;
  T** const table = frame.take<T*>(x.rows()).data();
  for (std::int64_t first = 0; first < x.rows(); first += addresses::most) {
    std::int64_t const count = x.rows() - first < addresses::most ? x.rows() - first : addresses::most;
    addresses part{};
    for (std::int64_t i = 0; i < count; ++i) part.row[i] = x.row_data(first + i);
    ex.launch(detail::store_rows_body<T>{}, 1, threads_for<detail::store_rows_body<T>>(ex), part, count, table + first);
  }
  return {nullptr, table, 0, x.rows(), x.cols()};
}

}  // namespace fanfold::inline FANFOLD_ABI
