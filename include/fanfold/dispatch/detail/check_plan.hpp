#pragma once

#include <cstdint>
#include <string>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/plan_view.hpp"

// Argument checks that the users of a plan share.
namespace fanfold::inline FANFOLD_ABI::dispatch::detail {

/// Rows that a buffer for the plan's rows must have: known on the host, bounded on a device.
template <class E>
std::int64_t rows_to_hold(E const&, plan_view const& plan) {
  if constexpr (host_executor<E>)
    return plan.rows();
  else
    return plan.row_bound();
}

inline void check_plan_shape(char const* function, plan_view const& plan) {
  check_argument(plan.offsets.size() == plan.experts() + 1 && plan.kept.size() == plan.experts(), function, "plan.offsets.size()",
                 plan.offsets.size(), "the number of experts + 1");
  check_argument(plan.row_of.size() == plan.assignments(), function, "plan.row_of.size()", plan.row_of.size(), "tokens * slots");
}

inline void check_extent(bool ok, char const* function, char const* name, char const* extent, std::int64_t value, char const* limit, std::int64_t number) {
  if (ok) [[likely]] return;
  fanfold::detail::throw_argument_error(function, (std::string(name) + extent).c_str(), std::to_string(value), (limit + std::to_string(number)).c_str());
}

/// A matrix over the plan's rows: long enough, and of `cols` columns.
template <class E, class T>
void check_rows(char const* function, char const* name, E const& ex, plan_view const& plan, matrix_view<T> rows, std::int64_t cols) {
  std::int64_t const needed = rows_to_hold(ex, plan);
  check_extent(rows.rows() >= needed, function, name, ".rows()", rows.rows(), "at least the rows of the plan, ", needed);
  check_extent(rows.cols() == cols, function, name, ".cols()", rows.cols(), "the width, ", cols);
  check_argument(needed == 0 || cols == 0 || rows.data() != nullptr, function, name, "null", "not null");
}

/// A matrix of one row a token; `optional` ones may be absent.
template <class T>
void check_tokens(char const* function, char const* name, plan_view const& plan, matrix_view<T> m, std::int64_t cols, bool optional = false) {
  if (optional && m.data() == nullptr) return;
  check_extent(m.rows() == plan.tokens, function, name, ".rows()", m.rows(), "the plan's tokens, ", plan.tokens);
  check_extent(m.cols() == cols, function, name, ".cols()", m.cols(), "", cols);
  check_argument(m.empty() || m.data() != nullptr, function, name, "null", "not null");
}

template <class T, class U>
void check_apart(char const* function, char const* names, matrix_view<T> a, matrix_view<U> b) {
  auto const span = [](auto m) { return view(m.data(), m.empty() ? 0 : (m.rows() - 1) * m.stride() + m.cols()); };
  check_argument(!overlaps(span(a), span(b)), function, names, "overlapping", "disjoint");
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
