#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `run_loop` runs for small steps over tokens, assignments or experts: `f(i)` for every i, in any order; `f` has an HD operator.
template <class F>
struct each_loop {
  F f{};
};

namespace detail {

template <class F>
FANFOLD_NOINLINE void run_each(F const& f, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) f(i);
}

}  // namespace detail

/// Host form; `step` items a task.
template <host_executor E, class F>
void run_loop(E const& ex, each_loop<F> const& loop, std::int64_t n, std::int64_t step) {
  for_each_task(ex, fanfold::detail::divide_up(n, step), [&](std::int64_t task) {
    detail::run_each(loop.f, task * step, (task + 1) * step < n ? (task + 1) * step : n);
  });
}

/// f(i) for i in [0, n), in the executor's memory.
template <executor E, class F>
void for_each(E const& ex, F const& f, std::int64_t n, std::int64_t step = 1024) {
  if (n > 0) run_loop(ex, each_loop<F>{f}, n, step);
}

/// What `run_loop` runs for steps in which a row group works on a token: `f.token(g, t)` for every t, in any order.
template <class F>
struct token_loop {
  F f{};
};

namespace detail {

template <class F>
FANFOLD_NOINLINE void run_tokens(F const& f, std::int64_t begin, std::int64_t end) {
  for (std::int64_t t = begin; t < end; ++t) f.token(host_lane{}, t);
}

}  // namespace detail

/// Host form; `step` tokens a task.
template <host_executor E, class F>
void run_loop(E const& ex, token_loop<F> const& loop, std::int64_t tokens, std::int64_t step) {
  for_each_task(ex, fanfold::detail::divide_up(tokens, step), [&](std::int64_t task) {
    detail::run_tokens(loop.f, task * step, (task + 1) * step < tokens ? (task + 1) * step : tokens);
  });
}

/// f.token(g, t) for t in [0, tokens), in the executor's memory.
template <executor E, class F>
void for_each_token(E const& ex, F const& f, std::int64_t tokens, std::int64_t step = 16) {
  if (tokens > 0) run_loop(ex, token_loop<F>{f}, tokens, step);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
