#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/ensemble/softmax.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// sum_m w_m softmax(z_m): the linear pool.
struct mean_probability {};
/// softmax(sum_m w_m z_m): the normalised weighted geometric mean of the members' probabilities.
struct mean_logit {};
/// softmax(sum_m z_m), without weights.
struct product_of_experts {};
/// The class that most members (by weight) put first; lower classes win ties. One-hot, or each class's share of the votes.
struct majority_vote {
  bool shares = false;
};
/// Largest probability of each class over the members, without weights, renormalised.
struct max_probability {};
/// Median probability of each class (mean of the middle two), without weights, renormalised; the plain mean where all medians are 0.
struct median_probability {};

namespace detail {

template <class R, class... Rules>
concept one_of = (std::same_as<R, Rules> || ...);
template <class R>
concept logit_sum = one_of<R, mean_logit, product_of_experts>;
template <class R>
concept unweighted = one_of<R, product_of_experts, max_probability, median_probability>;

/// Members [M] of equal shape, as one matrix of logits each.
template <class T, class A>
struct member_table {
  view<matrix_view<T const> const> logits{};
  view<std::int32_t const> used{};  // members with weight above 0
  view<A const> weight{};           // theirs, normalised
};

/// Elementwise ordered tree over rows of `classes` values that come one by one; `scratch` holds 40 rows.
template <class A>
class row_sums {
 public:
  row_sums(A* scratch, std::int64_t classes) : rows_(scratch), classes_(classes) {}
  /// What the next row is written to before `push`.
  A* next() { return rows_ + 39 * classes_; }
  void push() {
    A* const run = rows_ + 38 * classes_;
    merge(run, next(), in_run_ > 0);
    if (++in_run_ == run_items) close();
  }
  /// The sum of what was pushed (at least one row).
  A const* finish() {
    if (in_run_ > 0) close();
    int l = 0;
    while (((runs_ >> l) & 1) == 0) ++l;
    A* const sum = rows_ + l * classes_;
    for (++l; runs_ >> l != 0; ++l)
      if ((runs_ >> l) & 1)
        for (std::int64_t c = 0; c < classes_; ++c) sum[c] = rows_[l * classes_ + c] + sum[c];
    return sum;
  }

 private:
  void merge(A* to, A const* from, bool add) const {
    for (std::int64_t c = 0; c < classes_; ++c) to[c] = add ? to[c] + from[c] : from[c];
  }
  void close() {
    A* const run = rows_ + 38 * classes_;
    int l = 0;
    for (std::uint64_t m = runs_; m & 1; m >>= 1, ++l)
      for (std::int64_t c = 0; c < classes_; ++c) run[c] = rows_[l * classes_ + c] + run[c];
    merge(rows_ + l * classes_, run, false);
    ++runs_;
    in_run_ = 0;
  }

  A* rows_;
  std::int64_t classes_;
  std::uint64_t runs_ = 0;
  std::int64_t in_run_ = 0;
};

template <class A>
void renormalise(A* p, std::int64_t classes) {
  A const sum = host_lane{}.fold(plus<A>{}, classes, row_entry<A>{p});
  for (std::int64_t c = 0; c < classes; ++c) p[c] = p[c] / sum;
}

template <class T, class A>
FANFOLD_NOINLINE void combine_row(mean_probability const&, member_table<T, A> const& m, std::int64_t n, std::int64_t classes, A* scratch, A* out) {
  row_sums<A> sums(scratch, classes);
  for (std::int64_t k = 0; k < m.used.size(); ++k) {
    A* const p = sums.next();
    softmax_row(m.logits[m.used[k]].row(n).data(), classes, p);
    for (std::int64_t c = 0; c < classes; ++c) p[c] = m.weight[k] * p[c];
    sums.push();
  }
  A const* const sum = sums.finish();
  for (std::int64_t c = 0; c < classes; ++c) out[c] = sum[c];
}

template <logit_sum R, class T, class A>
FANFOLD_NOINLINE void combine_row(R const&, member_table<T, A> const& m, std::int64_t n, std::int64_t classes, A* scratch, A* out) {
  row_sums<A> sums(scratch, classes);
  for (std::int64_t k = 0; k < m.used.size(); ++k) {
    T const* const z = m.logits[m.used[k]].row(n).data();
    A* const u = sums.next();
    for (std::int64_t c = 0; c < classes; ++c) {
      if constexpr (std::same_as<R, product_of_experts>)
        u[c] = to_arithmetic(z[c]);
      else
        u[c] = m.weight[k] * to_arithmetic(z[c]);
    }
    sums.push();
  }
  softmax_row(sums.finish(), classes, out);
}

template <class T, class A>
FANFOLD_NOINLINE void combine_row(majority_vote const& rule, member_table<T, A> const& m, std::int64_t n, std::int64_t classes, A* scratch, A* out) {
  row_sums<A> sums(scratch, classes);
  for (std::int64_t k = 0; k < m.used.size(); ++k) {
    A* const votes = sums.next();
    for (std::int64_t c = 0; c < classes; ++c) votes[c] = 0;
    votes[arg_max_row(m.logits[m.used[k]].row(n).data(), classes)] = m.weight[k];
    sums.push();
  }
  A const* const votes = sums.finish();
  std::int64_t const winner = arg_max_row(votes, classes);
  for (std::int64_t c = 0; c < classes; ++c) out[c] = rule.shares ? votes[c] : A(c == winner);
}

template <class T, class A>
FANFOLD_NOINLINE void combine_row(max_probability const&, member_table<T, A> const& m, std::int64_t n, std::int64_t classes, A* scratch, A* out) {
  for (std::int64_t k = 0; k < m.used.size(); ++k) {
    softmax_row(m.logits[m.used[k]].row(n).data(), classes, scratch);
    for (std::int64_t c = 0; c < classes; ++c) out[c] = k == 0 || scratch[c] > out[c] ? scratch[c] : out[c];
  }
  renormalise(out, classes);
}

// Scratch of this rule: all members' rows, class by class.
template <class T, class A>
FANFOLD_NOINLINE void combine_row(median_probability const&, member_table<T, A> const& m, std::int64_t n, std::int64_t classes, A* scratch, A* out) {
  std::int64_t const members = m.used.size();
  A* const column = scratch + 40 * classes;
  bool any = false;
  for (std::int64_t k = 0; k < members; ++k) {
    softmax_row(m.logits[m.used[k]].row(n).data(), classes, scratch);
    for (std::int64_t c = 0; c < classes; ++c) {
      A* const sorted = column + c * members;
      std::int64_t at = k;
      for (; at > 0 && sorted[at - 1] > scratch[c]; --at) sorted[at] = sorted[at - 1];
      sorted[at] = scratch[c];
    }
  }
  for (std::int64_t c = 0; c < classes; ++c) {
    A const* const sorted = column + c * members;
    out[c] = members % 2 == 1 ? sorted[members / 2] : (sorted[members / 2 - 1] + sorted[members / 2]) / 2;
    any = any || out[c] > 0;
  }
  if (any)
    renormalise(out, classes);
  else
    combine_row(mean_probability{}, m, n, classes, scratch, out);
}

/// Members' rows that no probability can be given to.
enum class row_fault : std::uint8_t { none, nan, two_certain, all_impossible, contradiction };

template <bool Sum, class T, class A>
FANFOLD_NOINLINE row_fault fault_of(member_table<T, A> const& m, std::int64_t n, std::int64_t classes) {
  std::int64_t certain_anywhere = 0, possible_everywhere = 0;
  for (std::int64_t c = 0; Sum && c < classes; ++c) {
    bool up = false, down = false;
    for (std::int32_t k : m.used) {
      A const z = to_arithmetic(m.logits[k](n, c));
      up = up || z == math::infinity<A>();
      down = down || z == -math::infinity<A>();
    }
    if (up && down) return row_fault::contradiction;
    certain_anywhere += up;
    possible_everywhere += !down;
  }
  if (Sum && certain_anywhere > 1) return row_fault::two_certain;
  if (Sum && possible_everywhere == 0) return row_fault::all_impossible;
  for (std::int32_t k : m.used) {
    T const* const z = m.logits[k].row(n).data();
    std::int64_t certain = 0, possible = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
      A const x = to_arithmetic(z[c]);
      if (!(x == x)) return row_fault::nan;
      certain += x == math::infinity<A>();
      possible += x != -math::infinity<A>();
    }
    if (certain > 1) return row_fault::two_certain;
    if (possible == 0) return row_fault::all_impossible;
  }
  return row_fault::none;
}

inline void check_fault(row_fault fault, std::int64_t row) {
  char const* const limit = fault == row_fault::nan             ? "free of NaN"
                            : fault == row_fault::two_certain   ? "without two logits of +inf"
                            : fault == row_fault::all_impossible ? "with a logit above -inf"
                                                                : "without +inf and -inf of two members in one class";
  check_argument(fault == row_fault::none, "ensemble::output", "sample", row, limit);
}

}  // namespace detail

/// Rules that ensemble::output takes.
template <class R>
concept output_rule = detail::one_of<R, mean_probability, mean_logit, product_of_experts, majority_vote, max_probability, median_probability>;

/// The loop behind output.
template <class Rule>
struct output_loop {
  Rule rule;
};

template <host_executor E, class Rule, class T, class A, class U>
void run_loop(E const& ex, output_loop<Rule> const& loop, detail::member_table<T, A> const& members, matrix_view<U> out, workspace& ws) {
  constexpr std::int64_t rows_a_task = 16;
  std::int64_t const rows = out.rows(), classes = out.cols(), tasks = (rows + rows_a_task - 1) / rows_a_task;
  workspace::frame frame(ws);
  auto const fault = frame.take<detail::row_fault>(rows);
  for_each_task(ex, tasks, 0, ws, [&](std::int64_t task, void*) {
    for (std::int64_t n = task * rows_a_task; n < rows && n < (task + 1) * rows_a_task; ++n)
      fault[n] = detail::fault_of<detail::logit_sum<Rule>>(members, n, classes);
  });
  for (std::int64_t n = 0; n < rows; ++n) detail::check_fault(fault[n], n);
  std::int64_t const sorted = std::same_as<Rule, median_probability> ? members.used.size() : 0;
  for_each_task(ex, tasks, static_cast<std::size_t>((41 + sorted) * classes) * sizeof(A), ws, [&](std::int64_t task, void* mine) {
    A* const result = static_cast<A*>(mine);
    for (std::int64_t n = task * rows_a_task; n < rows && n < (task + 1) * rows_a_task; ++n) {
      detail::combine_row(loop.rule, members, n, classes, result + classes, result);
      for (std::int64_t c = 0; c < classes; ++c) out(n, c) = from_arithmetic<U>(result[c]);
    }
  });
}

/// Combines the members' class scores into one distribution a sample: `members` is a list of matrices of logits [samples x classes], `weights` one number
/// >= 0 a member (none: all alike), which are divided by their sum; members of weight 0 are not read. `out` [samples x classes] gets probabilities.
///
/// A logit of -inf is probability 0, one of +inf is certain.
/// \throws argument_error, before any output, for no members or classes, shapes that differ, weights that are negative, not finite or sum to 0, and samples
/// that have no distribution: NaN, two +inf, only -inf, or (logit sums) +inf and -inf of two members at one class.
/// \par Determinism Members join by the ordered tree in ascending index, classes by the canonical tree of a row: the same bits on every executor.
template <executor E, output_rule Rule, viewable Members, viewable Weights, matrix_viewable Out, fanfold::detail::call_option... Options>
void output(E const& ex, Rule const& rule, Members const& members, Weights const& weights, Out&& out, Options&&... options) {
  auto const list = as_const(as_view(members));
  using T = typename std::remove_cvref_t<decltype(*list.data())>::value_type;
  using A = arithmetic_t<T>;
  auto const w = as_const(as_view(weights));
  auto const to = as_matrix_view(out);
  char const* const f = "ensemble::output";
  check_argument(list.size() >= 1, f, "number of members", list.size(), "1 or more");
  check_argument(w.empty() || w.size() == list.size(), f, "number of weights", w.size(), "the number of members, or 0");
  check_argument(to.cols() >= 1, f, "number of classes", to.cols(), "1 or more");
  double sum = 0;
  for (auto x : w) {
    check_argument(x >= 0 && std::isfinite(x), f, "a weight", x, "finite and 0 or more");
    sum += static_cast<double>(x);
  }
  check_argument(w.empty() || (sum > 0 && std::isfinite(sum)), f, "sum of the weights", sum, "finite and above 0");
  for (auto const& m : list) {
    check_argument(m.rows() == to.rows(), f, "number of samples of a member", m.rows(), "that of the output");
    check_argument(m.cols() == to.cols(), f, "number of classes of a member", m.cols(), "that of the output");
  }
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const logits = frame.template take<matrix_view<T const>>(list.size());
  auto const used = frame.template take<std::int32_t>(list.size());
  auto const weight = frame.template take<A>(list.size());
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < list.size(); ++k) {
    logits[k] = list[k];
    if (!detail::unweighted<Rule> && !w.empty() && w[k] == 0) continue;
    used[count] = static_cast<std::int32_t>(k);
    weight[count++] = static_cast<A>(w.empty() ? 1.0 / static_cast<double>(list.size()) : static_cast<double>(w[k]) / sum);
  }
  run_loop(ex, output_loop<Rule>{rule}, detail::member_table<T, A>{logits, used.subview(0, count), weight.subview(0, count)}, to, ws.get());
}
template <output_rule Rule, viewable Members, viewable Weights, matrix_viewable Out, fanfold::detail::call_option... Options>
void output(Rule const& rule, Members const& members, Weights const& weights, Out&& out, Options&&... options) {
  output(serial, rule, members, weights, out, options...);
}

/// The `count` members of a stack [count * samples x classes], one below the other, as a list for output.
template <matrix_viewable X>
auto stacked_members(X const& stack, std::int64_t count) {
  auto const all = as_const(as_matrix_view(stack));
  check_argument(count >= 1 && all.rows() % count == 0, "ensemble::stacked_members", "count", count, "1 or more, and a divisor of the rows");
  std::vector<std::remove_cv_t<decltype(all)>> list;
  for (std::int64_t k = 0; k < count; ++k) list.push_back(all.sub_rows(k * (all.rows() / count), all.rows() / count));
  return list;
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
