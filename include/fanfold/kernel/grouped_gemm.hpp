#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/weight_bank.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/warp.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

// A block's tile: 64 columns, and 4 rows for every 16 threads; a thread holds 4 x 4 sums. Terms come 16 at a time.
inline constexpr int tile_columns = 64;
inline constexpr int tile_terms = 16;
inline constexpr int most_tile_rows = 64;
FANFOLD_HD constexpr std::int64_t tile_rows(unsigned threads) { return threads / 16 * 4; }

/// first[e] = row tiles of the bins before e.
struct row_tiles_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, view<std::int32_t const> kept, std::int64_t rows, view<std::int64_t> first) const {
    std::int64_t running = 0;
    for (std::int64_t begin = 0; begin < kept.size(); begin += b.threads()) {
      std::int64_t const e = begin + b.thread();
      std::int64_t const tiles = e < kept.size() ? (kept.data()[e] + rows - 1) / rows : 0;
      std::int64_t total = 0;
      std::int64_t const before = block_exclusive_sum(b, s.sums, tiles, total);
      if (e < kept.size()) first.data()[e] = running + before;
      running += total;
    }
    if (b.thread() == 0) first.data()[kept.size()] = running;
  }
};

template <class T>
FANFOLD_HD weight_bank<T> const& bank_panel(weight_bank<T> const& bank, int) {
  return bank;
}
template <class Bank>
FANFOLD_HD Bank const& bank_panel(bank_pair<Bank> const& bank, int panel) {
  return panel == 0 ? bank.first : bank.second;
}

template <class A>
FANFOLD_HD A multiply_add(A x, A w, A sum) {
#if FANFOLD_ON_DEVICE
  return fma(x, w, sum);
#else
  return sum + x * w;
#endif
}

/// What a block multiplies at a time, in shared memory.
template <class A, int Panels>
struct tile_operands {
  static constexpr int left_stride = most_tile_rows + 4;
  alignas(16) checked_array<A, std::size_t{tile_terms * left_stride}> left;             // [term][row]
  alignas(16) checked_array<A, std::size_t{Panels * tile_terms * tile_columns}> right;  // [panel][term][column]
};

/// A thread's 4 x 4 sums a panel. Indices are constants once loops are unrolled, so that sums stay in registers.
template <class A, int Panels>
struct tile_sums {
  A sum[std::size_t{Panels}][4][4];

  FANFOLD_HD void clear() {
    for (int p = 0; p < Panels; ++p)
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sum[p][i][j] = A(0);
  }
  FANFOLD_HD void add(tile_operands<A, Panels> const& s, std::int64_t terms, std::int64_t row, std::int64_t column) {
    for (std::int64_t t = 0; t < terms; ++t) {
      pack<A, 4> const x = load_changing_pack<4>(s.left.data() + t * s.left_stride + row);
      for (int p = 0; p < Panels; ++p) {
        pack<A, 4> const w = load_changing_pack<4>(s.right.data() + (p * tile_terms + t) * tile_columns + column);
        for (int i = 0; i < 4; ++i)
          for (int j = 0; j < 4; ++j) sum[p][i][j] = multiply_add(x.item[i], w.item[j], sum[p][i][j]);
      }
    }
  }
};

/// V neighbouring elements, of which `there` exist, widened to to[0], to[step], ...; zeros for the others.
template <int V, class A, class T>
FANFOLD_HD void load_run(T const* from, std::int64_t there, A* to, std::int64_t step) {
  if (there >= V && is_pack_aligned<V>(from)) {
    auto const x = load_pack<V>(from);
    for (int v = 0; v < V; ++v) to[v * step] = static_cast<A>(to_arithmetic(x.item[v]));
  } else {
    for (int v = 0; v < V; ++v) to[v * step] = v < there ? static_cast<A>(to_arithmetic(from[v])) : A(0);
  }
}

/// Tiles of a grouped product: bins and row tiles are found in device memory, so nothing about the counts comes from the host.
/// Every element is one chain over the terms, whatever tile it lies in.
template <class Source, class Bank, class Sink>
struct grouped_gemm_body {
  using T = typename Source::value_type;
  using U = typename Bank::value_type;
  using A = arithmetic_t<T>;
  static constexpr int panels = Sink::panels;

  struct shared : tile_operands<A, panels> {
    checked_array<T const*, std::size_t{most_tile_rows}> row;
    checked_array<A, std::size_t{most_tile_rows}> factor;
  };
  struct place {
    std::int64_t expert, first_row, rows, column;
  };

  Source source;
  Bank bank;
  Sink sink;
  plan_view plan;
  std::int64_t inner, outer;
  bool scaled;

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, view<std::int64_t const> first) const {
    std::int64_t const rows = tile_rows(b.threads()), column_tiles = (outer + tile_columns - 1) / tile_columns;
    std::int64_t const tiles = first.data()[plan.experts()] * column_tiles;
    for (std::int64_t tile = b.index(); tile < tiles; tile += b.blocks()) {
      place const at = locate(first, tile / column_tiles, tile % column_tiles * tile_columns, rows);
      for (std::int64_t i = b.thread(); i < rows; i += b.threads()) {
        T const* from = nullptr;
        A factor = A(1);
        if (i < at.rows) {
          auto const row = source.row(plan, at.first_row + i);
          from = row.data;
          factor = row.factor;
        }
        s.row[i] = from;
        s.factor[i] = factor;
      }
      b.sync();
      run_tile(b, s, at, rows);
    }
  }

 private:
  FANFOLD_HD place locate(view<std::int64_t const> first, std::int64_t row_tile, std::int64_t column, std::int64_t rows) const {
    std::int64_t low = 0, high = plan.experts();
    while (high - low > 1) {
      std::int64_t const middle = low + (high - low) / 2;
      if (first.data()[middle] <= row_tile)
        low = middle;
      else
        high = middle;
    }
    std::int64_t const begin = (row_tile - first.data()[low]) * rows, left = plan.kept.data()[low] - begin;
    return {low, plan.offsets.data()[low] + begin, left < rows ? left : rows, column};
  }

  template <class B>
  FANFOLD_HD void run_tile(B& b, shared& s, place const& at, std::int64_t rows) const {
    std::int64_t const my_row = b.thread() / 16 * 4, my_column = b.thread() % 16 * 4;
    tile_sums<A, panels> sums;
    sums.clear();
    for (std::int64_t k = 0; k < inner; k += tile_terms) {
      std::int64_t const terms = inner - k < tile_terms ? inner - k : tile_terms;
      load_left(b, s, rows, k);
      for (int p = 0; p < panels; ++p) load_right(b, s, bank_panel(bank, p), p, at, k);
      b.sync();
      sums.add(s, terms, my_row, my_column);
      b.sync();
    }
#if FANFOLD_ON_DEVICE
#pragma unroll  // else the sums, indexed at run time, would leave their registers
#endif
    for (int i = 0; i < 4; ++i)
#if FANFOLD_ON_DEVICE
#pragma unroll
#endif
      for (int j = 0; j < 4; ++j) {
        if (my_row + i >= at.rows || at.column + my_column + j >= outer) continue;
        A const* element[std::size_t{panels}];
        for (int p = 0; p < panels; ++p) element[p] = &sums.sum[p][i][j];
        sink.store(plan, at.expert, at.first_row + my_row + i, at.column + my_column + j, std::int64_t{1}, static_cast<A const* const*>(element));
      }
  }

  FANFOLD_HD A widened(T x, A factor) const {
    return scaled ? to_arithmetic(from_arithmetic<T>(factor * to_arithmetic(x))) : to_arithmetic(x);
  }

  template <class B>
  FANFOLD_HD void load_left(B& b, shared& s, std::int64_t rows, std::int64_t k) const {
    constexpr int V = widest_pack<T>, packs = tile_terms / V;
    for (std::int64_t i = b.thread(); i < rows * packs; i += b.threads()) {
      std::int64_t const r = i / packs, t = i % packs * V;
      T const* const from = s.row[r] == nullptr ? nullptr : s.row[r] + k + t;
      A const factor = s.factor[r];
      if (from != nullptr && k + t + V <= inner && is_pack_aligned<V>(from)) {
        pack<T, V> const x = load_pack<V>(from);
        for (int v = 0; v < V; ++v) s.left[(t + v) * s.left_stride + r] = widened(x.item[v], factor);
      } else {
        for (int v = 0; v < V; ++v) s.left[(t + v) * s.left_stride + r] = from != nullptr && k + t + v < inner ? widened(from[v], factor) : A(0);
      }
    }
  }

  /// Along whichever side of the matrices is contiguous.
  template <class B, class Weight>
  FANFOLD_HD void load_right(B& b, shared& s, weight_bank<Weight> const& w, int panel, place const& at, std::int64_t k) const {
    constexpr int V = widest_pack<U>;
    Weight const* const from = w.data + at.expert * w.expert_stride + k * w.inner_stride + at.column * w.outer_stride;
    std::int64_t const terms = inner - k, columns = outer - at.column;
    A* const to = s.right.data() + panel * tile_terms * tile_columns;
    if (w.inner_stride == 1 && w.outer_stride != 1) {
      constexpr int packs = tile_terms / V;
      for (std::int64_t i = b.thread(); i < tile_columns * packs; i += b.threads()) {
        std::int64_t const c = i / packs, t = i % packs * V;
        load_run<V>(from + c * w.outer_stride + t, c < columns ? terms - t : 0, to + t * tile_columns + c, tile_columns);
      }
    } else if (w.outer_stride == 1) {
      constexpr int packs = tile_columns / V;
      for (std::int64_t i = b.thread(); i < tile_terms * packs; i += b.threads()) {
        std::int64_t const t = i / packs, c = i % packs * V;
        load_run<V>(from + t * w.inner_stride + c, t < terms ? columns - c : 0, to + t * tile_columns + c, 1);
      }
    } else {
      for (std::int64_t i = b.thread(); i < tile_terms * tile_columns; i += b.threads()) {
        std::int64_t const t = i / tile_columns, c = i % tile_columns;
        load_run<1>(from + t * w.inner_stride + c * w.outer_stride, t < terms && c < columns ? 1 : 0, to + i, 1);
      }
    }
  }
};

template <class Source>
bool scales_rows(Source const& source) {
  if constexpr (requires { source.weight; })
    return source.weight.data() != nullptr;
  else
    return false;
}

}  // namespace detail

/// Bytes that `grouped_gemm` reads and writes on a device with one full pass over rows and weights; the least has `row_tiles` = experts hit and
/// `column_tiles` = 1. `rows` are the kept ones, `row_tiles` those of all bins (64 rows at 256 threads), `column_tiles` = outer / 64.
constexpr std::int64_t grouped_gemm_traffic(std::int64_t rows, std::int64_t row_tiles, std::int64_t column_tiles, std::int64_t inner, std::int64_t outer,
                                            std::int64_t row_size, std::int64_t weight_size, std::int64_t out_size) {
  return rows * inner * row_size * column_tiles + row_tiles * inner * outer * weight_size + rows * outer * out_size;
}

/// Device form of `grouped_gemm`, for weight banks in device memory and sinks that keep rows: one launch over tiles, after one that counts them.
template <device_executor E, class Source, class Bank, class Sink>
void run_loop(E const& ex, grouped_gemm_loop<Source, Bank, Sink> const& loop, plan_view const& plan, workspace& ws) {
  static_assert(!detail::sink_folds<Sink>, "folding_sink runs on the host only: fold rows by fold_combine on a device (expert_ffn does so for fused_by_expert)");
  static_assert(Bank::interleaved == Sink::panels, "the sink takes another number of interleaved banks");
  static_assert(std::is_trivially_copyable_v<Bank>, "a device reads weights from a weight_bank or a pair of them (ffn_weights), not from a packed bank");
  auto const sizes = detail::sizes_of(loop.bank);
  if (plan.experts() == 0 || plan.row_bound() == 0 || sizes.outer == 0) return;
  using body = detail::grouped_gemm_body<Source, Bank, Sink>;
  unsigned const threads = threads_for<body>(ex);
  std::int64_t const rows = detail::tile_rows(threads), column_tiles = (sizes.outer + detail::tile_columns - 1) / detail::tile_columns;
  workspace::frame frame(ws);
  auto const first = frame.take<std::int64_t>(plan.experts() + 1);
  ex.launch(detail::row_tiles_body{}, 1, threads_for<detail::row_tiles_body>(ex), as_const(plan.kept), rows, first);
  std::int64_t const bound = (plan.row_bound() / rows + plan.experts()) * column_tiles;
  ex.launch(body{loop.source, loop.bank, loop.sink, plan, sizes.inner, sizes.outer, detail::scales_rows(loop.source)}, blocks_for(ex, bound, 1, threads),
            threads, as_const(first));
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
