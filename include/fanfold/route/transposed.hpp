#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// What a router gives in which experts pick tokens: E rows of C places. `token(e, i)` is the i-th token of expert e or -1, `weight(e, i)`
/// its combine weight, 0 where the place is empty. With groups, C = groups times the places of a group, group by group. Not owning.
template <class W = float>
struct expert_assignment {
  matrix_view<std::int32_t> token{};
  matrix_view<W> weight{};

  std::int64_t experts() const { return token.rows(); }
  std::int64_t places() const { return token.cols(); }
};

/// Token by token: row t holds entries [row_ptr[t], row_ptr[t + 1]) of `id` (experts, ascending) and `weight`. Not owning.
template <class W = float>
struct ragged_assignment {
  view<std::int64_t> row_ptr{};
  view<std::int32_t> id{};
  view<W> weight{};
};

namespace detail {

template <class W, class F>
void for_each_choice(expert_assignment<W> const& a, std::int64_t tokens, char const* function, F const& f) {
  for (std::int64_t e = 0; e < a.experts(); ++e)
    for (std::int64_t i = 0; i < a.places(); ++i) {
      std::int32_t const t = a.token(e, i);
      check_argument(t >= -1 && t < tokens, function, "a token", t, "-1 or a row of the batch");
      if (t >= 0) f(t, static_cast<std::int32_t>(e), a.weight(e, i));
    }
}

}  // namespace detail

/// The same choices row by row; `out.id` and `out.weight` have E C entries, of which row_ptr[T] are used. Host memory.
template <class W>
void transpose(expert_assignment<W> const& a, std::int64_t tokens, ragged_assignment<W> out) {
  static constexpr char function[] = "route::transpose";
  check_argument(out.row_ptr.size() == tokens + 1, function, "size of row_ptr", out.row_ptr.size(), "tokens + 1");
  std::int64_t const most = a.experts() * a.places();
  check_argument(out.id.size() >= most && out.weight.size() >= most, function, "size of the ids", out.id.size(), "at least experts times places");
  detail::for_each_choice(a, tokens, function, [](std::int32_t, std::int32_t, W) {});
  for (std::int64_t t = 0; t <= tokens; ++t) out.row_ptr[t] = 0;
  detail::for_each_choice(a, tokens, function, [&](std::int32_t t, std::int32_t, W) { ++out.row_ptr[t + 1]; });
  for (std::int64_t t = 0; t < tokens; ++t) out.row_ptr[t + 1] += out.row_ptr[t];
  detail::for_each_choice(a, tokens, function, [&](std::int32_t t, std::int32_t e, W w) {
    std::int64_t const at = out.row_ptr[t]++;
    out.id[at] = e;
    out.weight[at] = w;
  });
  for (std::int64_t t = tokens; t > 0; --t) out.row_ptr[t] = out.row_ptr[t - 1];
  if (tokens >= 0) out.row_ptr[0] = 0;
}

/// The same choices as an assignment of K slots, experts ascending, for dispatch. K = E always holds them. Host memory.
/// \throws argument_error where a token has more than K experts.
template <class W>
void transpose(expert_assignment<W> const& a, assignment<W> out) {
  static constexpr char function[] = "route::transpose";
  detail::for_each_choice(a, out.rows(), function, [](std::int32_t, std::int32_t, W) {});
  for (std::int64_t t = 0; t < out.rows(); ++t)
    for (std::int64_t j = 0; j < out.slots(); ++j) {
      out.id(t, j) = -1;
      out.weight(t, j) = from_arithmetic<W>(0);
    }
  detail::for_each_choice(a, out.rows(), function, [&](std::int32_t t, std::int32_t e, W w) {
    std::int64_t j = 0;
    while (j < out.slots() && out.id(t, j) >= 0) ++j;
    check_argument(j < out.slots(), function, "experts of a token", j + 1, "at most the slots of the assignment");
    out.id(t, j) = e;
    out.weight(t, j) = w;
  });
}

/// The same with an executor: host executors do it on the calling thread; device executors need kernel/transposed.hpp.
template <host_executor E, class W>
void transpose(E const&, expert_assignment<W> const& a, std::int64_t tokens, ragged_assignment<W> out) {
  transpose(a, tokens, out);
}
template <host_executor E, class W>
void transpose(E const&, expert_assignment<W> const& a, assignment<W> out) {
  transpose(a, out);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
