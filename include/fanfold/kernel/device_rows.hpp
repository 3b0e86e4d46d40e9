#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A rows_view as kernels take it: base and stride, or a table of row pointers in device memory.
template <class T>
struct device_rows {
  T* base = nullptr;
  std::int64_t step = 0;
  T* const* table = nullptr;

  FANFOLD_HD T* row(std::int64_t i) const { return table == nullptr ? base + i * step : table[i]; }
};

namespace detail {

/// Row pointers as a kernel argument.
template <class T>
struct row_pointers {
  static constexpr std::int64_t most = 256;
  T* at[256];
};

template <class T>
struct write_rows_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, row_pointers<T> const& from, view<T*> to) const {
    for (std::int64_t i = grid_thread(b); i < to.size(); i += grid_threads(b)) to[i] = from.at[i];
  }
};

}  // namespace detail

/// The rows for kernels. A table in host memory travels in kernel arguments, 256 pointers a launch, to workspace memory of `frame`.
template <device_executor E, class T>
device_rows<T> to_device(E const& ex, rows_view<T> const& rows, workspace::frame& frame) {
  if (rows.table() == nullptr) return {rows.base(), rows.step(), nullptr};
  using pointers = detail::row_pointers<T>;
  view<T*> const table = frame.take<T*>(rows.rows());
  for (std::int64_t first = 0; first < rows.rows(); first += pointers::most) {
    std::int64_t const n = rows.rows() - first < pointers::most ? rows.rows() - first : pointers::most;
    pointers p{};
    for (std::int64_t i = 0; i < n; ++i) p.at[i] = rows.row_data(first + i);
    ex.launch(detail::write_rows_body<T>{}, 1, threads_for<detail::write_rows_body<T>>(ex), p, table.subview(first, n));
  }
  return {nullptr, 0, table.data()};
}

}  // namespace fanfold::inline FANFOLD_ABI
