#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// A source of one row an assignment, in token order: (T K) x columns. (`plan_rows`: bin order; `gathered`: one row a token.)
template <class T>
struct assignment_rows {
  using value_type = T;
  matrix_view<T const> rows{};

  FANFOLD_HD detail::scaled_source<T> row(plan_view const& plan, std::int64_t r) const {
    return {rows.data() + plan.src_of.data()[r] * rows.stride(), arithmetic_t<T>(1), false};
  }
  std::int64_t width() const { return rows.cols(); }
  template <class E>
  void check(char const* function, E const&, plan_view const& plan) const {
    detail::check_extent(rows.rows() == plan.assignments(), function, "assignment_rows", ".rows()", rows.rows(), "tokens * slots, ", plan.assignments());
  }
};
template <matrix_viewable M>
assignment_rows(M const&) -> assignment_rows<std::remove_const_t<typename M::element_type>>;

/// A sink of one row an assignment, in token order. (`row_sink`: bin order.) By itself it leaves rows of dropped and unused slots alone.
template <class T>
struct assignment_sink {
  static constexpr int panels = 1;
  matrix_view<T> rows{};

  template <class A>
  FANFOLD_HD void store(plan_view const& plan, std::int64_t, std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    T* const to = rows.data() + plan.src_of.data()[r] * rows.stride() + column;
    for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(static_cast<arithmetic_t<T>>(sums[0][c]));
  }
  template <class E>
  void check(char const* function, E const&, plan_view const& plan, std::int64_t outer) const {
    detail::check_extent(rows.rows() == plan.assignments(), function, "assignment_sink", ".rows()", rows.rows(), "tokens * slots, ", plan.assignments());
    detail::check_extent(rows.cols() == outer, function, "assignment_sink", ".cols()", rows.cols(), "", outer);
  }
};
template <matrix_viewable M>
assignment_sink(M const&) -> assignment_sink<typename M::element_type>;

namespace detail {

template <class T>
struct clear_dropped {
  plan_view plan{};
  matrix_view<T> rows{};
  FANFOLD_HD void operator()(std::int64_t a) const {
    if (plan.row_of.data()[a] >= 0) return;
    for (std::int64_t c = 0; c < rows.cols(); ++c) rows.data()[a * rows.stride() + c] = from_arithmetic<T>(arithmetic_t<T>(0));
  }
};

template <class S>
inline constexpr bool is_assignment_sink = false;
template <class T>
inline constexpr bool is_assignment_sink<assignment_sink<T>> = true;

}  // namespace detail

/// One linear map an expert whose input and output each stand in token or in bin order (ScatterMoE, Tan et al., 2024): `source` is gathered,
/// assignment_rows or plan_rows, `sink` row_sink or assignment_sink, whose rows of dropped and unused slots become 0. Row tiles are cut at bin
/// borders, so no tile is computed for two experts.
template <executor E, class Source, class Bank, class Sink, fanfold::detail::call_option... Options>
void scatter2scatter(E const& ex, plan_view const& plan, Source const& source, Bank const& bank, Sink const& sink, Options&&... options) {
  grouped_gemm(ex, plan, source, bank, sink, options...);
  if constexpr (detail::is_assignment_sink<Sink>)
    for_each(ex, detail::clear_dropped<typename std::remove_cvref_t<decltype(sink.rows)>::element_type>{plan, sink.rows}, plan.assignments(), 64);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
