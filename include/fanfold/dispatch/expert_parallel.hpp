#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/communicator.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/token_exchange.hpp"
#include "fanfold/dispatch/exchange.hpp"
#include "fanfold/dispatch/exchange_form.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assign.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

inline void check_form(char const* function, exchange_form form, bool weigh_input, std::int64_t, std::int64_t) {
  check_argument(!weigh_input || form != exchange_form::row_an_assignment, function, "form", "row_an_assignment",
                 "another one where weights multiply the tokens");
}
inline void check_form(char const* function, row_a_token_and_node const& form, bool, std::int64_t ranks, std::int64_t) {
  check_argument(form.ranks_a_node >= 1 && ranks % form.ranks_a_node == 0, function, "ranks_a_node", form.ranks_a_node, "a divisor of the ranks");
}
inline void check_form(char const* function, row_a_place const& form, bool weigh_input, std::int64_t ranks, std::int64_t experts) {
  check_argument(form.places_an_expert >= 0 && form.places_an_expert <= most_rows / (ranks * (experts < 1 ? 1 : experts)), function, "places_an_expert",
                 form.places_an_expert, "0 or more, and few enough that ranks * experts * places stay below 2^31");
  check_argument(!weigh_input, function, "form", "row_a_place", "another one where weights multiply the tokens");
}

template <class F>
concept any_exchange_form = std::is_same_v<F, exchange_form> || std::is_same_v<F, row_a_token_and_node> || std::is_same_v<F, row_a_place>;

}  // namespace detail

/// Experts spread over ranks, in the exchange that `form` (an exchange_form, row_a_token_and_node or row_a_place) names. `banks` and `rank_batches` hold one entry a local rank of `comm`;
/// banks[i] are those that rank(i) owns, `count` is how many there are in all. Each y has the bits that one process with all experts gets
/// with the bracket by_rank_then_slot (at most 32 slots); with two levels those partial results of ranks are folded by node first.
/// With one rank nothing is sent. Counts are read on the host, so host executors only.
/// (Megatron-LM's token dispatcher; DeepEP's one row a (token, rank).)
/// \throws argument_error for shapes and owners that do not fit.
template <host_executor E, communicator C, detail::any_exchange_form Form, viewable Banks, viewable Batches, fanfold::detail::call_option... Options>
void expert_parallel(E const& ex, C const& comm, Form form, expert_owners const& owners, std::int64_t count, Banks const& banks,
                     Batches const& rank_batches, Options&&... options) {
  static constexpr char function[] = "expert_parallel";
  auto const experts = as_const(as_view(banks));
  auto const batches = as_const(as_view(rank_batches));
  owners.check(count, comm.size());
  check_argument(experts.size() == comm.local_ranks(), function, "number of expert banks", experts.size(), "the local ranks");
  check_argument(batches.size() == comm.local_ranks(), function, "number of batches", batches.size(), "the local ranks");
  for (std::int64_t i = 0; i < batches.size(); ++i) {
    auto const& b = batches[i];
    check_argument(experts[i].count() == owners.count(comm.rank(i), count), function, "experts of a rank", experts[i].count(), "those that it owns");
    check_argument(b.routes.id.rows() == b.x.rows() && b.y.rows() == b.x.rows(), function, "rows of a batch", b.routes.id.rows(), "its tokens");
    check_argument(b.routes.slots() <= 32 && b.routes.slots() == batches[0].routes.slots(), function, "slots", b.routes.slots(), "at most 32, everywhere the same");
    check_argument(b.x.cols() == batches[0].x.cols() && b.y.cols() == batches[0].y.cols(), function, "columns of a batch", b.x.cols(), "everywhere the same");
    for (std::int64_t t = 0; t < b.routes.rows(); ++t)
      for (std::int64_t s = 0; s < b.routes.slots(); ++s)
        check_argument(b.routes.id(t, s) >= -1 && b.routes.id(t, s) < count, function, "an id", b.routes.id(t, s), "-1 or below the number of experts");
    bool weigh_input = false;
    if constexpr (requires { experts[i].weigh_input; }) weigh_input = experts[i].weigh_input;
    detail::check_form(function, form, weigh_input, comm.size(), count);
  }
  fanfold::detail::call_workspace ws(ex, options...);
  detail::exchange_in_form(ex, comm, form, owners, count, experts, batches, ws.get());
}

/// A mixture-of-experts layer whose experts are spread over ranks: router, drops by `plan` within each rank's batch, expert_parallel.
template <class Router, class Plan = packed, class Form = exchange_form>
struct parallel_moe_layer {
  Router router{};
  expert_owners owners{};
  std::int64_t experts = 0;  // in all
  Form form = default_form();
  Plan plan{};

  /// tokens[i] (T_i x D), logits[i] (T_i x E) and out[i] belong to local rank i, banks[i] are its experts.
  template <host_executor E, communicator C, viewable Banks, viewable Tokens, viewable Logits, viewable Out, fanfold::detail::call_option... Options>
  void operator()(E const& ex, C const& comm, Banks const& banks, Tokens const& all_tokens, Logits const& all_logits, Out const& all_out, Options&&... options) const {
    auto const tokens = as_view(all_tokens);
    auto const logits = as_view(all_logits);
    auto const out = as_view(all_out);
    using T = typename std::remove_cvref_t<decltype(tokens[0])>::value_type;
    using Y = typename std::remove_cvref_t<decltype(out[0])>::value_type;
    using A = arithmetic_t<T>;
    std::int64_t const local = comm.local_ranks(), slots = router.slots(experts);
    check_argument(tokens.size() == local && logits.size() == local && out.size() == local, "parallel_moe_layer", "number of batches", tokens.size(), "the local ranks");
    fanfold::detail::call_workspace scratch(ex, options...);
    workspace& ws = scratch.get();
    workspace::frame frame(ws);
    auto const batches = frame.template take<rank_batch<T, Y>>(local);
    for (std::int64_t i = 0; i < local; ++i) {
      std::int64_t const n = tokens[i].rows();
      check_argument(logits[i].cols() == experts, "parallel_moe_layer", "columns of the logits", logits[i].cols(), "the experts of all ranks");
      matrix_view<std::int32_t> const id(frame.template take<std::int32_t>(n * slots).data(), n, slots);
      matrix_view<A> const weight(frame.template take<A>(n * slots).data(), n, slots);
      route::assignment<A, std::int32_t> const routes{id, weight};
      route::assign(ex, router, logits[i], routes, ws);
      drop(ex, routes, frame, ws);
      batches[i] = {as_const(tokens[i]), route::as_const(routes), {}, out[i]};
    }
    expert_parallel(ex, comm, form, owners, experts, banks, batches, ws);
  }

 private:
  static constexpr Form default_form() {
    if constexpr (std::is_same_v<Form, exchange_form>)
      return exchange_form::row_a_token_and_rank;
    else
      return {};
  }

  template <class E, class A>
  void drop(E const& ex, route::assignment<A, std::int32_t> const& routes, workspace::frame& frame, workspace& ws) const {
    if constexpr (std::is_same_v<Plan, packed>) return;
    auto const& layout = [&]() -> auto const& {
      if constexpr (plan_layout<Plan>)
        return plan;
      else
        return plan.layout;
    }();
    plan_view const kept = take_plan(frame, layout, routes.rows(), routes.slots(), experts);
    make_plan(ex, plan, routes, kept, ws);
    for (std::int64_t a = 0; a < kept.assignments(); ++a)
      if (kept.row_of[a] < 0) routes.id(a / kept.slots, a % kept.slots) = -1;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
