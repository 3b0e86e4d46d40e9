#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/product.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/route/relation.hpp"
#include "fanfold/route/token_graph.hpp"

/// \file
/// Device forms of the token graph router and of its relations; the choice itself is the row map's.

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// A row of a relation as a list of entries; bad ones are worth 0.
struct relation_row {
  float const* value;
  std::int32_t const* id;  // null: entry j is token j
  std::int64_t entries;
  std::int64_t self;  // the token itself, where the row is empty

  FANFOLD_HD static relation_row of(token_relation const& r, std::int64_t i) {
    if (r.is_dense()) return {r.dense.data() + i * r.dense.stride(), nullptr, r.dense.cols(), -1};
    std::int64_t const begin = r.sparse.offsets.data()[i], end = r.sparse.offsets.data()[i + 1];
    if (begin >= end) return {nullptr, nullptr, 1, i};
    return {r.sparse.values.data() + begin, r.sparse.ids.data() + begin, end - begin, -1};
  }
  FANFOLD_HD std::int64_t token(std::int64_t a) const { return self >= 0 ? self : id == nullptr ? a : static_cast<std::int64_t>(id[a]); }
  FANFOLD_HD double weight(std::int64_t a) const { return self >= 0 ? 1.0 : static_cast<double>(value[a]); }
  FANFOLD_HD bool sound(std::int64_t a, std::int64_t last) const {
    double const s = weight(a);
    return token(a) >= 0 && token(a) <= last && s >= 0 && s < 1e30;
  }
};

/// A warp a row: softmax scores.
struct related_scores_body {
  template <block B, class L, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits, view<R> score) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = logits.cols();
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b)) {
      load_logits_packed(g, logits.data() + t * logits.stride(), score.data() + t * n, n);
      softmax_row(g, score.data() + t * n, score.data() + t * n, n);
    }
  }
};

/// A warp a row: mixed = S score, each lane some experts, entries ascending. Every lane walks the row, so that none waits for another.
template <bool Causal>
struct mix_rows_body {
  token_relation relation;
  std::uint32_t* status;

  template <block B, class R>
  FANFOLD_HD void operator()(B& b, view<R const> score, std::int64_t n, view<R> mixed) const {
    std::int64_t const rows = relation.rows();
    for (std::int64_t t = grid_warp(b); t < rows; t += grid_warps(b)) {
      relation_row const row = relation_row::of(relation, t);
      std::int64_t const last = Causal ? t : rows - 1;
      double const scale = scale_of(b, row, last);
      double most = 0;
      R* const to = mixed.data() + t * n;
      for (std::int64_t e = lane_of(b); e < n; e += 32) {
        double sum = 0;
        for (std::int64_t a = 0; a < row.entries; ++a) {
          double const s = row.weight(a);
          if (!row.sound(a, last) || (row.id == nullptr && s == 0)) continue;
          sum += s * scale * static_cast<double>(score.data()[row.token(a) * n + e]);
        }
        most = sum > most ? sum : most;
        to[e] = static_cast<R>(sum);
      }
      bool const none = b.ballot(most > 0) == 0;
      for (std::int64_t e = lane_of(b); e < n && none; e += 32) to[e] = -math::infinity<R>();
    }
  }

 private:
  template <block B>
  FANFOLD_HD double scale_of(B& b, relation_row const& row, std::int64_t last) const {
    double sum = 0;
    bool bad_id = false, bad_weight = false;
    for (std::int64_t a = 0; a < row.entries; ++a) {
      double const s = row.weight(a);
      if (row.id == nullptr && s == 0) continue;
      if (row.sound(a, last)) {
        sum += s;
      } else {
        bad_weight = bad_weight || !(s >= 0 && s < 1e30);
        bad_id = bad_id || row.token(a) < 0 || row.token(a) > last;
      }
    }
    bad_weight = bad_weight || !(relation.normalise ? sum > 0 : sum > 1 - 1e-3 && sum < 1 + 1e-3);
    if (lane_of(b) == 0 && bad_id) raise(b, status, data_fault::id_out_of_range);
    if (lane_of(b) == 0 && bad_weight) raise(b, status, data_fault::other);
    return relation.normalise && sum > 0 ? 1 / sum : 1.0;
  }
};

/// A warp a row: the softmax of what a token sees.
template <class R>
struct similarity_body {
  similarity relation;
  R inverse;

  template <block B>
  FANFOLD_HD void operator()(B& b, matrix_view<R> out) const {
    warp_lanes<B> const g(b);
    for (std::int64_t i = grid_warp(b); i < out.rows(); i += grid_warps(b)) similarity_row(g, relation, inverse, i, out.data() + i * out.stride(), out.cols());
  }
};

struct reduce_heads_body {
  reduce_heads_loop loop;

  template <block B, class X, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<X const> attention, matrix_view<R> out) const {
    warp_lanes<B> const g(b);
    for (std::int64_t i = grid_warp(b); i < out.rows(); i += grid_warps(b)) reduce_heads_row(g, loop, i, attention, out.data() + i * out.stride(), out.cols());
  }
};

}  // namespace detail

template <device_executor E, bool Causal, class L, class R>
void run_loop(E const& ex, token_graph_loop<Causal> const& loop, matrix_view<L const> logits, view<R> score, view<R> mixed, workspace&) {
  launch_warps(ex, detail::related_scores_body{}, logits.rows(), logits, score);
  using body = detail::mix_rows_body<Causal>;
  launch_warps(ex, body{loop.router.relation, ex.status()}, logits.rows(), as_const(score), logits.cols(), mixed);
}

template <device_executor E, class R>
void run_loop(E const& ex, similarity_loop const& loop, matrix_view<R> out, workspace&) {
  R const inverse = R(1) / static_cast<R>(loop.relation.tau);
  launch_warps(ex, detail::similarity_body<R>{loop.relation, inverse}, out.rows(), out);
}

template <device_executor E, class X, class R>
void run_loop(E const& ex, reduce_heads_loop const& loop, matrix_view<X const> attention, matrix_view<R> out, workspace&) {
  launch_warps(ex, detail::reduce_heads_body{loop}, out.rows(), attention, out);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
