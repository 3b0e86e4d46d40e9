#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Which rank holds which experts: `owner[e]`, or else e / experts_a_rank. The experts of a rank are numbered in ascending e.
struct expert_owners {
  std::int64_t experts_a_rank = 1;
  view<std::int32_t const> owner{};

  std::int64_t of(std::int64_t e) const { return owner.data() != nullptr ? owner[e] : e / experts_a_rank; }
  std::int64_t count(std::int64_t rank, std::int64_t experts) const {
    std::int64_t n = 0;
    for (std::int64_t e = 0; e < experts; ++e) n += of(e) == rank;
    return n;
  }
  /// \throws argument_error where an expert belongs to no rank.
  void check(std::int64_t experts, std::int64_t ranks) const {
    check_argument(owner.data() == nullptr || owner.size() == experts, "expert_owners", "size of owner", owner.size(), "the number of experts");
    check_argument(owner.data() != nullptr || experts_a_rank >= 1, "expert_owners", "experts_a_rank", experts_a_rank, "1 or more");
    for (std::int64_t e = 0; e < experts; ++e)
      check_argument(of(e) >= 0 && of(e) < ranks, "expert_owners", "owner of an expert", of(e), "a rank");
  }
};

/// What a rank sends and receives when rows travel to the ranks of their experts, sorted by (owner, expert), and how the received rows, which
/// come by (source, local expert), are put in order of (local expert, source): a chunk sort in closed form, no keys.
/// (Megatron-LM's token dispatcher; MoE Parallel Folding, Liu et al., 2025.)
struct exchange_plan {
  view<std::int64_t> send{};          ///< [P] rows to each rank
  view<std::int64_t> receive{};       ///< [P] rows from each rank
  view<std::int64_t> group{};         ///< [L + 1] first row of each local expert once sorted
  view<std::int64_t> received_chunk{};  ///< [P * L] rows of chunk (source, local expert)
  view<std::int64_t> received_first{};  ///< [P * L] where that chunk begins among the received rows
  view<std::int64_t> sorted_first{};    ///< [P * L] where it begins among the sorted rows

  std::int64_t ranks() const { return send.size(); }
  std::int64_t local_experts() const { return group.size() - 1; }
  std::int64_t received_rows() const { return group[group.size() - 1]; }
  /// order[i] = the received row that stands at place i of the sorted ones.
  void row_order(view<std::int32_t> order) const {
    check_argument(order.size() == received_rows(), "exchange_plan", "size of order", order.size(), "the received rows");
    for (std::int64_t chunk = 0; chunk < received_chunk.size(); ++chunk)
      for (std::int64_t i = 0; i < received_chunk[chunk]; ++i) order[sorted_first[chunk] + i] = static_cast<std::int32_t>(received_first[chunk] + i);
  }
  /// expert[r] = local expert of received row r.
  void row_experts(view<std::int32_t> expert) const {
    check_argument(expert.size() == received_rows(), "exchange_plan", "size of expert", expert.size(), "the received rows");
    for (std::int64_t chunk = 0; chunk < received_chunk.size(); ++chunk)
      for (std::int64_t i = 0; i < received_chunk[chunk]; ++i) expert[received_first[chunk] + i] = static_cast<std::int32_t>(chunk % local_experts());
  }
};

inline exchange_plan take_exchange_plan(workspace::frame& frame, std::int64_t ranks, std::int64_t local_experts) {
  auto const take = [&](std::int64_t n) { return frame.take<std::int64_t>(n); };
  return {take(ranks), take(ranks), take(local_experts + 1), take(ranks * local_experts), take(ranks * local_experts), take(ranks * local_experts)};
}

/// Fills `out` for rank `rank` from `counts` (P x E): the kept assignments of every rank for every expert, which an all-gather has brought.
/// `out.local_experts()` must be what `owners` gives that rank.
inline void make_exchange_plan(matrix_view<std::int32_t const> counts, expert_owners const& owners, std::int64_t rank, exchange_plan const& out) {
  std::int64_t const ranks = counts.rows(), experts = counts.cols(), local = out.local_experts();
  owners.check(experts, ranks);
  check_argument(out.ranks() == ranks, "make_exchange_plan", "ranks of the plan", out.ranks(), "the rows of counts");
  check_argument(local == owners.count(rank, experts), "make_exchange_plan", "local experts of the plan", local, "those that the rank owns");
  for (std::int64_t q = 0; q < ranks; ++q) out.send[q] = 0;
  for (std::int64_t e = 0; e < experts; ++e) out.send[owners.of(e)] += counts(rank, e);
  std::int64_t row = 0;
  for (std::int64_t p = 0; p < ranks; ++p) {
    std::int64_t const before = row;
    for (std::int64_t e = 0, l = 0; e < experts; ++e) {
      if (owners.of(e) != rank) continue;
      std::int64_t const chunk = p * local + l++;
      out.received_chunk[chunk] = counts(p, e);
      out.received_first[chunk] = row;
      row += counts(p, e);
    }
    out.receive[p] = row - before;
  }
  row = 0;
  for (std::int64_t l = 0; l < local; ++l) {
    out.group[l] = row;
    for (std::int64_t p = 0; p < ranks; ++p) {
      out.sorted_first[p * local + l] = row;
      row += out.received_chunk[p * local + l];
    }
  }
  out.group[local] = row;
}

/// Ranks among `ranks` that a token with `slots` distinct experts of `experts`, all sets alike, reaches on average: what one row a
/// (token, rank) costs, in rows, the own rank included.
inline double expected_ranks(std::int64_t ranks, std::int64_t experts, std::int64_t slots) {
  check_argument(ranks >= 1 && experts >= ranks && experts % ranks == 0 && slots >= 0 && slots <= experts, "expected_ranks", "sizes", "another",
                 "ranks that divide the experts, at most as many slots as experts");
  double missed = 1;  // C(E - E/P, K) / C(E, K)
  for (std::int64_t s = 0; s < slots; ++s) {
    double const others = static_cast<double>(experts - experts / ranks - s);
    missed *= others <= 0 ? 0 : others / static_cast<double>(experts - s);
  }
  return static_cast<double>(ranks) * (1 - missed);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
