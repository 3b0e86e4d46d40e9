#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/fold/empty_policy.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/lane_block.hpp"
#include "fanfold/monoid/row_monoid.hpp"

// The ordered tree over whole rows: runs of 32 rows folded left, adjacent pairs over runs, column by column. Leaf of E2, E4's sweeps and E7.
namespace fanfold::inline FANFOLD_ABI::detail {

/// `W` columns of a folded row.
template <class R, int W>
struct row_state {
  typename R::head head;
  typename R::state column[std::size_t{W}];

  template <class Row>
  FANFOLD_HD void start(R const& r, Row const& row, std::int64_t first, int width) {
    head = r.lift_head(row);
    for (int c = 0; c < width; ++c) column[c] = r.lift(load_item<typename R::input>(row[first + c]));
  }
  template <class Row>
  FANFOLD_HD void absorb(R const& r, Row const& row, std::int64_t first, int width) {
    typename R::factors f;
    head = r.join(head, r.lift_head(row), f);
    for (int c = 0; c < width; ++c) {
      if constexpr (requires { r.absorb(column[c], load_item<typename R::input>(row[first + c]), f); })
        r.absorb(column[c], load_item<typename R::input>(row[first + c]), f);
      else
        column[c] = r.combine(column[c], r.lift(load_item<typename R::input>(row[first + c])), f);
    }
  }
  /// this := earlier (+) this
  FANFOLD_HD void merge_behind(R const& r, row_state const& earlier, int width) {
    typename R::factors f;
    head = r.join(earlier.head, head, f);
    for (int c = 0; c < width; ++c) column[c] = r.combine(earlier.column[c], column[c], f);
  }
};

/// The adjacent-pair tree over row states, one a level.
template <class R, int W, int Levels = 48>
class row_tree {
 public:
  void push(R const& r, row_state<R, W>& s, int width) {
    int level = 0;
    for (std::uint64_t n = count_; n & 1; n >>= 1, ++level) s.merge_behind(r, level_[level], width);
    level_[level] = s;
    ++count_;
  }
  void root(R const& r, row_state<R, W>& s, int width) const {
    int level = 0;
    std::uint64_t n = count_;
    for (; !(n & 1); n >>= 1) ++level;
    s = level_[level];
    for (n >>= 1, ++level; n != 0; n >>= 1, ++level)
      if (n & 1) s.merge_behind(r, level_[level], width);
  }

 private:
  row_state<R, W> level_[std::size_t{Levels}];
  std::uint64_t count_ = 0;
};

/// The run of rows row_at(begin) ... row_at(end - 1), folded left into `s`.
template <class R, int W, class RowAt>
FANFOLD_HD void fold_row_run(R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, std::int64_t first, int width,
                             row_state<R, W>& s) {
  s.start(r, row_at(begin), first, width);
  for (std::int64_t i = begin + 1; i < end; ++i) s.absorb(r, row_at(i), first, width);
}

/// Whether W columns can fold as the lanes of their carrier.
template <class R, int W>
inline constexpr bool columns_are_lanes = false;
template <class A, int W>
inline constexpr bool columns_are_lanes<columnwise<A>, W> = has_lane_block<A, W>;

/// W columns of a row as inputs: where they lie, or converted into `buffer`.
template <class Input, int W, class Row>
FANFOLD_INLINE Input const* row_inputs(Row const& row, std::int64_t first, Input (&buffer)[std::size_t{W}]) {
  if constexpr (requires { requires std::is_same_v<decltype(row.data), Input const*> && !requires { row.weight; }; }) {
    return row.data + first;
  } else {
    for (int c = 0; c < W; ++c) buffer[c] = load_item<Input>(row[first + c]);
    return buffer;
  }
}

/// A run by the lanes of the carrier, on the host.
template <class A, int W, class RowAt>
FANFOLD_INLINE void fold_row_lanes(columnwise<A> const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, std::int64_t first,
                                   row_state<columnwise<A>, W>& s) {
  typename A::template lane_block<W> lanes;
  typename A::input buffer[std::size_t{W}];
  lanes.start(r.aggregator, row_inputs<typename A::input, W>(row_at(begin), first, buffer));
  for (std::int64_t i = begin + 1; i < end; ++i) lanes.absorb(r.aggregator, row_inputs<typename A::input, W>(row_at(i), first, buffer));
  for (int c = 0; c < W; ++c) s.column[c] = lanes.lane(r.aggregator, c);
}

/// Rows [begin, end), not empty, by the ordered tree.
template <class R, int W, class RowAt>
void fold_row_range(R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, std::int64_t first, int width, row_state<R, W>& s) {
  auto const fold_run = [&](std::int64_t from, std::int64_t to) {
    if constexpr (columns_are_lanes<R, W>) {
      if (width == W) return fold_row_lanes(r, row_at, from, to, first, s);
    }
    fold_row_run(r, row_at, from, to, first, width, s);
  };
  if (end - begin <= run_items) return fold_run(begin, end);
  row_tree<R, W> tree;
  for (; begin < end; begin += run_items) {
    fold_run(begin, begin + run_items < end ? begin + run_items : end);
    tree.push(r, s, width);
  }
  tree.root(r, s, width);
}

template <class Out, class Value>
FANFOLD_HD constexpr Out store_item(Value const& v) {
  if constexpr (std::is_same_v<Out, Value>)
    return v;
  else
    return from_arithmetic<Out>(static_cast<arithmetic_t<Out>>(v));
}

template <class R, int W, class Out>
FANFOLD_HD void store_row(R const& r, row_state<R, W> const& s, Out* out, int width) {
  for (int c = 0; c < width; ++c) out[c] = store_item<Out>(r.lower(s.head, s.column[c]));
}

template <class R, class Out, class Empty>
FANFOLD_HD void store_empty_row([[maybe_unused]] R const& r, [[maybe_unused]] Empty const& empty, [[maybe_unused]] Out* out,
                                [[maybe_unused]] std::int64_t width) {
  if constexpr (std::is_same_v<Empty, empty_policy::answer_t>) {
    for (std::int64_t c = 0; c < width; ++c) out[c] = store_item<Out>(r.empty());
  } else if constexpr (!std::is_same_v<Empty, empty_policy::skip_t>) {
    for (std::int64_t c = 0; c < width; ++c) out[c] = store_item<Out>(empty.v);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
