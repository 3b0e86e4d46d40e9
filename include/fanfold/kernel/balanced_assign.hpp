#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/linear_sum_assignment.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/kernel/warp.hpp"
#include "fanfold/route/balanced_assign.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Groups of rows that are assigned apart; a group has `n` workers and `jobs` jobs, m a worker.
struct auction_shape {
  std::int64_t rows, n, step, most_rounds;
  bool exact;

  FANFOLD_HD std::int64_t groups() const { return (rows + step - 1) / step; }
  FANFOLD_HD std::int64_t group_rows(std::int64_t g) const { return (g + 1) * step < rows ? step : rows - g * step; }
  FANFOLD_HD std::int64_t share(std::int64_t g) const { return (group_rows(g) + n - 1) / n; }
  FANFOLD_HD std::int64_t step_jobs() const { return (step + n - 1) / n * n; }
  FANFOLD_HD std::int64_t jobs(std::int64_t g) const { return share(g) * n; }
};

/// What a worker's m best jobs are: those worth more than `last`, and those worth as much before job `cut`. `last` is the worth of the
/// next best job, number `cut`.
struct worker_choice {
  double last;
  std::int64_t cut;

  FANFOLD_HD bool holds(double value, std::int64_t job) const { return value > last || (value == last && job < cut); }
};

/// Memory of a launch, for all groups.
struct auction_memory {
  double* score;          // worker major, n step_jobs a group
  double* cost;           // of a job
  std::int32_t* winner;   // of a job in the round before
  std::int32_t* owner;    // of a job, this round
  worker_choice* choice;  // of a worker
  std::uint32_t* ended;   // of a group: 0 where the exact form is to do it
  fanfold::detail::assignment_memory exact;
};

struct smaller_number {
  FANFOLD_HD double operator()(double a, double b) const { return b < a ? b : a; }
};
struct larger_number {
  FANFOLD_HD double operator()(double a, double b) const { return a < b ? b : a; }
};

/// One group's auction as a block sees it in one round.
struct auction_round {
  double const* score;
  double const* cost;
  std::int32_t const* winner;
  std::int64_t jobs, round;
  double high;

  static constexpr std::int64_t holding_rounds = 100;

  FANFOLD_HD bool holding() const { return round > 0 && round < holding_rounds; }
  /// What job j is worth to worker w: what it costs taken off, but for the jobs that w won.
  FANFOLD_HD double value(std::int64_t w, std::int64_t j) const {
    double const s = score[w * jobs + j];
    if (round == 0) return s;
    if (winner[j] != w) return s - cost[j];
    return round <= holding_rounds ? high : s;
  }
};

/// A block a group: rounds of bids until every job is in exactly one worker's choice, as the host's auction does. In a round the warps find
/// the workers' choices by digits of the ranks, then the threads settle one job each, workers ascending.
struct auction_body {
  static constexpr unsigned max_threads = 576;
  static constexpr int digit_bits = 6, digits = 64;

  /// A block works alone: as large a one as the executor's wish allows.
  static constexpr unsigned threads(unsigned wish) { return wish < 256 ? wish : 512; }

  struct shared {
    checked_array<std::uint32_t, max_threads / 32 * 64> bins;
    checked_array<double, 32> low, high;
    std::uint32_t conflict;
  };

  auction_shape shape;
  auction_memory at;

  template <block B, class L>
  FANFOLD_HD void operator()(B& b, shared& s, matrix_view<L const> scores) const {
    for (std::int64_t g = b.index(); g < shape.groups(); g += b.blocks()) {
      std::int64_t const jobs = shape.jobs(g), at_jobs = g * shape.step_jobs();
      double* const score = at.score + shape.n * at_jobs;
      double const high = load(b, s, scores, g, score);
      bool ended = shape.n == 1;
      for (std::int64_t j = b.thread(); j < jobs && ended; j += b.threads()) at.owner[at_jobs + j] = 0;
      if (!ended && !shape.exact) ended = auction(b, s, score, g, high, range_step(s));
      if (b.thread() == 0) at.ended[g] = ended ? 1 : 0;
      b.sync();
    }
  }

 private:
  // score := the group's, in double, the smallest finite one for those that are not finite, one less for padding. Returns the largest; its
  // distance to the smallest is in shared memory.
  template <block B, class L>
  FANFOLD_HD double load(B& b, shared& s, matrix_view<L const> scores, std::int64_t g, double* score) const {
    std::int64_t const n = shape.n, rows = shape.group_rows(g), jobs = shape.jobs(g), first = g * shape.step;
    double low = math::infinity<double>();
    for (std::int64_t i = b.thread(); i < rows * n; i += b.threads()) {
      auto const x = static_cast<double>(to_arithmetic(scores.data()[(first + i / n) * scores.stride() + i % n]));
      low = math::isfinite(x) && x < low ? x : low;
    }
    low = block_fold(b, s.low, low, smaller_number{});
    low = low == math::infinity<double>() ? 0 : low;
    double least = math::infinity<double>(), most = -math::infinity<double>();
    for (std::int64_t i = b.thread(); i < jobs * n; i += b.threads()) {
      std::int64_t const t = i / n, e = i % n;
      double const x = t < rows ? static_cast<double>(to_arithmetic(scores.data()[(first + t) * scores.stride() + e])) : low - 1;
      double const y = math::isfinite(x) ? x : low;
      score[e * jobs + t] = y;
      least = y < least ? y : least;
      most = most < y ? y : most;
    }
    least = block_fold(b, s.low, least, smaller_number{});
    most = block_fold(b, s.high, most, larger_number{});
    if (b.thread() == 0) s.low[0] = most - least;
    b.sync();
    return most;
  }

  FANFOLD_HD static double range_step(shared const& s) { return s.low[0] / 50 > 1e-4 ? s.low[0] / 50 : 1e-4; }

  template <block B, class Op>
  FANFOLD_HD static double block_fold(B& b, checked_array<double, 32>& parts, double x, Op const& op) {
    x = warp_all_fold(b, x, op);
    b.sync();
    if (lane_of(b) == 0) parts[warp_of(b)] = x;
    b.sync();
    x = parts[0];
    for (unsigned w = 1; w < warps_of(b); ++w) x = op(x, parts[w]);
    b.sync();
    return x;
  }

  template <block B>
  FANFOLD_HD bool auction(B& b, shared& s, double const* score, std::int64_t g, double high, double eps) const {
    std::int64_t const jobs = shape.jobs(g), at_jobs = g * shape.step_jobs();
    double* const cost = at.cost + at_jobs;
    std::int32_t *const winner = at.winner + at_jobs, *const owner = at.owner + at_jobs;
    worker_choice* const choice = at.choice + g * shape.n;
    for (std::int64_t j = b.thread(); j < jobs; j += b.threads()) {
      cost[j] = 0;
      winner[j] = -1;
    }
    for (std::int64_t round = 0; round < shape.most_rounds; ++round) {
      auction_round const now{score, cost, winner, jobs, round, high};
      if (b.thread() == 0) s.conflict = 0;
      b.sync();
      for (std::int64_t w = warp_of(b); w < shape.n; w += warps_of(b)) {
        worker_choice const c = choose(b, s.bins.data() + warp_of(b) * digits, now, w, shape.share(g));
        if (lane_of(b) == 0) choice[w] = c;
      }
      b.sync();
      bool conflict = false;
      for (std::int64_t j = b.thread(); j < jobs; j += b.threads()) conflict = settle(now, choice, j, eps, cost, winner, owner) || conflict;
      if (conflict) b.atomic_or(&s.conflict, 1u);
      b.sync();
      bool const again = s.conflict != 0;
      b.sync();
      if (!again) return true;
    }
    return false;
  }

  // Bids for job j: that of the highest bidder, ties to the lower worker, goes onto its cost. True where more workers than one chose it.
  FANFOLD_HD bool settle(auction_round const& now, worker_choice const* choice, std::int64_t j, double eps, double* cost, std::int32_t* winner,
                         std::int32_t* owner) const {
    std::int32_t const before = winner[j];
    std::int32_t best = -1, chosen = 0;
    double bid = 0;
    for (std::int64_t w = 0; w < shape.n; ++w) {
      double const value = now.value(w, j);
      bool const holds = choice[w].holds(value, j);
      bool const kept = now.holding() && before == w;
      if (holds) {
        ++chosen;
        owner[j] = static_cast<std::int32_t>(w);
      }
      if (!holds && !kept) continue;
      double const offer = kept ? eps : value - choice[w].last + eps;
      if (best >= 0 && !(offer > bid)) continue;
      bid = offer;
      best = static_cast<std::int32_t>(w);
    }
    cost[j] += bid;
    winner[j] = best;
    return chosen > 1;
  }

  // A warp: the m best jobs of worker w, ties by lower job; m < jobs. The rank of job m + 1 is found digit by digit.
  template <block B>
  FANFOLD_HD worker_choice choose(B& b, std::uint32_t* bins, auction_round const& now, std::int64_t w, std::int64_t m) const {
    unsigned const lane = lane_of(b);
    std::uint64_t prefix = 0;
    std::int64_t left = m + 1;
    int low = 60;
    for (int top = 64;; top = low, low = low > digit_bits ? low - digit_bits : 0) {
      b.sync_warp();
      bins[lane] = 0;
      bins[lane + 32] = 0;
      b.sync_warp();
      std::uint32_t const mask = (1u << (top - low)) - 1u;
      for (std::int64_t j = lane; j < now.jobs; j += 32) {
        std::uint64_t const rank = fanfold::detail::ascending_rank(now.value(w, j));
        if (top == 64 || (rank ^ prefix) >> top == 0) b.atomic_add(bins + ((rank >> low) & mask), 1u);
      }
      b.sync_warp();
      // lane l looks at bins 63 - 2 l and 62 - 2 l: from the top down
      std::int64_t const upper = bins[63 - 2 * lane], lower = bins[62 - 2 * lane];
      std::int64_t const above = warp_exclusive_sum(b, upper + lower);
      bool const in_upper = above < left && left <= above + upper, in_lower = above + upper < left && left <= above + upper + lower;
      std::uint32_t const found = b.ballot(in_upper || in_lower);
      auto const finder = static_cast<unsigned>(math::trailing_zeros(found));
      std::int64_t const passed = above + (in_upper ? 0 : upper);
      std::int64_t const digit = in_upper ? 63 - 2 * lane : 62 - 2 * lane;
      left -= b.shuffle(passed, finder);
      prefix |= static_cast<std::uint64_t>(b.shuffle(digit, finder)) << low;
      std::int64_t const here = in_upper ? upper : lower;
      if (b.shuffle(here, finder) == 1 || low == 0) break;
    }
    return find_job(b, now, w, prefix, low, left);
  }

  // The job that is number `nth` (from 1) of those whose ranks have this prefix.
  template <block B>
  FANFOLD_HD worker_choice find_job(B& b, auction_round const& now, std::int64_t w, std::uint64_t prefix, int low, std::int64_t nth) const {
    std::int64_t cut = now.jobs;
    for (std::int64_t begin = 0; begin < now.jobs && cut == now.jobs; begin += 32) {
      std::int64_t const j = begin + lane_of(b);
      bool const same = j < now.jobs && (fanfold::detail::ascending_rank(now.value(w, j)) ^ prefix) >> low == 0;
      std::uint32_t const all = b.ballot(same);
      bool const it = same && math::popcount(all & ((1u << lane_of(b)) - 1u)) + 1 == nth;
      std::uint32_t const which = b.ballot(it);
      if (which != 0) cut = begin + math::trailing_zeros(which);
      nth -= math::popcount(all);
    }
    return {now.value(w, cut), cut};
  }
};

/// A block a group: the exact assignment where the auction has not ended, then ids and weights.
struct settled_rows_body {
  struct shared {
    checked_array<fanfold::detail::near_column, 32> nearest;
  };

  auction_shape shape;
  auction_memory at;

  template <block B, class L, class W>
  FANFOLD_HD void operator()(B& b, shared& s, matrix_view<L const> scores, assignment<W> out) const {
    for (std::int64_t g = b.index(); g < shape.groups(); g += b.blocks()) {
      std::int64_t const first = g * shape.step, at_jobs = g * shape.step_jobs();
      if (at.ended[g] == 0) exactly(b, s, g, at.score + shape.n * at_jobs);
      b.sync();
      for (std::int64_t t = b.thread(); t < shape.group_rows(g); t += b.threads()) {
        std::int32_t const e = at.owner[at_jobs + t];
        out.id.data()[(first + t) * out.id.stride()] = e;
        out.weight.data()[(first + t) * out.weight.stride()] = sigmoid_weight<W>(scores.data()[(first + t) * scores.stride() + e]);
      }
      b.sync();
    }
  }

 private:
  template <block B>
  FANFOLD_HD void exactly(B& b, shared& s, std::int64_t g, double const* score) const {
    std::int64_t const jobs = shape.jobs(g), at_jobs = g * shape.step_jobs();
    place_costs const costs{score, jobs, shape.share(g)};
    fanfold::detail::assignment_memory const mine = at.exact.part(g, shape.step_jobs());
    fanfold::detail::assign_least(b, s.nearest, costs, jobs, jobs, mine);
    for (std::int64_t p = b.thread(); p < jobs; p += b.threads())
      at.owner[at_jobs + mine.row_of[p + 1] - 1] = static_cast<std::int32_t>(p / shape.share(g));
  }

  // Jobs are rows, the m places of each worker columns.
  struct place_costs {
    double const* score;
    std::int64_t jobs, share;
    FANFOLD_HD double operator()(std::int64_t job, std::int64_t place) const { return -score[place / share * jobs + job]; }
  };
};

}  // namespace detail

/// Device form of balanced assignment: a block a group. The exact form, and the fallback of an auction that does not end, take O(T^3) steps of
/// that block.
template <device_executor E, class L, class W>
void run_loop(E const& ex, balanced_assign_loop const& loop, matrix_view<L const> scores, assignment<W> out, workspace& ws) {
  std::int64_t const rows = scores.rows(), n = scores.cols(), size = loop.router.group_size;
  if (rows == 0) return;
  detail::auction_shape const shape{rows, n, size == 0 || size > rows ? rows : size, 5000, loop.router.exact};
  std::int64_t const groups = shape.groups(), jobs = groups * shape.step_jobs();
  workspace::frame frame(ws);
  detail::auction_memory const at{frame.take<double>(n * jobs).data(),       frame.take<double>(jobs).data(),
                                  frame.take<std::int32_t>(jobs).data(),     frame.take<std::int32_t>(jobs).data(),
                                  frame.take<detail::worker_choice>(groups * n).data(), frame.take<std::uint32_t>(groups).data(),
                                  fanfold::detail::take_assignment_memory(frame, groups, shape.step_jobs())};
  unsigned const threads = detail::auction_body::threads(ex.block_threads());
  ex.launch(detail::auction_body{shape, at}, blocks_for(ex, groups, 1, threads), threads, scores);
  launch_blocks(ex, detail::settled_rows_body{shape, at}, groups, scores, out);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
