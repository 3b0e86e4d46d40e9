#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/lsa.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/fold/select.hpp"
#include "fanfold/route/detail/descending.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// The auction of BASE layers: E workers bid for T jobs, T / E each. `score` is worker major; `job` gets m jobs a worker. False where it
/// has not ended after `most_rounds`.
class auction {
 public:
  auction(double const* score, std::int64_t workers, std::int64_t jobs, workspace& ws)
      : score_(score), workers_(workers), jobs_(jobs), m_(jobs / workers), ws_(ws) {}

  template <host_executor E>
  bool run(E const& ex, std::int32_t* result, std::int64_t most_rounds) {
    workspace::frame frame(ws_);
    std::int64_t const size = workers_ * jobs_, take = m_ + 1;
    auto* const value = frame.take<double>(size).data();
    auto* const best = frame.take<std::int32_t>(workers_ * take).data();
    auto* const cost = frame.take<double>(jobs_).data();
    auto* const bid = frame.take<double>(jobs_).data();
    auto* const winner = frame.take<std::int32_t>(jobs_).data();
    double low = score_[0], high = score_[0];
    for (std::int64_t i = 0; i < size; ++i) {
      low = score_[i] < low ? score_[i] : low;
      high = score_[i] > high ? score_[i] : high;
      value[i] = score_[i];
    }
    double const eps = (high - low) / 50 > 1e-4 ? (high - low) / 50 : 1e-4;
    for (std::int64_t j = 0; j < jobs_; ++j) {
      cost[j] = 0;
      winner[j] = -1;
    }
    for (std::int64_t round = 0; round < most_rounds; ++round) {
      for_each_task(ex, workers_, [&](std::int64_t w) { rank(value + w * jobs_, best + w * take); });
      collect(value, best, eps, round, bid, winner);
      if (covers(best)) {
        for (std::int64_t w = 0; w < workers_; ++w)
          for (std::int64_t i = 0; i < m_; ++i) result[w * m_ + i] = best[w * take + i];
        return true;
      }
      for (std::int64_t j = 0; j < jobs_; ++j) cost[j] += bid[j];
      for (std::int64_t w = 0; w < workers_; ++w)
        for (std::int64_t j = 0; j < jobs_; ++j) {
          std::int64_t const i = w * jobs_ + j;
          value[i] = winner[j] != w ? score_[i] - cost[j] : round < holding_rounds ? high : score_[i];
        }
    }
    return false;
  }

 private:
  static constexpr std::int64_t holding_rounds = 100;

  // The m + 1 best jobs of a worker, best first, ties by lower job.
  void rank(double const* value, std::int32_t* best) const {
    workspace ws;
    workspace::frame frame(ws);
    auto* const spare = frame.take<std::int32_t>(m_ + 1).data();
    select(largest{m_ + 1}, view<double const>(value, jobs_), selection_view<double, std::int32_t>{.index = {best, m_ + 1}}, ws);
    merge_sort(best, spare, m_ + 1, descending_key<double>{value});
  }

  // Highest bids and their workers, ties to the lower worker; last round's winners bid eps on what they hold.
  void collect(double const* value, std::int32_t const* best, double eps, std::int64_t round, double* bid, std::int32_t* winner) const {
    bool const holding = round > 0 && round < holding_rounds;
    std::vector<std::int32_t> const before(winner, winner + jobs_);
    for (std::int64_t j = 0; j < jobs_; ++j) {
      bid[j] = 0;
      winner[j] = -1;
    }
    for (std::int64_t w = 0; w < workers_; ++w) {
      std::int32_t const* const mine = best + w * (m_ + 1);
      double const last = value[w * jobs_ + mine[m_]];
      for (std::int64_t i = 0; i < m_; ++i)
        if (!(holding && before[static_cast<std::size_t>(mine[i])] == w)) offer(mine[i], w, value[w * jobs_ + mine[i]] - last + eps, bid, winner);
      for (std::int64_t j = 0; j < jobs_ && holding; ++j)
        if (before[static_cast<std::size_t>(j)] == w) offer(j, w, eps, bid, winner);
    }
  }
  static void offer(std::int64_t j, std::int64_t w, double x, double* bid, std::int32_t* winner) {
    if (winner[j] >= 0 && !(x > bid[j])) return;
    bid[j] = x;
    winner[j] = static_cast<std::int32_t>(w);
  }

  bool covers(std::int32_t const* best) const {
    std::vector<char> seen(static_cast<std::size_t>(jobs_));
    for (std::int64_t w = 0; w < workers_; ++w)
      for (std::int64_t i = 0; i < m_; ++i) {
        char& s = seen[static_cast<std::size_t>(best[w * (m_ + 1) + i])];
        if (s != 0) return false;
        s = 1;
      }
    return true;
  }

  double const* score_;
  std::int64_t workers_, jobs_, m_;
  workspace& ws_;
};

/// The best balanced assignment, by linear sum assignment of jobs to the workers repeated m times.
inline void assign_exactly(double const* score, std::int64_t workers, std::int64_t jobs, std::int32_t* result) {
  std::int64_t const m = jobs / workers;
  std::vector<double> cost(static_cast<std::size_t>(jobs * jobs));
  for (std::int64_t j = 0; j < jobs; ++j)
    for (std::int64_t p = 0; p < jobs; ++p) cost[static_cast<std::size_t>(j * jobs + p)] = -score[p / m * jobs + j];
  auto const place = linear_sum_assignment(matrix_view<double const>(cost.data(), jobs, jobs));
  std::vector<std::int64_t> filled(static_cast<std::size_t>(workers));
  for (std::int64_t j = 0; j < jobs; ++j) {
    std::int64_t const w = place[static_cast<std::size_t>(j)] / m;
    result[w * m + filled[static_cast<std::size_t>(w)]++] = static_cast<std::int32_t>(j);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
