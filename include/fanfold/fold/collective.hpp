#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/communicator.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class T>
struct rank_rows {
  T const* data;
  std::int64_t cols;
  plain_row<T> operator()(std::int64_t r) const { return {data + r * cols}; }
};

/// out[c] = fold over rows of rows[r * cols + c], in ascending row.
template <host_executor E, class M, class T>
void fold_ranks(E const& ex, M const& m, T const* rows, std::int64_t count, std::int64_t cols, T* out) {
  constexpr int width = 64;
  auto const r = as_row_monoid(m);
  using R = std::remove_cv_t<decltype(r)>;
  for_each_task(ex, divide_up(cols, width), [&](std::int64_t task) {
    std::int64_t const first = task * width;
    int const n = cols - first < width ? static_cast<int>(cols - first) : width;
    row_state<R, width> s;
    fold_row_range(r, rank_rows<T>{rows, cols}, 0, count, first, n, s);
    store_row(r, s, out + first, n);
  });
}

}  // namespace detail

/// out[i] = fold over all ranks of their send buffers, element by element, for every local rank: an all-gather and the row fold in ascending
/// rank, so every rank holds the same bits and they do not depend on the transport. `send` and `out` hold one view a local rank.
template <host_executor E, communicator C, aggregator M, viewable Send, viewable Out, detail::call_option... Options>
void all_reduce(E const& ex, C const& comm, M const& monoid, Send const& sends, Out const& outs, Options&&... options) {
  auto const out = as_const(as_view(outs));
  using T = typename std::remove_cvref_t<decltype(out[0])>::value_type;
  view<view<T const> const> const send = as_const(as_view(sends));
  std::int64_t const local = comm.local_ranks(), ranks = comm.size();
  check_argument(send.size() == local && out.size() == local, "all_reduce", "number of buffers", send.size(), "the local ranks");
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const gathered = frame.template take<view<T>>(local);
  std::int64_t const n = local == 0 ? 0 : send[0].size();
  for (std::int64_t i = 0; i < local; ++i) {
    check_argument(out[i].size() == n, "all_reduce", "elements of out", out[i].size(), "those of send");
    gathered[i] = view<T>(frame.template take<T>(ranks * n).data(), ranks * n);
  }
  comm.all_gather(send, view<view<T> const>(gathered.data(), local));
  for (std::int64_t i = 0; i < local; ++i) detail::fold_ranks(ex, monoid, gathered[i].data(), ranks, n, out[i].data());
}

/// out[i] = rank(i)'s part of the fold over all ranks of their send buffers, which hold size() equal parts; as all_reduce.
template <host_executor E, communicator C, aggregator M, viewable Send, viewable Out, detail::call_option... Options>
void reduce_scatter(E const& ex, C const& comm, M const& monoid, Send const& sends, Out const& outs, Options&&... options) {
  auto const out = as_const(as_view(outs));
  using T = typename std::remove_cvref_t<decltype(out[0])>::value_type;
  view<view<T const> const> const send = as_const(as_view(sends));
  std::int64_t const local = comm.local_ranks(), ranks = comm.size();
  check_argument(send.size() == local && out.size() == local, "reduce_scatter", "number of buffers", send.size(), "the local ranks");
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const received = frame.template take<view<T>>(local);
  auto const count = frame.template take<std::int64_t>(local * ranks);
  for (std::int64_t i = 0; i < local; ++i) {
    std::int64_t const n = out[i].size();
    check_argument(send[i].size() == ranks * n && n == out[0].size(), "reduce_scatter", "elements of send", send[i].size(), "ranks * those of out");
    received[i] = view<T>(frame.template take<T>(ranks * n).data(), ranks * n);
    for (std::int64_t q = 0; q < ranks; ++q) count[i * ranks + q] = n;
  }
  matrix_view<std::int64_t const> const counts(count.data(), local, ranks);
  comm.all_to_all_v(send, counts, view<view<T> const>(received.data(), local), counts);
  for (std::int64_t i = 0; i < local; ++i) detail::fold_ranks(ex, monoid, received[i].data(), ranks, out[i].size(), out[i].data());
}

}  // namespace fanfold::inline FANFOLD_ABI
