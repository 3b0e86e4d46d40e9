#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/segmented_fold.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Finds where equal neighbouring keys begin: the segments of `fold_by_key`.
struct key_runs_loop {};

namespace detail {

inline constexpr std::int64_t key_chunk = 16384;

template <class Key>
FANFOLD_NOINLINE std::int64_t count_key_heads(Key const* keys, std::int64_t begin, std::int64_t end) {
  std::int64_t heads = 0;
  for (std::int64_t i = begin; i < end; ++i) heads += i == 0 || !(keys[i] == keys[i - 1]);
  return heads;
}

template <class Key>
FANFOLD_NOINLINE void write_key_heads(Key const* keys, std::int64_t begin, std::int64_t end, std::int64_t run, std::int64_t* offsets, Key* out) {
  for (std::int64_t i = begin; i < end; ++i) {
    if (i != 0 && keys[i] == keys[i - 1]) continue;
    offsets[run] = i;
    out[run] = keys[i];
    ++run;
  }
}

}  // namespace detail

/// Host form: offsets (runs + 1), one key a run, and the number of runs, which is returned too.
template <host_executor E, class Key>
std::int64_t run_loop(E const& ex, key_runs_loop, view<Key const> keys, view<std::int64_t> offsets, view<Key> out_keys, workspace& ws) {
  std::int64_t const n = keys.size(), chunks = detail::divide_up(n, detail::key_chunk);
  auto const end_of = [&](std::int64_t c) { return (c + 1) * detail::key_chunk < n ? (c + 1) * detail::key_chunk : n; };
  workspace::frame frame(ws);
  auto const first_run = frame.take<std::int64_t>(chunks + 1);
  for_each_task(ex, chunks, [&](std::int64_t c) { first_run[c + 1] = detail::count_key_heads(keys.data(), c * detail::key_chunk, end_of(c)); });
  first_run[0] = 0;
  for (std::int64_t c = 0; c < chunks; ++c) first_run[c + 1] += first_run[c];
  std::int64_t const runs = first_run[chunks];
  check_argument(runs <= out_keys.size(), "fold_by_key", "out_keys.size()", out_keys.size(), "at least the number of runs of equal keys");
  for_each_task(ex, chunks, [&](std::int64_t c) {
    detail::write_key_heads(keys.data(), c * detail::key_chunk, end_of(c), first_run[c], offsets.data(), out_keys.data());
  });
  offsets[runs] = n;
  return runs;
}

namespace detail {

template <class Keys, class X, class OutKeys, class Out>
void check_keyed(Keys const& keys, X const& x, OutKeys const& out_keys, Out const& out) {
  check_argument(keys.size() == x.rows(), "fold_by_key", "keys.size()", keys.size(), "x.rows()");
  check_argument(x.cols() == out.cols(), "fold_by_key", "x.cols()", x.cols(), "out.cols()");
  check_argument(out_keys.size() == 0 || out_keys.data() != nullptr, "fold_by_key", "out_keys.data()", out_keys.data(), "not null");
}

}  // namespace detail

/// Folds runs of equal neighbouring keys: `out(r, c) = lower(combine over the items of run r of lift(x(i, c)))`, `out_keys[r]` its key.
/// Returns the number of runs. Rows of `out` past it are left alone; `out_keys` and `out` need room for the runs (at most one an item).
///
/// Host executors; for devices, which would have to be waited for, the form below leaves the number in their memory.
/// \throws argument_error for shapes that do not match or too little room; nothing is written then.
/// \par Determinism the ordered tree of each run.
template <host_executor E, class A, viewable Keys, matrix_viewable X, viewable OutKeys, matrix_viewable Out, detail::call_option... Options>
  requires aggregator<A> || row_monoid<A>
std::int64_t fold_by_key(E const& ex, A const& a, Keys const& keys_sorted, X const& x, OutKeys&& out_keys, Out&& out, Options&&... options) {
  auto const keys = as_const(as_view(keys_sorted));
  auto const items = as_const(as_matrix_view(x));
  auto const answers = as_matrix_view(out);
  auto const answer_keys = as_view(out_keys);
  detail::check_keyed(keys, items, answer_keys, answers);
  detail::check_item_count<A>("fold_by_key", items.rows());
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const offsets = frame.take<std::int64_t>(keys.size() + 1);
  std::int64_t const room = answers.rows() < answer_keys.size() ? answers.rows() : answer_keys.size();
  std::int64_t const runs = run_loop(ex, key_runs_loop{}, keys, offsets, answer_keys.subview(0, room), ws.get());
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  segmented_fold(ex, a, items, offsets.subview(0, runs + 1), answers.sub_rows(0, runs), order_tag{}, ws.get());
  return runs;
}

/// The same on a device, without waiting: the number of runs goes to `count[0]`. Too little room is reported by `fetch`.
template <device_executor E, class A, viewable Keys, matrix_viewable X, viewable OutKeys, matrix_viewable Out, viewable Count,
          detail::call_option... Options>
  requires aggregator<A> || row_monoid<A>
void fold_by_key(E const& ex, A const& a, Keys const& keys_sorted, X const& x, OutKeys&& out_keys, Out&& out, Count&& count, Options&&... options) {
  auto const keys = as_const(as_view(keys_sorted));
  auto const items = as_const(as_matrix_view(x));
  auto const answers = as_matrix_view(out);
  auto const answer_keys = as_view(out_keys);
  auto const runs = as_view(count);
  detail::check_keyed(keys, items, answer_keys, answers);
  detail::check_item_count<A>("fold_by_key", items.rows());
  check_argument(runs.size() == 1, "fold_by_key", "count.size()", runs.size(), "1");
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  std::int64_t room = answers.rows() < answer_keys.size() ? answers.rows() : answer_keys.size();
  room = room < keys.size() ? room : keys.size();
  auto const offsets = frame.take<std::int64_t>(room + 1);
  static_assert(requires { run_loop(ex, key_runs_loop{}, keys, offsets, answer_keys, runs, ws.get()); },
                "no backend of fold_by_key for this executor: include <fanfold/kernel/fold_by_key.hpp> for device executors");
  run_loop(ex, key_runs_loop{}, keys, offsets, answer_keys.subview(0, room), runs, ws.get());
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  segmented_fold(ex, a, items, offsets, answers.sub_rows(0, room), order_tag{}, empty_policy::skip, ws.get());
}

/// The same over a stream of items.
template <host_executor E, aggregator A, viewable Keys, viewable X, viewable OutKeys, viewable Out, detail::call_option... Options>
std::int64_t fold_by_key(E const& ex, A const& a, Keys const& keys_sorted, X const& x, OutKeys&& out_keys, Out&& out, Options&&... options) {
  auto const items = as_view(x);
  auto const answers = as_view(out);
  return fold_by_key(ex, a, keys_sorted, matrix_view(items.data(), items.size(), 1), out_keys,
                     matrix_view(answers.data(), answers.size(), 1), options...);
}
template <device_executor E, aggregator A, viewable Keys, viewable X, viewable OutKeys, viewable Out, viewable Count, detail::call_option... Options>
void fold_by_key(E const& ex, A const& a, Keys const& keys_sorted, X const& x, OutKeys&& out_keys, Out&& out, Count&& count, Options&&... options) {
  auto const items = as_view(x);
  auto const answers = as_view(out);
  fold_by_key(ex, a, keys_sorted, matrix_view(items.data(), items.size(), 1), out_keys, matrix_view(answers.data(), answers.size(), 1), count, options...);
}

template <class A, viewable Keys, class X, viewable OutKeys, class Out, detail::call_option... Options>
  requires(aggregator<A> || row_monoid<A>) && (!executor<A>)
std::int64_t fold_by_key(A const& a, Keys const& keys_sorted, X const& x, OutKeys&& out_keys, Out&& out, Options&&... options) {
  return fold_by_key(serial, a, keys_sorted, x, out_keys, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
