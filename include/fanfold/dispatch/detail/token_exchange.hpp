#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/communicator.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/exchange.hpp"
#include "fanfold/dispatch/exchange_form.hpp"
#include "fanfold/dispatch/experts.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch::detail {

/// Matrices of one kind, one a local rank, of which rows travel.
template <class T>
struct rank_matrices {
  view<matrix_view<T>> of{};

  rank_matrices(workspace::frame& frame, std::int64_t local) : of(frame.take<matrix_view<T>>(local)) {}
  matrix_view<T>& take(workspace::frame& frame, std::int64_t i, std::int64_t rows, std::int64_t cols) {
    return of[i] = matrix_view<T>(frame.take<T>(rows * cols).data(), rows, cols);
  }
};

/// Counts of rows to and from every rank, for each local rank.
struct row_counts {
  matrix_view<std::int64_t> send{}, receive{};

  row_counts(workspace::frame& frame, std::int64_t local, std::int64_t ranks)
      : send(frame.take<std::int64_t>(local * ranks).data(), local, ranks), receive(frame.take<std::int64_t>(local * ranks).data(), local, ranks) {}
  std::int64_t received(std::int64_t i) const {
    std::int64_t sum = 0;
    for (std::int64_t q = 0; q < receive.cols(); ++q) sum += receive(i, q);
    return sum;
  }
};

/// Rows of `from` to the ranks, into `to`; `back`: the way that they came.
template <class C, class T>
void exchange_rows(C const& comm, rank_matrices<T> const& from, row_counts const& rows, rank_matrices<T> const& to, bool back, workspace& ws) {
  std::int64_t const local = comm.local_ranks(), ranks = comm.size();
  workspace::frame frame(ws);
  auto const send = frame.take<view<T const>>(local);
  auto const receive = frame.take<view<T>>(local);
  row_counts const elements(frame, local, ranks);
  for (std::int64_t i = 0; i < local; ++i) {
    send[i] = view<T const>(from.of[i].data(), from.of[i].rows() * from.of[i].cols());
    receive[i] = view<T>(to.of[i].data(), to.of[i].rows() * to.of[i].cols());
    for (std::int64_t q = 0; q < ranks; ++q) {
      elements.send(i, q) = (back ? rows.receive : rows.send)(i, q) * from.of[i].cols();
      elements.receive(i, q) = (back ? rows.send : rows.receive)(i, q) * to.of[i].cols();
    }
  }
  comm.all_to_all_v(view<view<T const> const>(send.data(), local), as_const(elements.send), view<view<T> const>(receive.data(), local),
                    as_const(elements.receive));
}

/// Every rank learns how many rows come from where.
template <class C>
void exchange_counts(C const& comm, row_counts const& rows, workspace& ws) {
  std::int64_t const local = comm.local_ranks(), ranks = comm.size();
  workspace::frame frame(ws);
  auto const send = frame.take<view<std::int64_t const>>(local);
  auto const receive = frame.take<view<std::int64_t>>(local);
  auto const one = frame.take<std::int64_t>(local * ranks);
  for (std::int64_t i = 0; i < local * ranks; ++i) one[i] = 1;
  for (std::int64_t i = 0; i < local; ++i) {
    send[i] = view<std::int64_t const>(&rows.send(i, 0), ranks);
    receive[i] = view<std::int64_t>(&rows.receive(i, 0), ranks);
  }
  matrix_view<std::int64_t const> const ones(one.data(), local, ranks);
  comm.all_to_all_v(view<view<std::int64_t const> const>(send.data(), local), ones, view<view<std::int64_t> const>(receive.data(), local), ones);
}

/// Where rows go, and what their slots are called there: to the owners, with numbers local to them.
struct to_owners {
  expert_owners owners{};
  view<std::int32_t const> number{};  // how many experts of the same owner come before each
  bool everywhere = false;            // rows travel to ranks without experts of theirs, too

  std::int64_t rank_of(std::int64_t, std::int64_t e) const { return owners.of(e); }
  std::int32_t id_of(std::int64_t e) const { return number[e]; }
};
/// To the owner's node, the rank there of the sender's own number in its node; ids stay.
struct to_nodes {
  expert_owners owners{};
  std::int64_t ranks_a_node = 1;
  static constexpr bool everywhere = false;

  std::int64_t rank_of(std::int64_t sender, std::int64_t e) const { return owners.of(e) / ranks_a_node * ranks_a_node + sender % ranks_a_node; }
  std::int32_t id_of(std::int64_t e) const { return static_cast<std::int32_t>(e); }
};

/// ids(t, q) = q where token t travels to rank q, else -1: a token's ranks are its experts one level up. `only_hit`: not to ranks without
/// experts of it.
template <class Batch, class Level>
matrix_view<std::int32_t const> ranks_of_tokens(workspace::frame& frame, Batch const& batch, Level const& level, std::int64_t sender, std::int64_t ranks, bool only_hit) {
  std::int64_t const tokens = batch.x.rows();
  matrix_view<std::int32_t> const ids(frame.take<std::int32_t>(tokens * ranks).data(), tokens, ranks);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t q = 0; q < ranks; ++q) ids(t, q) = only_hit ? -1 : static_cast<std::int32_t>(q);
    for (std::int64_t s = 0; s < batch.routes.slots(); ++s) {
      if (batch.routes.id(t, s) < 0) continue;
      std::int64_t const q = level.rank_of(sender, batch.routes.id(t, s));
      ids(t, q) = static_cast<std::int32_t>(q);
    }
  }
  return as_const(ids);
}

/// The slots of a travelling row: ids as the level calls them where it goes, -1 for the others.
template <class Batch, class Level, class A>
void fill_slots(plan_view const& plan, Batch const& batch, Level const& level, std::int64_t sender, matrix_view<std::int32_t> id, matrix_view<A> weight) {
  for (std::int64_t r = 0; r < plan.rows(); ++r) {
    std::int64_t const t = plan.src_of[r] / plan.slots, rank = plan.src_of[r] % plan.slots;
    for (std::int64_t s = 0; s < id.cols(); ++s) {
      std::int32_t const e = batch.routes.id(t, s);
      bool const here = e >= 0 && level.rank_of(sender, e) == rank;
      id(r, s) = here ? level.id_of(e) : -1;
      weight(r, s) = !here ? A(0) : batch.routes.weight.data() == nullptr ? A(1) : batch.routes.weight(t, s);
    }
  }
}

/// number[e]: how many experts of the same owner come before e.
inline view<std::int32_t const> local_numbers(workspace::frame& frame, expert_owners const& owners, std::int64_t experts, std::int64_t ranks) {
  auto const number = frame.take<std::int32_t>(experts), next = frame.take<std::int32_t>(ranks);
  for (std::int64_t q = 0; q < ranks; ++q) next[q] = 0;
  for (std::int64_t e = 0; e < experts; ++e) number[e] = next[owners.of(e)]++;
  return number;
}

template <class Batch>
std::int64_t slots_of(view<Batch const> batches) {
  std::int64_t slots = 0;
  for (auto const& b : batches) slots = b.routes.slots() > slots ? b.routes.slots() : slots;
  return slots;
}

/// Tokens travel as the level says, `run(arrived, ws)` fills in the results of the rows that came to each local rank (batches whose y is in the
/// arithmetic type), those travel back and are folded by ascending rank.
template <class E, class C, class Level, class T, class Y, class Run>
void exchange_tokens(E const& ex, C const& comm, Level const& level, view<rank_batch<T, Y> const> batches, workspace& ws, Run const& run) {
  using A = arithmetic_t<T>;
  std::int64_t const local = comm.local_ranks(), ranks = comm.size(), slots = slots_of(batches);
  workspace::frame frame(ws);
  auto const plan = frame.take<plan_view>(local);
  row_counts const rows(frame, local, ranks);
  rank_matrices<T> sent_x(frame, local), x(frame, local);
  rank_matrices<std::int32_t> sent_id(frame, local), id(frame, local);
  rank_matrices<A> sent_weight(frame, local), weight(frame, local), partial(frame, local), returned(frame, local);
  for (std::int64_t i = 0; i < local; ++i) {
    auto const& batch = batches[i];
    route::assignment<A const, std::int32_t const> const routes{ranks_of_tokens(frame, batch, level, comm.rank(i), ranks, !level.everywhere), {}};
    plan[i] = take_plan(frame, packed{}, batch.x.rows(), ranks, ranks);
    make_plan(ex, packed{}, routes, plan[i], ws);
    for (std::int64_t q = 0; q < ranks; ++q) rows.send(i, q) = plan[i].kept[q];
    gather(ex, plan[i], batch.x, sent_x.take(frame, i, plan[i].rows(), batch.x.cols()), ws);
    fill_slots(plan[i], batch, level, comm.rank(i), sent_id.take(frame, i, plan[i].rows(), slots), sent_weight.take(frame, i, plan[i].rows(), slots));
  }
  exchange_counts(comm, rows, ws);
  auto const arrived = frame.take<rank_batch<T, A>>(local);
  for (std::int64_t i = 0; i < local; ++i) {
    std::int64_t const n = rows.received(i);
    x.take(frame, i, n, batches[i].x.cols()), id.take(frame, i, n, slots), weight.take(frame, i, n, slots);
    partial.take(frame, i, n, batches[i].y.cols()), returned.take(frame, i, plan[i].rows(), batches[i].y.cols());
    arrived[i] = {as_const(x.of[i]), {as_const(id.of[i]), as_const(weight.of[i])}, {}, partial.of[i]};
  }
  exchange_rows(comm, sent_x, rows, x, false, ws);
  exchange_rows(comm, sent_id, rows, id, false, ws);
  exchange_rows(comm, sent_weight, rows, weight, false, ws);
  run(view<rank_batch<T, A> const>(arrived.data(), local), ws);
  exchange_rows(comm, partial, rows, returned, true, ws);
  for (std::int64_t i = 0; i < local; ++i) {
    if (level.everywhere) {  // results of ranks without experts of a token are no part of its fold
      workspace::frame inner(ws);
      auto const hit = ranks_of_tokens(inner, batches[i], level, comm.rank(i), ranks, true);
      for (std::int64_t a = 0; a < plan[i].assignments(); ++a)
        if (hit(a / ranks, a % ranks) < 0) plan[i].row_of[a] = -1;
    }
    fold_combine(ex, combine_policy<plus<A>, ignore_weight>{}, plan[i], returned.of[i], matrix_view<A const>(), batches[i].init, batches[i].y, ws);
  }
}

/// Each local rank's experts on the rows that came.
template <class E, class Experts>
struct run_experts {
  E const& ex;
  view<Experts const> experts;

  template <class T, class A>
  void operator()(view<rank_batch<T, A> const> arrived, workspace& ws) const {
    for (std::int64_t i = 0; i < arrived.size(); ++i) {
      auto const& b = arrived[i];
      workspace::frame frame(ws);
      plan_view const plan = take_plan(frame, packed{}, b.x.rows(), b.routes.slots(), experts[i].count());
      make_plan(ex, packed{}, route::assignment<A const, std::int32_t const>{b.routes.id, {}}, plan, ws);
      experts[i].run(ex, weighted_sum{}, plan, b.x, b.routes.weight, matrix_view<A const>(), b.y, ws);
    }
  }
};

template <class E, class C, class Experts, class T, class Y>
void exchange_in_form(E const& ex, C const& comm, row_a_token_and_node const& form, expert_owners const& owners, std::int64_t count, view<Experts const> experts,
                      view<rank_batch<T, Y> const> batches, workspace& ws) {
  workspace::frame frame(ws);
  to_owners const inside{owners, local_numbers(frame, owners, count, comm.size())};
  exchange_tokens(ex, comm, to_nodes{owners, form.ranks_a_node}, batches, ws, [&](auto arrived, workspace& scratch) {
    exchange_tokens(ex, comm, inside, arrived, scratch, run_experts<E, Experts>{ex, experts});
  });
}

/// Ids in order of (owner, expert), and the owners in that order.
template <class Batch>
matrix_view<std::int32_t const> ids_by_owner(workspace::frame& frame, Batch const& batch, view<std::int32_t const> place) {
  std::int64_t const tokens = batch.x.rows(), slots = batch.routes.slots();
  matrix_view<std::int32_t> const ids(frame.take<std::int32_t>(tokens * slots).data(), tokens, slots);
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t s = 0; s < slots; ++s) ids(t, s) = batch.routes.id(t, s) < 0 ? -1 : place[batch.routes.id(t, s)];
  return as_const(ids);
}

/// How rows, one an assignment, travel to the ranks of their experts: experts are numbered by owner, so each rank's plan has them together.
struct assignment_trips {
  view<std::int32_t const> owner{};  // of the experts as numbered
  view<plan_view> plan{};            // of each local rank's batch
  view<exchange_plan> trip{};
  row_counts rows;
};

/// `packed` sends as many rows as there are, after telling how many; `capacity` always the same number, and tells nothing.
template <class E, class C, class Layout, class Batch>
assignment_trips plan_trips(E const& ex, C const& comm, Layout const& layout, expert_owners const& owners, std::int64_t count, view<Batch const> batches,
                            workspace::frame& frame, workspace& ws) {
  using A = typename Batch::arithmetic;
  std::int64_t const local = comm.local_ranks(), ranks = comm.size();
  auto const place = frame.take<std::int32_t>(count), owner = frame.take<std::int32_t>(count);
  std::int32_t next = 0;
  for (std::int64_t q = 0; q < ranks; ++q)
    for (std::int64_t e = 0; e < count; ++e)
      if (owners.of(e) == q) owner[next] = static_cast<std::int32_t>(q), place[e] = next++;

  assignment_trips const t{owner, frame.take<plan_view>(local), frame.take<exchange_plan>(local), row_counts(frame, local, ranks)};
  auto const mine = frame.take<view<std::int32_t const>>(local);
  auto const all = frame.take<view<std::int32_t>>(local);
  for (std::int64_t i = 0; i < local; ++i) {
    t.plan[i] = take_plan(frame, layout, batches[i].x.rows(), batches[i].routes.slots(), count);
    make_plan(ex, layout, route::assignment<A const, std::int32_t const>{ids_by_owner(frame, batches[i], place), {}}, t.plan[i], ws);
    mine[i] = t.plan[i].kept;
    all[i] = frame.take<std::int32_t>(ranks * count);
  }
  if constexpr (std::is_same_v<Layout, capacity>) {
    for (auto const& counts : all)
      for (std::int32_t& n : counts) n = static_cast<std::int32_t>(layout.slots);
  } else {
    comm.all_gather(view<view<std::int32_t const> const>(mine.data(), local), view<view<std::int32_t> const>(all.data(), local));
  }
  for (std::int64_t i = 0; i < local; ++i) {
    t.trip[i] = take_exchange_plan(frame, ranks, owners.count(comm.rank(i), count));
    make_exchange_plan({all[i].data(), ranks, count}, {1, owner}, comm.rank(i), t.trip[i]);
    for (std::int64_t q = 0; q < ranks; ++q) t.rows.send(i, q) = t.trip[i].send[q], t.rows.receive(i, q) = t.trip[i].receive[q];
  }
  return t;
}

/// The plan of the rows that came, one slot each.
template <class A, class E>
plan_view plan_arrived(E const& ex, exchange_plan const& trip, workspace::frame& frame, workspace& ws) {
  std::int64_t const n = trip.received_rows();
  auto const expert = frame.take<std::int32_t>(n);
  trip.row_experts(expert);
  plan_view const here = take_plan(frame, packed{}, n, 1, trip.local_experts());
  make_plan(ex, packed{}, route::assignment<A const, std::int32_t const>{{expert.data(), n, 1}, {}}, here, ws);
  return here;
}

template <class E, class C, class Layout, class Experts, class T, class Y>
void exchange_assignments(E const& ex, C const& comm, Layout const& layout, expert_owners const& owners, std::int64_t count, view<Experts const> experts,
                          view<rank_batch<T, Y> const> batches, workspace& ws) {
  using A = arithmetic_t<T>;
  std::int64_t const local = comm.local_ranks();
  workspace::frame frame(ws);
  auto const [owner, plan, trip, rows] = plan_trips(ex, comm, layout, owners, count, batches, frame, ws);
  rank_matrices<T> sent(frame, local), x(frame, local), z(frame, local), returned(frame, local);
  for (std::int64_t i = 0; i < local; ++i) {
    gather(ex, plan[i], batches[i].x, sent.take(frame, i, plan[i].rows(), batches[i].x.cols()), ws);
    x.take(frame, i, trip[i].received_rows(), batches[i].x.cols());
    z.take(frame, i, trip[i].received_rows(), batches[i].y.cols());
    returned.take(frame, i, plan[i].rows(), batches[i].y.cols());
  }
  exchange_rows(comm, sent, rows, x, false, ws);
  for (std::int64_t i = 0; i < local; ++i) {
    workspace::frame inner(ws);
    plan_view const here = plan_arrived<A>(ex, trip[i], inner, ws);
    experts[i].run(ex, weighted_sum{}, here, as_const(x.of[i]), matrix_view<A const>(), matrix_view<A const>(), z.of[i], ws);
  }
  exchange_rows(comm, z, rows, returned, true, ws);
  for (std::int64_t i = 0; i < local; ++i)
    fold_combine(ex, weighted_sum<by_rank_then_slot>{{1, owner}}, plan[i], returned.of[i], batches[i].routes.weight, batches[i].init, batches[i].y, ws);
}

template <class E, class C, class Experts, class T, class Y>
void exchange_in_form(E const& ex, C const& comm, exchange_form form, expert_owners const& owners, std::int64_t count, view<Experts const> experts,
                      view<rank_batch<T, Y> const> batches, workspace& ws) {
  if (form == exchange_form::row_an_assignment) return exchange_assignments(ex, comm, packed{}, owners, count, experts, batches, ws);
  workspace::frame frame(ws);
  to_owners const level{owners, local_numbers(frame, owners, count, comm.size()), form == exchange_form::every_token};
  exchange_tokens(ex, comm, level, batches, ws, run_experts<E, Experts>{ex, experts});
}

template <class E, class C, class Experts, class T, class Y>
void exchange_in_form(E const& ex, C const& comm, row_a_place const& form, expert_owners const& owners, std::int64_t count, view<Experts const> experts,
                      view<rank_batch<T, Y> const> batches, workspace& ws) {
  exchange_assignments(ex, comm, capacity{form.places_an_expert}, owners, count, experts, batches, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
