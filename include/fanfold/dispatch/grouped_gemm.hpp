#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/gemm_task.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/weight_bank.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

// Where rows come from: `row(plan, r)` gives the address of row r's elements and a factor.

/// Rows of a matrix in plan order.
template <class T>
struct plan_rows {
  using value_type = T;
  matrix_view<T const> rows{};

  FANFOLD_HD detail::scaled_source<T> row(plan_view const&, std::int64_t r) const { return {rows.data() + r * rows.stride(), arithmetic_t<T>(1), false}; }
  std::int64_t width() const { return rows.cols(); }
  template <class E>
  void check(char const* function, E const& ex, plan_view const& plan) const {
    detail::check_rows(function, "rows", ex, plan, rows, rows.cols());
  }
};
template <matrix_viewable M>
plan_rows(M const&) -> plan_rows<std::remove_const_t<typename M::element_type>>;

/// Rows of tokens, read where they lie: no permuted copy. With `weight` each is multiplied by its assignment's weight (rounded to T).
template <class T, class W = arithmetic_t<T>>
struct gathered {
  using value_type = T;
  matrix_view<T const> tokens{};
  matrix_view<W const> weight{};

  FANFOLD_HD detail::scaled_source<T> row(plan_view const& plan, std::int64_t r) const {
    std::int64_t const a = plan.src_of.data()[r], t = a / plan.slots;
    T const* const from = tokens.data() + t * tokens.stride();
    if (weight.data() == nullptr) return {from, arithmetic_t<T>(1), false};
    return {from, static_cast<arithmetic_t<T>>(to_arithmetic(weight.data()[t * weight.stride() + a % plan.slots])), true};
  }
  std::int64_t width() const { return tokens.cols(); }
  template <class E>
  void check(char const* function, E const&, plan_view const& plan) const {
    detail::check_tokens(function, "tokens", plan, tokens, tokens.cols());
    detail::check_tokens(function, "weight", plan, weight, plan.slots, true);
  }
};
template <matrix_viewable M>
gathered(M const&) -> gathered<std::remove_const_t<typename M::element_type>>;
template <matrix_viewable M, matrix_viewable W>
gathered(M const&, W const&) -> gathered<std::remove_const_t<typename M::element_type>, std::remove_const_t<typename W::element_type>>;

// Where results go. `panels`: panels of columns that one store needs; `store(plan, e, r, column, n, sums)` takes n columns of row r,
// `sums[p]` those of panel p.

/// y[r, :] = sums + bias[e, :].
template <class T, class B = arithmetic_t<T>>
struct row_sink {
  static constexpr int panels = 1;
  matrix_view<T> rows{};
  matrix_view<B const> bias{};

  template <class A>
  FANFOLD_HD void store(plan_view const&, std::int64_t e, std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    T* const to = rows.data() + r * rows.stride() + column;
    if (bias.data() == nullptr) {
      for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(static_cast<arithmetic_t<T>>(sums[0][c]));
    } else {
      B const* const b = bias.data() + e * bias.stride() + column;
      for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(static_cast<arithmetic_t<T>>(sums[0][c] + static_cast<A>(to_arithmetic(b[c]))));
    }
  }
  template <class E>
  void check(char const* function, E const& ex, plan_view const& plan, std::int64_t outer) const {
    detail::check_rows(function, "output rows", ex, plan, rows, outer);
    if (bias.data() == nullptr) return;
    check_argument(bias.rows() == plan.experts() && bias.cols() == outer, function, "shape of bias", "another", "experts x columns");
  }
};
template <matrix_viewable M>
row_sink(M const&) -> row_sink<typename M::element_type>;
template <matrix_viewable M, matrix_viewable B>
row_sink(M const&, B const&) -> row_sink<typename M::element_type, std::remove_const_t<typename B::element_type>>;

/// y[t, :] += w[t, s] * (sums rounded to Row), straight into the tokens: no rows in between. Experts ascend, so each token gets the
/// fold `weighted_sum<by_expert>` (bit for bit up to 32 kept slots). y starts as `init`, or empty; its type is the arithmetic one.
template <class A, class Row = A>
struct folding_sink {
  static constexpr int panels = 1;
  static constexpr bool folds = true;
  matrix_view<A> y{};
  matrix_view<A const> weight{};
  matrix_view<A const> init{};

  void store(plan_view const& plan, std::int64_t, std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    std::int64_t const a = plan.src_of.data()[r], t = a / plan.slots;
    A const w = weight.data() == nullptr ? A(1) : weight.data()[t * weight.stride() + a % plan.slots];
    A* const to = y.data() + t * y.stride() + column;
    for (std::int64_t c = 0; c < n; ++c) to[c] = to[c] + w * to_arithmetic(from_arithmetic<Row>(sums[0][c]));
  }
  /// Sets columns [column, column + n) of all tokens to the fold's start; -0 is the exact neutral element of addition.
  void start(plan_view const& plan, std::int64_t column, std::int64_t n) const {
    for (std::int64_t t = 0; t < plan.tokens; ++t) {
      bool kept = false;
      for (std::int64_t s = 0; s < plan.slots; ++s) kept |= plan.row_of.data()[t * plan.slots + s] >= 0;
      A* const to = y.data() + t * y.stride() + column;
      if (init.data() == nullptr) {
        for (std::int64_t c = 0; c < n; ++c) to[c] = kept ? -A(0) : A(0);
      } else if (init.data() != y.data()) {
        for (std::int64_t c = 0; c < n; ++c) to[c] = init.data()[t * init.stride() + column + c];
      }
    }
  }
  template <class E>
  void check(char const* function, E const&, plan_view const& plan, std::int64_t outer) const {
    detail::check_tokens(function, "y", plan, y, outer);
    detail::check_tokens(function, "weight", plan, weight, plan.slots, true);
    detail::check_tokens(function, "init", plan, init, outer, true);
  }
};

/// What `run_loop` runs for `grouped_gemm` (engine loop E10).
template <class Source, class Bank, class Sink>
struct grouped_gemm_loop {
  Source source{};
  Bank const& bank;
  Sink sink{};
};

namespace detail {

template <class Sink>
inline constexpr bool sink_folds = requires { Sink::folds; };

/// Rows of one bin as the left operand.
template <class Source>
struct bin_rows {
  Source const& source;
  plan_view const& plan;
  std::int64_t first;
  static constexpr bool by_term = false;

  template <class A>
  void fill(std::int64_t rows, std::int64_t k, std::int64_t terms, A* to) const {
    for (std::int64_t r = 0; r < rows; ++r, to += gemm_shape<A>::stride) {
      auto const row = source.row(plan, first + r);
      for (std::int64_t i = 0; i < terms; ++i) to[i] = element_of<A>(row, k + i);
    }
  }
};

template <class Bank>
struct expert_blocks {
  Bank const& bank;
  std::int64_t expert;
  static constexpr bool widens = requires { requires Bank::widens; };

  template <class A>
  A const* block(std::int64_t panel, std::int64_t first, std::int64_t terms, A* scratch) const {
    return bank.template block<A>(expert, panel, first, terms, scratch);
  }
  auto stored_block(std::int64_t panel, std::int64_t first) const { return bank.stored_block(expert, panel, first); }
  memory_range ahead(std::int64_t panel, std::int64_t first, std::int64_t terms) const { return bank.ahead(expert, panel, first, terms); }
};

template <class Sink>
struct bin_store {
  Sink const& sink;
  plan_view const& plan;
  std::int64_t expert, first;
  static constexpr int panels = Sink::panels;

  template <class A>
  void operator()(std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    sink.store(plan, expert, first + r, column, n, sums);
  }
};

/// Chunks of the bins' rows: bin e has chunks [first[e], first[e + 1]).
struct bin_chunk_list {
  std::int64_t* first;

  void build(plan_view const& plan, std::int64_t most) const {
    first[0] = 0;
    for (std::int64_t e = 0; e < plan.experts(); ++e) first[e + 1] = first[e] + fanfold::detail::divide_up(plan.kept[e], most);
  }
  std::int64_t expert_of(std::int64_t chunk, std::int64_t experts) const {
    std::int64_t low = 0, high = experts;
    while (high - low > 1) {
      std::int64_t const middle = low + (high - low) / 2;
      (first[middle] <= chunk ? low : high) = middle;
    }
    return low;
  }
};

}  // namespace detail

/// Host form of E10. Chunks of rows, not experts, are the tasks, so a popular expert does not leave threads idle.
template <host_executor E, class Source, class Bank, class Sink>
void run_loop(E const& ex, grouped_gemm_loop<Source, Bank, Sink> const& loop, plan_view const& plan, workspace& ws) {
  using A = arithmetic_t<typename Source::value_type>;
  static_assert(Bank::interleaved == Sink::panels, "the sink takes another number of interleaved banks");
  auto const sizes = detail::sizes_of(loop.bank);
  detail::gemm_scratch<A> const scratch(sizes.inner, Sink::panels, Bank::template needs_scratch<A>);
  std::int64_t const most = scratch.rows, units = fanfold::detail::divide_up(sizes.outer, detail::gemm_shape<A>::panel);
  workspace::frame frame(ws);
  detail::bin_chunk_list const chunks{frame.take<std::int64_t>(plan.experts() + 1).data()};
  chunks.build(plan, most);
  std::int64_t const chunk_count = plan.experts() == 0 ? 0 : chunks.first[plan.experts()];
  auto const run_chunk = [&](std::int64_t chunk, std::int64_t unit, std::int64_t unit_end, void* memory) {
    std::int64_t const e = chunks.expert_of(chunk, plan.experts()), parts = chunks.first[e + 1] - chunks.first[e], part = chunk - chunks.first[e];
    std::int64_t const begin = detail::even_split(plan.kept[e], parts, part), end = detail::even_split(plan.kept[e], parts, part + 1);
    std::int64_t const first = plan.offsets[e] + begin;
    detail::bin_rows<Source> const rows{loop.source, plan, first};
    detail::expert_blocks<Bank> const blocks{loop.bank, e};
    detail::bin_store<Sink> const store{loop.sink, plan, e, first};
    detail::gemm_task<A>(rows, end - begin, blocks, sizes.inner, sizes.outer, unit, unit_end, store, scratch, memory);
  };
  if constexpr (detail::sink_folds<Sink>) {
    // one writer a stripe of columns, which visits experts in ascending order
    std::int64_t const stripes = units < 16 ? units : 16;
    for_each_task(ex, stripes, scratch.bytes(), ws, [&](std::int64_t stripe, void* memory) {
      std::int64_t const unit = units * stripe / stripes, unit_end = units * (stripe + 1) / stripes, width = detail::gemm_shape<A>::panel;
      std::int64_t const column = unit * width, end = unit_end * width < sizes.outer ? unit_end * width : sizes.outer;
      loop.sink.start(plan, column, end - column);
      for (std::int64_t chunk = 0; chunk < chunk_count; ++chunk) run_chunk(chunk, unit, unit_end, memory);
    });
  } else {
    if (chunk_count == 0 || units == 0) return;
    std::int64_t const wanted = fanfold::detail::divide_up(32, chunk_count), groups = wanted < units ? wanted : units;
    for_each_task(ex, chunk_count * groups, scratch.bytes(), ws, [&](std::int64_t task, void* memory) {
      std::int64_t const group = task % groups;
      run_chunk(task / groups, units * group / groups, units * (group + 1) / groups, memory);
    });
  }
}

/// Variable-size products: for every expert e and each of its kept rows r, `sink <- source[r, :] * W_e`, where `source` is plan_rows or
/// gathered, the bank a weight_bank (packed on the way), a packed_bank (packed once) or a bank_pair, and the sink row_sink, folding_sink
/// or an activated one of the expert networks. Padding rows are neither read nor written. Sizes need not be multiples of anything.
/// \throws argument_error for shapes that do not match.
/// \par Determinism  each element is one chain of (fused, where the target can) multiply-adds over the inner index: a row's bits depend on
/// neither threads, batch mates, chunking nor bank form; across builds the usual bound inner * eps * sum |x w| holds.
template <executor E, class Source, class Bank, class Sink, fanfold::detail::call_option... Options>
void grouped_gemm(E const& ex, plan_view const& plan, Source const& source, Bank const& bank, Sink const& sink, Options&&... options) {
  auto const sizes = detail::sizes_of(bank);
  detail::check_plan_shape("grouped_gemm", plan);
  check_argument(sizes.experts == plan.experts(), "grouped_gemm", "experts of the bank", sizes.experts, "the plan's experts");
  check_argument(sizes.inner == source.width(), "grouped_gemm", "inner size of the bank", sizes.inner, "the width of the source");
  source.check("grouped_gemm", ex, plan);
  sink.check("grouped_gemm", ex, plan, sizes.outer);
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, grouped_gemm_loop<Source, Bank, Sink>{source, bank, sink}, plan, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
