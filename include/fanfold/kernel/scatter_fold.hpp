#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <aggregator A, class Empty>
struct scatter_loop;

/// How a carrier's state builds up by integer atomics, in `words` words of 64 bits: `clear` sets them to the identity, `add` takes an item
/// in, `state` reads the result. Where `surveys`, every item has gone through `survey` before the first `add`. Integer operations commute
/// exactly, so the order of arrival leaves no trace. Specialise it for carriers of your own.
template <class A>
struct atomic_cell;

template <std::integral T, std::integral Accumulator>
struct atomic_cell<plus<T, Accumulator>> {
  static constexpr int words = 1;
  static constexpr bool surveys = false;
  using carrier = plus<T, Accumulator>;

  FANFOLD_HD static void clear(carrier const&, std::uint64_t* w) { w[0] = 0; }
  template <block B>
  FANFOLD_HD static void add(B& b, carrier const& a, std::uint64_t* w, T const& x) {
    b.atomic_add(w, static_cast<std::uint64_t>(a.lift(x)));
  }
  FANFOLD_HD static Accumulator state(carrier const&, std::uint64_t const* w) { return static_cast<Accumulator>(w[0]); }
};

/// The key of an extremum, shifted so that it orders as an unsigned number.
template <class T, detail::side Side, nan_policy Nan>
  requires(Nan != nan_policy::error && (std::is_floating_point_v<T> || std::is_signed_v<T>))
struct atomic_cell<detail::extremum<T, Side, Nan>> {
  static constexpr int words = 1;
  static constexpr bool surveys = false;
  using carrier = detail::extremum<T, Side, Nan>;
  using key = typename carrier::key;

  FANFOLD_HD static void clear(carrier const& a, std::uint64_t* w) { w[0] = word_of(a.identity()); }
  template <block B>
  FANFOLD_HD static void add(B& b, carrier const&, std::uint64_t* w, T const& x) {
    if constexpr (key::greatest)
      b.atomic_max(w, word_of(x));
    else
      b.atomic_min(w, word_of(x));
  }
  FANFOLD_HD static T state(carrier const&, std::uint64_t const* w) {
    return from_monotone_key<T>(static_cast<typename key::type>(static_cast<std::int64_t>(w[0] ^ offset)));
  }

 private:
  static constexpr std::uint64_t offset = std::uint64_t{1} << 63;
  FANFOLD_HD static std::uint64_t word_of(T x) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(key::of(x))) ^ offset; }
};

/// Words: the greatest top bin + 1, the number of items, four marks, the limbs. The survey finds the top bin, so that limbs never shift.
template <class T, int K>
struct atomic_cell<binned_sum<T, K, std::int64_t>> {
  using carrier = binned_sum<T, K, std::int64_t>;
  using number = typename carrier::number;
  static constexpr int words = 6 + K;
  static constexpr bool surveys = !carrier::keeps_all;

  FANFOLD_HD static void clear(carrier const& a, std::uint64_t* w) {
    for (int i = 1; i < words; ++i) w[i] = 0;
    w[0] = static_cast<std::uint64_t>(a.identity().top + 1);
  }
  template <block B>
  FANFOLD_HD static void survey(B& b, carrier const&, std::uint64_t* w, T const& item) {
    number const x = to_arithmetic(item);
    if (is_finite(x) && x != number(0)) b.atomic_max(w, static_cast<std::uint64_t>(detail::bins<number>::top(x) + 1));
  }
  template <block B>
  FANFOLD_HD static void add(B& b, carrier const&, std::uint64_t* w, T const& item) {
    number const x = to_arithmetic(item);
    b.atomic_add(w + 1, std::uint64_t{1});
    if (math::bits_of(x) != ieee<number>::sign) mark(b, w + 2 + 3);
    if (!is_finite(x)) return mark(b, w + 2 + (x != x ? 0 : x > number(0) ? 1 : 2));
    if (x == number(0)) return;
    using layout = detail::bins<number>;
    int const top = layout::top(x), down = static_cast<int>(w[0]) - 1 - top;
    detail::scaled_digits digits(layout::scaled(x, top));
    for (int i = down; i < K && i < down + layout::digits; ++i) {
      auto const digit = static_cast<std::uint64_t>(digits.next());
      if (digit != 0) b.atomic_add(w + 6 + i, digit);
    }
  }
  FANFOLD_HD static typename carrier::state state(carrier const& a, std::uint64_t const* w) {
    auto s = a.identity();
    s.top = static_cast<std::int32_t>(w[0]) - 1;
    s.count = w[1];
    for (int i = 0; i < 4; ++i) s.marks.seen[i] = static_cast<typename decltype(s.marks)::field>(w[2 + i]);
    for (int i = 0; i < K; ++i) s.limb[i] = static_cast<std::int64_t>(w[6 + i]);
    return s;
  }

 private:
  template <block B>
  FANFOLD_HD static void mark(B& b, std::uint64_t* w) {
    if constexpr (carrier::keeps_all)
      b.atomic_add(w, std::uint64_t{1});
    else
      b.atomic_or(w, std::uint64_t{1});
  }
};

template <class A>
concept has_atomic_cell = aggregator<A> && requires { atomic_cell<A>::words; };

namespace detail {

template <class A>
struct scatter_clear_body {
  A aggregator;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::uint64_t> words, view<std::uint32_t> named) const {
    constexpr int W = atomic_cell<A>::words;
    for (std::int64_t i = grid_thread(b); i < words.size() / W; i += grid_threads(b)) atomic_cell<A>::clear(aggregator, words.data() + i * W);
    for (std::int64_t i = grid_thread(b); i < named.size(); i += grid_threads(b)) named.data()[i] = 0;
  }
};

/// A thread takes an item: neighbouring threads neighbouring columns of a row.
template <class A, bool Survey>
struct scatter_items_body {
  A aggregator;
  std::uint32_t* status;

  template <block B, class T>
  FANFOLD_HD void operator()(B& b, view<std::int32_t const> index, matrix_view<T const> x, view<std::uint64_t> words,
                             view<std::uint32_t> named) const {
    using cell = atomic_cell<A>;
    std::int64_t const columns = x.cols();
    for (std::int64_t i = grid_thread(b); i < x.rows() * columns; i += grid_threads(b)) {
      std::int64_t const r = i / columns, c = i - r * columns, s = index.data()[r];
      if (s < 0 || s >= named.size()) {
        if (s != -1 && c == 0) raise(b, status, data_fault::id_out_of_range);
        continue;
      }
      std::uint64_t* const w = words.data() + (s * columns + c) * cell::words;
      auto const item = load_item<typename A::input>(x.data()[r * x.stride() + c]);
      if constexpr (Survey) {
        cell::survey(b, aggregator, w, item);
      } else {
        cell::add(b, aggregator, w, item);
        if (c == 0) b.atomic_or(named.data() + s, 1u);
      }
    }
  }
};

template <class A, class Empty>
struct scatter_answers_body {
  A aggregator;
  Empty empty;

  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, view<std::uint64_t const> words, view<std::uint32_t const> named, matrix_view<Out> out) const {
    using cell = atomic_cell<A>;
    std::int64_t const columns = out.cols();
    for (std::int64_t i = grid_thread(b); i < out.rows() * columns; i += grid_threads(b)) {
      std::int64_t const s = i / columns;
      Out* const to = out.data() + s * out.stride() + (i - s * columns);
      if (named.data()[s] == 0)
        store_empty_row(columnwise<A>{aggregator}, empty, to, 1);
      else
        *to = store_item<Out>(aggregator.lower(cell::state(aggregator, words.data() + i * cell::words)));
    }
  }
};

}  // namespace detail

/// Device form of the reproducible scatter: no sort, integer atomics into a cell of words for each segment and column.
template <device_executor E, has_atomic_cell A, class Empty, class T, class Out>
void run_loop(E const& ex, scatter_loop<A, Empty> const& loop, view<std::int32_t const> index, matrix_view<T const> x, matrix_view<Out> out,
              order::reproducible_t, workspace& ws) {
  using cell = atomic_cell<A>;
  if (out.empty()) return;
  std::int64_t const cells = out.rows() * out.cols(), items = x.rows() * x.cols();
  workspace::frame frame(ws);
  auto const words = frame.take<std::uint64_t>(cells * cell::words);
  auto const named = frame.take<std::uint32_t>(out.rows());
  using clear = detail::scatter_clear_body<A>;
  unsigned const threads = threads_for<clear>(ex);
  ex.launch(clear{loop.aggregator}, blocks_for(ex, cells, threads, threads), threads, words, named);
  if constexpr (cell::surveys)
    ex.launch(detail::scatter_items_body<A, true>{loop.aggregator, ex.status()}, blocks_for(ex, items, threads, threads), threads, index, x, words,
              named);
  ex.launch(detail::scatter_items_body<A, false>{loop.aggregator, ex.status()}, blocks_for(ex, items, threads, threads), threads, index, x, words,
            named);
  ex.launch(detail::scatter_answers_body<A, Empty>{loop.aggregator, loop.empty}, blocks_for(ex, cells, threads, threads), threads,
            as_const(words), as_const(named), out);
}

}  // namespace fanfold::inline FANFOLD_ABI
