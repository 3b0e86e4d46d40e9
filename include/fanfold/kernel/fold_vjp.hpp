#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <aggregator A>
struct fold_vjp_loop;

namespace detail {

template <class A>
struct fold_vjp_body {
  A aggregator;

  template <block B, class T, class G, class D>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<typename A::state const> state, view<G const> g, view<D> dx) const {
    auto const pullback = aggregator.fold_vjp(state.data()[0], g.data()[0]);
    for (std::int64_t i = grid_thread(b); i < x.size(); i += grid_threads(b))
      dx.data()[i] = store_item<D>(pullback(load_item<typename A::input>(x.data()[i])));
  }
};

/// A thread takes an item and finds its segment by search.
template <class A>
struct segmented_vjp_body {
  A aggregator;

  template <block B, class T, class G, class D>
  FANFOLD_HD void operator()(B& b, matrix_view<T const> x, view<std::int64_t const> offsets, matrix_view<typename A::state const> states,
                             matrix_view<G const> g, matrix_view<D> dx) const {
    std::int64_t const columns = x.cols(), segments = offsets.size() - 1;
    for (std::int64_t i = grid_thread(b); i < x.rows() * columns; i += grid_threads(b)) {
      std::int64_t const r = i / columns, c = i - r * columns;
      std::int64_t low = 0, high = segments;  // the last segment that begins at r or before
      while (low < high) {
        std::int64_t const middle = low + (high - low) / 2;
        if (offsets.data()[middle] <= r)
          low = middle + 1;
        else
          high = middle;
      }
      std::int64_t const s = low - 1;
      if (s < 0 || r >= offsets.data()[s + 1]) continue;
      auto const pullback = aggregator.fold_vjp(states.data()[s * states.stride() + c], g.data()[s * g.stride() + c]);
      dx.data()[r * dx.stride() + c] = store_item<D>(pullback(load_item<typename A::input>(x.data()[r * x.stride() + c])));
    }
  }
};

}  // namespace detail

/// Device form of fold_vjp: a thread an item.
template <device_executor E, class A, class T, class G, class D>
void run_loop(E const& ex, fold_vjp_loop<A> const& loop, view<T const> x, view<typename A::state const> state, view<G const> g, view<D> dx) {
  using body = detail::fold_vjp_body<A>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.aggregator}, blocks_for(ex, x.size(), threads, threads), threads, x, state, g, dx);
}

/// Device form of segmented_fold_vjp: a thread an item.
template <device_executor E, class A, class T, class G, class D>
void run_loop(E const& ex, fold_vjp_loop<A> const& loop, matrix_view<T const> x, view<std::int64_t const> offsets,
              matrix_view<typename A::state const> states, matrix_view<G const> g, matrix_view<D> dx) {
  if (offsets.size() < 2) return;
  using body = detail::segmented_vjp_body<A>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.aggregator}, blocks_for(ex, x.rows() * x.cols(), threads, threads), threads, x, offsets, states, g, dx);
}

}  // namespace fanfold::inline FANFOLD_ABI
