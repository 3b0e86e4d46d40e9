#pragma once

#include <cblas.h>

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/weight_bank.hpp"

/// \file
/// grouped_gemm by any CBLAS that the program links: a bank type that chooses the library. An expert is one call to gemm; experts run on the
/// executor's workers, so let the library use one thread. Bits are the library's: they may depend on the rest of the batch.

namespace fanfold::inline FANFOLD_ABI::adapt {

/// A weight_bank (or two side by side, gate and up) whose products CBLAS computes. float and double; one side of the matrices contiguous.
template <class T, int Interleaved = 1>
struct cblas_bank {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  using value_type = T;
  static constexpr int interleaved = Interleaved;
  dispatch::weight_bank<T const> part[std::size_t{Interleaved}]{};

  cblas_bank() = default;
  explicit cblas_bank(dispatch::weight_bank<T const> const& w)
    requires(Interleaved == 1)
      : part{w} {}
  cblas_bank(dispatch::weight_bank<T const> const& gate, dispatch::weight_bank<T const> const& up)
    requires(Interleaved == 2)
      : part{gate, up} {}

  std::int64_t experts() const { return part[0].experts; }
  std::int64_t inner() const { return part[0].inner; }
  std::int64_t outer() const { return part[0].outer; }
};
template <class T>
cblas_bank(dispatch::weight_bank<T> const&) -> cblas_bank<std::remove_const_t<T>, 1>;
template <class T>
cblas_bank(dispatch::weight_bank<T> const&, dispatch::weight_bank<T> const&) -> cblas_bank<std::remove_const_t<T>, 2>;

/// Feed-forward networks on CBLAS, in place of ffn_weights in `expert_ffn` and layers.
template <class T, bool Gated = true>
class cblas_ffn {
 public:
  cblas_ffn() = default;
  explicit cblas_ffn(dispatch::ffn_weights<T const> const& w) : in_(input(w)), down_(w.down) {}

  cblas_bank<T, Gated ? 2 : 1> const& in() const { return in_; }
  cblas_bank<T> const& down() const { return down_; }

 private:
  static cblas_bank<T, Gated ? 2 : 1> input(dispatch::ffn_weights<T const> const& w) {
    if constexpr (Gated)
      return cblas_bank<T, 2>(w.gate, w.up);
    else
      return cblas_bank<T, 1>(w.up);
  }
  cblas_bank<T, Gated ? 2 : 1> in_;
  cblas_bank<T> down_;
};
template <class T>
cblas_ffn(dispatch::ffn_weights<T> const&) -> cblas_ffn<std::remove_const_t<T>>;

namespace detail {

/// c (rows x outer, dense) = a (rows x inner) times expert e's matrix.
template <class T>
void multiply(dispatch::weight_bank<T const> const& w, std::int64_t e, T const* a, std::int64_t a_stride, std::int64_t rows, T* c) {
  bool const plain = w.outer_stride == 1;
  auto const narrow = [](std::int64_t n) { return static_cast<int>(n < 1 ? 1 : n); };
  auto const transposed = plain ? CblasNoTrans : CblasTrans;
  T const* const b = w.data + e * w.expert_stride;
  int const ldb = narrow(plain ? w.inner_stride : w.outer_stride), m = static_cast<int>(rows), n = static_cast<int>(w.outer), k = static_cast<int>(w.inner);
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed, m, n, k, 1.0f, a, narrow(a_stride), b, ldb, 0.0f, c, narrow(w.outer));
  else
    cblas_dgemm(CblasRowMajor, CblasNoTrans, transposed, m, n, k, 1.0, a, narrow(a_stride), b, ldb, 0.0, c, narrow(w.outer));
}

template <class T>
void check_part(dispatch::weight_bank<T const> const& w) {
  constexpr std::int64_t most = (std::numeric_limits<int>::max)();
  check_argument(w.outer_stride == 1 || w.inner_stride == 1, "cblas_bank", "strides of the weights", w.inner_stride, "1 along rows or columns");
  check_argument(w.inner <= most && w.outer <= most && w.inner_stride <= most && w.outer_stride <= most, "cblas_bank", "a size of the weights", w.inner, "below 2^31");
}

}  // namespace detail

/// Host form of E10 on CBLAS: rows of a bin are copied together (unless they are already), multiplied, and handed to the sink.
template <host_executor E, class Source, class T, int Interleaved, class Sink>
void run_loop(E const& ex, dispatch::grouped_gemm_loop<Source, cblas_bank<T, Interleaved>, Sink> const& loop, dispatch::plan_view const& plan, workspace& ws) {
  static_assert(!dispatch::detail::sink_folds<Sink>, "fused_by_expert needs the built-in products");
  static_assert(Interleaved == Sink::panels, "the sink takes another number of interleaved banks");
  static_assert(std::is_same_v<typename Source::value_type, T>, "tokens and weights of CBLAS products have one type");
  auto const& bank = loop.bank;
  for (auto const& part : bank.part) detail::check_part(part);
  std::int64_t longest = 0;
  for (std::int64_t e = 0; e < plan.experts(); ++e) longest = plan.kept[e] > longest ? plan.kept[e] : longest;
  std::int64_t const inner = bank.inner(), outer = bank.outer();
  if (longest == 0 || outer == 0) return;
  auto const bytes = static_cast<std::size_t>(longest * (inner + Interleaved * outer)) * sizeof(T);
  for_each_task(ex, plan.experts(), bytes, ws, [&](std::int64_t e, void* memory) {
    std::int64_t const rows = plan.kept[e], first = plan.offsets[e];
    if (rows == 0) return;
    T* const a = static_cast<T*>(memory);
    for (std::int64_t r = 0; r < rows; ++r) {
      auto const row = loop.source.row(plan, first + r);
      for (std::int64_t i = 0; i < inner; ++i) a[r * inner + i] = dispatch::detail::element_of<T>(row, i);
    }
    T* const c = a + longest * inner;
    for (int p = 0; p < Interleaved; ++p) detail::multiply(bank.part[p], e, static_cast<T const*>(a), inner, rows, c + p * rows * outer);
    for (std::int64_t r = 0; r < rows; ++r) {
      T const* sums[std::size_t{Interleaved}];
      for (int p = 0; p < Interleaved; ++p) sums[p] = c + (p * rows + r) * outer;
      loop.sink.store(plan, e, first + r, std::int64_t{0}, outer, static_cast<T const* const*>(sums));
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::adapt
