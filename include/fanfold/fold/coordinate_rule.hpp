#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/bundle.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/fold/lane_vector.hpp"
#include "fanfold/fold/order_key.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The n values of a coordinate in ascending order, as a coordinate rule sees them. V is one number on a device and a register of
/// neighbouring coordinates on the host. Reading a value decodes its key: read each once where it matters.
template <class V, bool Short = false>
class sorted_values {
  using scalar = typename detail::lanes_of<V>::scalar;
  using key = detail::order_key_t<scalar>;

 public:
  using value_type = V;
  /// Whether at most 64 rows are there, so that sums need no stack.
  static constexpr bool at_most_64 = Short;

  /// Key i is at `keys + i * stride`.
  FANFOLD_HD sorted_values(key const* keys, std::int64_t stride, std::int64_t n) : keys_(keys), stride_(stride), n_(n) {}

  FANFOLD_HD std::int64_t size() const { return n_; }
  /// The value of rank i, from 0.
  FANFOLD_HD V operator[](std::int64_t i) const {
    FANFOLD_ASSERT(i >= 0 && i < n_);
    key const* const at = keys_ + i * stride_;
    if constexpr (detail::lanes_of<V>::value == 1)
      return detail::decode_key<scalar>(*at);
    else
      return detail::decode_keys<scalar>(V::template of<key>::load(at));
  }

 private:
  key const* keys_;
  std::int64_t stride_;
  std::int64_t n_;
};

namespace detail {

/// Levels of the tree over runs of 32, which bound the number of rows.
inline constexpr int most_run_levels = 18;

/// The adjacent-pair tree over `runs` values run(0), run(1), ...
template <bool AtMostTwo, class V, class Run>
FANFOLD_HD V sum_runs(Run const& run, std::int64_t runs) {
  if constexpr (AtMostTwo) {
    V const first = run(0);
    return runs == 1 ? first : first + run(1);
  } else {
    // constant bounds, so that device code keeps the levels in registers
    V level[most_run_levels];
    for (std::int64_t r = 0; r < runs; ++r) {
      V s = run(r);
      bool carry = true;
      for (int l = 0; l < most_run_levels; ++l) {
        if (!carry) continue;
        if ((r >> l & 1) != 0) {
          s = level[l] + s;
        } else {
          level[l] = s;
          carry = false;
        }
      }
    }
    bool started = false;
    V sum = level[0];
    for (int l = 0; l < most_run_levels; ++l) {
      if ((runs >> l & 1) == 0) continue;
      sum = started ? level[l] + sum : level[l];
      started = true;
    }
    return sum;
  }
}

template <class Column>
struct range_run {
  Column const& v;
  std::int64_t first, last;

  FANFOLD_HD typename Column::value_type operator()(std::int64_t run) const {
    std::int64_t const begin = first + run * run_items;
    std::int64_t const end = begin + run_items < last ? begin + run_items : last;
    auto s = v[begin];
    for (std::int64_t i = begin + 1; i < end; ++i) s = s + v[i];
    return s;
  }
};

// Lanes start at different ranks: all ranks that some lane needs are read, those outside a lane's window are passed over.
template <class Column>
struct window_run {
  using V = typename Column::value_type;
  using scalar = typename lanes_of<V>::scalar;
  Column const& v;
  V start;
  std::int64_t count, slack;

  FANFOLD_HD V operator()(std::int64_t run) const {
    std::int64_t const begin = run * run_items;
    std::int64_t const end = begin + run_items < count ? begin + run_items : count;
    V const first = start + V(static_cast<scalar>(begin)), last = start + V(static_cast<scalar>(end));
    V s(scalar(0));
    for (std::int64_t i = begin; i < end + slack; ++i) {
      V const rank(static_cast<scalar>(i)), value = v[i];
      s = choose((rank > first) & (rank < last), s + value, choose(rank == first, value, s));
    }
    return s;
  }
};

}  // namespace detail

/// v[first] + ... + v[last - 1], first < last, by the ordered tree: a left fold up to 32 values, above runs of 32 and adjacent pairs.
template <class Column>
FANFOLD_HD typename Column::value_type sum_of_ranks(Column const& v, std::int64_t first, std::int64_t last) {
  using V = typename Column::value_type;
  return detail::sum_runs<Column::at_most_64, V>(detail::range_run<Column>{v, first, last}, detail::divide_up(last - first, run_items));
}

/// The same for the `count` values from rank `start` on, a whole number in [0, slack] that may differ from lane to lane.
template <class Column>
FANFOLD_HD typename Column::value_type sum_of_window(Column const& v, typename Column::value_type start, std::int64_t count,
                                                     std::int64_t slack) {
  using V = typename Column::value_type;
  return detail::sum_runs<Column::at_most_64, V>(detail::window_run<Column>{v, start, count, slack}, detail::divide_up(count, run_items));
}

namespace detail {

template <class R>
struct rule_values {
  static constexpr int count = 1;
  FANFOLD_HD static R const& get(R const& r, int) { return r; }
};
template <class V, int K>
struct rule_values<small_array<V, K>> {
  static constexpr int count = K;
  FANFOLD_HD static V const& get(small_array<V, K> const& r, int i) { return r[i]; }
};

/// For the types of answers only: the values of a coordinate in the order of the rows.
struct values_by_row {
  FANFOLD_HD float operator[](std::int64_t) const { return 0; }
};

template <class Rule, class Column, class Rows>
FANFOLD_HD auto answer_of(Rule const& rule, Column const& v, Rows const& rows) {
  if constexpr (requires { rule(v, rows); })
    return rule(v, rows);
  else
    return rule(v);
}

template <class Rule>
using rule_answer = decltype(answer_of(std::declval<Rule const&>(), std::declval<sorted_values<float> const&>(), std::declval<values_by_row const&>()));

/// Most rows that the loop takes.
inline constexpr std::int64_t most_coordinate_rows = run_items << (most_run_levels - 1);

/// How many numbers a rule gives a coordinate.
template <class Rule>
inline constexpr int rule_outputs = rule_values<rule_answer<Rule>>::count;

template <class Rule>
concept answers = requires(Rule const& rule, sorted_values<float> const& column) { rule(column); } ||
                  requires(Rule const& rule, sorted_values<float> const& column, values_by_row const& rows) { rule(column, rows); };

}  // namespace detail

/// Turns the sorted values of a coordinate into one number, or K of them (`small_array<V, K>`): `rule(column) -> V`, a FANFOLD_HD template
/// over the column, written with the arithmetic of `Column::value_type`, comparisons and `choose`. A rule that must know which row a
/// value comes from is `rule(column, rows) -> V`, where `rows[i]` is the value of row i, NaN as +inf. Optional: `void check(n) const`, which
/// throws argument_error where the rule is not defined for n rows.
template <class R>
concept coordinate_rule = std::is_trivially_copyable_v<R> && detail::answers<R> && detail::rule_outputs<R> > 0;

/// Several rules over one sort; their outputs follow one another. Made by `together(...)`.
template <class... R>
struct joined_rules {
  bundle<R...> rules{};

  void check(std::int64_t n) const { check_from<0>(n); }
  template <class Column, class Rows>
  FANFOLD_HD auto operator()(Column const& v, Rows const& rows) const {
    small_array<typename Column::value_type, (detail::rule_outputs<R> + ...)> out;
    answer<0, 0>(v, rows, out);
    return out;
  }

 private:
  template <std::size_t J>
  void check_from(std::int64_t n) const {
    if constexpr (requires { get<J>(rules).check(n); }) get<J>(rules).check(n);
    if constexpr (J + 1 < sizeof...(R)) check_from<J + 1>(n);
  }
  template <std::size_t J, int First, class Column, class Rows, class Out>
  FANFOLD_HD void answer(Column const& v, Rows const& rows, Out& out) const {
    auto const a = detail::answer_of(get<J>(rules), v, rows);
    using values = detail::rule_values<std::remove_cvref_t<decltype(a)>>;
    for (int i = 0; i < values::count; ++i) out[First + i] = values::get(a, i);
    if constexpr (J + 1 < sizeof...(R)) answer<J + 1, First + values::count>(v, rows, out);
  }
};

/// Rules that are answered together, in one pass over the data and from one sort.
template <class... R>
joined_rules<R...> together(R const&... rules) {
  return {make_bundle(rules...)};
}

}  // namespace fanfold::inline FANFOLD_ABI
