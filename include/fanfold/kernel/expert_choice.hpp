#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/ranked_order.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/kernel/transposed.hpp"
#include "fanfold/route/expert_choice.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/row_loop.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Groups of rows and their places; pairs (row, expert) are numbered row by row, segments (group, expert) group by group.
struct choice_shape {
  std::int64_t rows, experts;
  std::int64_t step;     // rows of a group but the last
  std::int64_t columns;  // places of an expert in a group of `step` rows
  std::int64_t last_places;

  FANFOLD_HD std::int64_t groups() const { return rows == 0 ? 0 : (rows + step - 1) / step; }
  FANFOLD_HD std::int64_t segments() const { return groups() * experts; }
  FANFOLD_HD std::int64_t group_rows(std::int64_t g) const { return (g + 1) * step < rows ? step : rows - g * step; }
  FANFOLD_HD std::int64_t places(std::int64_t g) const { return (g + 1) * step <= rows ? columns : last_places; }
};

inline choice_shape shape_of(expert_choice const& router, std::int64_t rows, std::int64_t experts) {
  choice_shape s{rows, experts, rows == 0 ? 1 : router.group_rows(rows), 0, 0};
  if (rows == 0) return s;
  s.columns = router.places_of_group(s.step, experts);
  s.last_places = router.places_of_group(s.group_rows(s.groups() - 1), experts);
  return s;
}

template <class R>
struct score_of_pair {
  R const* score;
  FANFOLD_HD R operator()(std::int64_t i) const { return score[i]; }
};
struct segment_of_pair {
  std::int64_t step, experts;
  FANFOLD_HD std::int64_t operator()(std::int64_t i) const { return i / experts / step * experts + i % experts; }
};
struct group_of_pair {
  std::int64_t step, experts;
  FANFOLD_HD std::int64_t operator()(std::int64_t i) const { return i / experts / step; }
};

/// A warp a row: softmax scores, -infinity for rows that may not be picked.
struct choice_scores_body {
  row_mask mask;

  template <block B, class L, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits, view<R> score) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = logits.cols();
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b)) {
      R* const row = score.data() + t * n;
      load_logits_packed(g, logits.data() + t * logits.stride(), row, n);
      bool const some = softmax_row(g, row, row, n).max > -math::infinity<R>();
      if (some && mask.keeps(t)) continue;
      for (std::int64_t e = g.rank(); e < n; e += g.size()) row[e] = -math::infinity<R>();
    }
  }
};

/// A warp a group: takes its pairs in order while expert and token have room. A lane knows what room its own pair has left; the first lane
/// with room takes, and tells those behind it.
struct limited_choice_body {
  choice_shape shape;
  std::int64_t limit;

  template <block B, class R>
  FANFOLD_HD void operator()(B& b, view<R const> score, view<std::int32_t const> order, view<std::int32_t> of_segment, view<std::int32_t> of_token,
                             view<std::int32_t> chosen) const {
    std::int64_t const n = shape.experts;
    unsigned const lane = lane_of(b);
    for (std::int64_t g = grid_warp(b); g < shape.groups(); g += grid_warps(b)) {
      std::int64_t const first = g * shape.step * n, last = first + shape.group_rows(g) * n, places = shape.places(g);
      for (std::int64_t begin = first; begin < last; begin += 32) {
        std::int64_t const at = begin + lane;
        std::int64_t const pair = order.data()[at < last ? at : last - 1], t = pair / n, segment = g * n + pair % n;
        std::int64_t here = of_segment.data()[segment], mine = of_token.data()[t];
        bool open = at < last && score.data()[pair] > -math::infinity<R>() && here < places && mine < limit;
        b.sync_warp();
        for (std::uint32_t left = b.ballot(open); left != 0; left = b.ballot(open)) {
          auto const taker = static_cast<unsigned>(math::trailing_zeros(left));
          std::int64_t const taken_segment = b.shuffle(segment, taker), taken_token = b.shuffle(t, taker);
          if (lane == taker) {
            chosen.data()[segment * shape.columns + here] = static_cast<std::int32_t>(pair);
            of_segment.data()[segment] = static_cast<std::int32_t>(here + 1);
            of_token.data()[t] = static_cast<std::int32_t>(mine + 1);
          }
          here += segment == taken_segment ? 1 : 0;
          mine += t == taken_token ? 1 : 0;
          open = open && lane > taker && here < places && mine < limit;
          b.sync_warp();
        }
      }
    }
  }
};

/// A warp a segment: writes its places and their weights. Pairs of a segment stand at `columns` a segment in `chosen`, or, sorted by
/// segment, where the segment begins.
template <bool Chosen>
struct choice_places_body {
  choice_shape shape;
  bool over_chosen;

  template <block B, class R, class W>
  FANFOLD_HD void operator()(B& b, view<R const> score, view<std::int32_t const> pairs, view<R> number, expert_assignment<W> out) const {
    warp_lanes<B> const lanes(b);
    for (std::int64_t s = grid_warp(b); s < shape.segments(); s += grid_warps(b)) {
      std::int64_t const g = s / shape.experts, e = s % shape.experts, places = shape.places(g);
      std::int32_t const* const mine = pairs.data() + (Chosen ? s * shape.columns : g * shape.step * shape.experts + e * shape.group_rows(g));
      R* const w = number.data() + s * shape.columns;
      for (std::int64_t i = lanes.rank(); i < places; i += 32) {
        bool const taken = mine[i] >= 0 && score.data()[mine[i]] > -math::infinity<R>();
        w[i] = taken ? score.data()[mine[i]] : over_chosen ? -math::infinity<R>() : R(0);
        out.token.data()[e * out.token.stride() + g * shape.columns + i] = taken ? static_cast<std::int32_t>(mine[i] / shape.experts) : -1;
      }
      lanes.sync();
      if (over_chosen) softmax_row(lanes, w, w, places);
      for (std::int64_t i = lanes.rank(); i < shape.columns; i += 32) {
        if (i >= places) out.token.data()[e * out.token.stride() + g * shape.columns + i] = -1;
        out.weight.data()[e * out.weight.stride() + g * shape.columns + i] =
            from_arithmetic<W>(i < places ? static_cast<arithmetic_t<W>>(w[i]) : arithmetic_t<W>(0));
      }
    }
  }
};

/// A warp a segment: gradients of scores, from those of the weights.
struct choice_gradient_body {
  choice_shape shape;
  bool over_chosen;
  std::uint32_t* status;

  template <block B, class W, class G, class R>
  FANFOLD_HD void operator()(B& b, expert_assignment<W> forward, matrix_view<G const> dweight, view<R> q) const {
    warp_lanes<B> const lanes(b);
    for (std::int64_t s = grid_warp(b); s < shape.segments(); s += grid_warps(b)) {
      std::int64_t const e = s % shape.experts, first = s / shape.experts * shape.columns;
      std::int32_t const* const token = forward.token.data() + e * forward.token.stride() + first;
      place_product<R, G, W> const product{dweight.data() + e * dweight.stride() + first, forward.weight.data() + e * forward.weight.stride() + first};
      R const mean = over_chosen ? lanes.fold(row_sum<R>{}, shape.columns, product) : R(0);
      for (std::int64_t i = lanes.rank(); i < shape.columns; i += 32) {
        std::int64_t const t = token[i];
        if (t < -1 || t >= shape.rows) raise(b, status, data_fault::id_out_of_range);
        if (t < 0 || t >= shape.rows) continue;
        R const dw = static_cast<R>(to_arithmetic(product.dweight[i]));
        q.data()[t * shape.experts + e] = over_chosen ? static_cast<R>(to_arithmetic(product.weight[i])) * (dw - mean) : dw;
      }
    }
  }
};

/// A warp a row: the vjp of its softmax.
struct choice_rows_vjp_body {
  template <block B, class L, class R, class D>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits, view<R> q, view<R> scratch, matrix_view<D> dlogits) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = logits.cols();
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b))
      softmax_row_gradient(g, logits.data() + t * logits.stride(), q.data() + t * n, scratch.data() + 2 * t * n, dlogits.data() + t * dlogits.stride(), n);
  }
};

/// A warp an expert.
struct place_sums_body {
  template <block B, class W>
  FANFOLD_HD void operator()(B& b, matrix_view<W const> weight, view<double> sum) const {
    warp_lanes<B> const g(b);
    for (std::int64_t e = grid_warp(b); e < sum.size(); e += grid_warps(b)) {
      double const s = g.fold(row_sum<double>{}, weight.cols(), place_weight<W>{weight.data() + e * weight.stride()});
      if (g.rank() == 0) sum.data()[e] = s;
    }
  }
};

inline void check_pairs(std::int64_t rows, std::int64_t experts, std::int64_t segments) {
  bool const fits = rows == 0 || (experts <= 0x7fffffff / rows && segments <= 0x7fffffff);
  check_argument(fits, "route::assign", "rows times experts", rows, "below 2^31 on a device");
}

}  // namespace detail

/// Bytes that the device form of expert choice reads and writes, sorts aside (four passes of 8 bytes a pair for float). The least is the
/// logits, and the places written.
template <class L>
constexpr std::int64_t expert_choice_traffic(std::int64_t rows, std::int64_t experts, std::int64_t places) {
  auto const r = static_cast<std::int64_t>(sizeof(arithmetic_t<L>));
  return rows * experts * (static_cast<std::int64_t>(sizeof(L)) + 3 * r + 16) + experts * places * (4 + 4 + 4 * r);
}

/// Device form of expert choice: scores by rows, all pairs sorted by (expert, score), then a warp an expert. With a limit a token, pairs are
/// sorted by score and a warp a group takes them in turn.
template <device_executor E, class L, class W>
void run_loop(E const& ex, expert_choice_loop const& loop, matrix_view<L const> logits, expert_assignment<W> out, workspace& ws) {
  using R = arithmetic_t<L>;
  expert_choice const& router = loop.router;
  std::int64_t const rows = logits.rows(), n = logits.cols();
  detail::choice_shape const shape = detail::shape_of(router, rows, n);
  detail::check_pairs(rows, n, shape.segments());
  if (shape.segments() == 0) return;
  bool const over_chosen = router.weight == expert_choice::weight_form::softmax_over_chosen;
  workspace::frame frame(ws);
  auto const score = frame.take<R>(rows * n);
  auto const number = frame.take<R>(shape.segments() * shape.columns);
  auto const order = frame.take<std::int32_t>(rows * n);
  detail::score_of_pair<R> const of_pair{score.data()};
  launch_warps(ex, detail::choice_scores_body{loop.mask}, rows, logits, score);
  if (router.most_experts == 0) {
    fanfold::detail::order_items<R>(ex, of_pair, detail::segment_of_pair{shape.step, n}, shape.segments(), order, ws);
    using places_body = detail::choice_places_body<false>;
    return launch_warps(ex, places_body{shape, over_chosen}, shape.segments(), as_const(score), as_const(order), number, out);
  }
  fanfold::detail::order_items<R>(ex, of_pair, detail::group_of_pair{shape.step, n}, shape.groups(), order, ws);
  auto const of_segment = frame.take<std::int32_t>(shape.segments()), of_token = frame.take<std::int32_t>(rows);
  auto const chosen = frame.take<std::int32_t>(shape.segments() * shape.columns);
  fill(ex, of_segment, 0);
  fill(ex, of_token, 0);
  fill(ex, chosen, -1);
  launch_warps(ex, detail::limited_choice_body{shape, router.most_experts}, shape.groups(), as_const(score), as_const(order), of_segment, of_token, chosen);
  using places_body = detail::choice_places_body<true>;
  launch_warps(ex, places_body{shape, over_chosen}, shape.segments(), as_const(score), as_const(chosen), number, out);
}

/// Device form of the vjp of expert choice. Tokens of an expert are distinct.
template <device_executor E, class L, class W, class G, class D>
void run_loop(E const& ex, expert_choice_vjp_loop const& loop, matrix_view<L const> logits, expert_assignment<W> forward,
              matrix_view<G const> dweight, matrix_view<D> dlogits, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const rows = logits.rows(), n = logits.cols();
  detail::choice_shape const shape = detail::shape_of(loop.router, rows, n);
  detail::check_pairs(rows, n, shape.segments());
  bool const over_chosen = loop.router.weight == expert_choice::weight_form::softmax_over_chosen;
  workspace::frame frame(ws);
  auto const q = frame.take<R>(rows * n), scratch = frame.take<R>(2 * rows * n);
  fill(ex, q, R(0));
  launch_warps(ex, detail::choice_gradient_body{shape, over_chosen, ex.status()}, shape.segments(), forward, dweight, q);
  launch_warps(ex, detail::choice_rows_vjp_body{}, rows, logits, q, scratch, dlogits);
}

template <device_executor E, class W>
void run_loop(E const& ex, place_sums_loop, matrix_view<W const> weight, view<double> sum) {
  launch_warps(ex, detail::place_sums_body{}, sum.size(), weight, sum);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
