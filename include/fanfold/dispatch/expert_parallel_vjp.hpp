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
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/exchange.hpp"
#include "fanfold/dispatch/expert_parallel.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/moe_layer_vjp.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assignment.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// A rank's tokens, routes and dy = dL/dy, and where the gradients of tokens (T x D) and routing weights (T x K) go; these may be absent (null
/// data). The gradient of `init` is dy.
template <class T, class G = arithmetic_t<T>, class DX = arithmetic_t<T>>
struct rank_gradients {
  using arithmetic = arithmetic_t<T>;
  matrix_view<T const> x{};
  route::assignment<arithmetic const, std::int32_t const> routes{};
  matrix_view<G const> dy{};
  matrix_view<DX> dx{};
  matrix_view<arithmetic> dweight{};
};

namespace detail {

/// weight(r, 0) = the weight of row r's assignment, absent ones 1.
template <class A>
void weights_of_rows(plan_view const& plan, matrix_view<A const> weight, matrix_view<A> out) {
  for (std::int64_t r = 0; r < plan.rows(); ++r) {
    std::int64_t const a = plan.src_of[r];
    out(r, 0) = weight.data() == nullptr ? A(1) : weight(a / plan.slots, a % plan.slots);
  }
}

/// out(t, s) = what came back for that assignment, 0 for unused slots.
template <class A>
void weights_to_tokens(plan_view const& plan, matrix_view<A const> rows, matrix_view<A> out) {
  for (std::int64_t a = 0; a < plan.assignments(); ++a) {
    std::int64_t const r = plan.row_of[a];
    out(a / plan.slots, a % plan.slots) = r < 0 ? A(0) : rows(r, 0);
  }
}

template <class Gradients>
void check_gradients(Gradients const& b, Gradients const& first, std::int64_t experts) {
  static constexpr char function[] = "expert_parallel_vjp";
  check_argument(b.routes.id.rows() == b.x.rows() && b.dy.rows() == b.x.rows(), function, "rows of a batch", b.routes.id.rows(), "its tokens");
  check_argument(b.routes.weight.data() == nullptr || (b.routes.weight.rows() == b.x.rows() && b.routes.weight.cols() == b.routes.slots()), function,
                 "shape of the weights", "another", "that of the ids");
  check_argument(b.x.cols() == first.x.cols() && b.dy.cols() == first.dy.cols() && b.routes.slots() == first.routes.slots(), function, "columns of a batch",
                 b.x.cols(), "everywhere the same, as slots are");
  check_argument(b.dx.data() == nullptr || (b.dx.rows() == b.x.rows() && b.dx.cols() == b.x.cols()), function, "shape of dx", "another", "that of x");
  check_argument(b.dweight.data() == nullptr || (b.dweight.rows() == b.x.rows() && b.dweight.cols() == b.routes.slots()), function, "shape of dweight",
                 "another", "that of the ids");
  for (std::int64_t t = 0; t < b.routes.rows(); ++t)
    for (std::int64_t s = 0; s < b.routes.slots(); ++s)
      check_argument(b.routes.id(t, s) >= -1 && b.routes.id(t, s) < experts, function, "an id", b.routes.id(t, s), "-1 or below the number of experts");
}

}  // namespace detail

/// Gradients of `expert_parallel`: each rank gets those of its tokens and routing weights and of its own experts' weights (`bank_gradients`, one
/// a local rank: ffn_weights or linear_gradients; zeros for an expert without rows). Tokens, weights and dy travel a row an assignment, whatever
/// form the forward pass had, gradients of tokens and weights come back in the arithmetic type. Experts must be ones whose weights are a view.
/// Routes dropped in the forward pass (`row_a_place`) must have id -1 here.
/// All have the bits of `expert_ffn_vjp` in one process that holds the ranks' tokens one after the other.
/// \throws argument_error for shapes and owners that do not fit.
template <host_executor E, communicator C, viewable Banks, viewable Batches, viewable BankGradients, fanfold::detail::call_option... Options>
void expert_parallel_vjp(E const& ex, C const& comm, expert_owners const& owners, std::int64_t count, Banks const& banks, Batches const& rank_batches,
                         BankGradients const& bank_gradients, Options&&... options) {
  static constexpr char function[] = "expert_parallel_vjp";
  auto const experts = as_const(as_view(banks));
  auto const batches = as_const(as_view(rank_batches));
  auto const gradients = as_const(as_view(bank_gradients));
  using batch = typename std::remove_cv_t<decltype(batches)>::value_type;
  using A = typename batch::arithmetic;
  using T = typename decltype(batch::x)::value_type;
  using G = typename decltype(batch::dy)::value_type;
  std::int64_t const local = comm.local_ranks();
  owners.check(count, comm.size());
  check_argument(experts.size() == local && gradients.size() == local, function, "number of expert banks", experts.size(), "the local ranks, as of their gradients");
  check_argument(batches.size() == local, function, "number of batches", batches.size(), "the local ranks");
  for (std::int64_t i = 0; i < local; ++i) {
    check_argument(experts[i].count() == owners.count(comm.rank(i), count), function, "experts of a rank", experts[i].count(), "those that it owns");
    detail::check_gradients(batches[i], batches[0], count);
  }

  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  auto const trips = detail::plan_trips(ex, comm, packed{}, owners, count, batches, frame, ws);
  detail::rank_matrices<T> sent_x(frame, local), x(frame, local);
  detail::rank_matrices<G> sent_dy(frame, local), dy(frame, local);
  detail::rank_matrices<A> sent_weight(frame, local), weight(frame, local), dx(frame, local), dweight(frame, local), dx_back(frame, local), dweight_back(frame, local);
  for (std::int64_t i = 0; i < local; ++i) {
    auto const& b = batches[i];
    std::int64_t const sent = trips.plan[i].rows(), arrived = trips.trip[i].received_rows();
    gather(ex, trips.plan[i], b.x, sent_x.take(frame, i, sent, b.x.cols()), ws);
    gather(ex, trips.plan[i], b.dy, sent_dy.take(frame, i, sent, b.dy.cols()), ws);
    detail::weights_of_rows(trips.plan[i], b.routes.weight, sent_weight.take(frame, i, sent, 1));
    x.take(frame, i, arrived, b.x.cols()), dy.take(frame, i, arrived, b.dy.cols()), weight.take(frame, i, arrived, 1);
    dx.take(frame, i, arrived, b.x.cols()), dweight.take(frame, i, arrived, 1);
    dx_back.take(frame, i, sent, b.x.cols()), dweight_back.take(frame, i, sent, 1);
  }
  detail::exchange_rows(comm, sent_x, trips.rows, x, false, ws);
  detail::exchange_rows(comm, sent_dy, trips.rows, dy, false, ws);
  detail::exchange_rows(comm, sent_weight, trips.rows, weight, false, ws);
  for (std::int64_t i = 0; i < local; ++i) {
    workspace::frame inner(ws);
    plan_view const here = detail::plan_arrived<A>(ex, trips.trip[i], inner, ws);
    experts_vjp(ex, experts[i], weighted_sum{}, here, as_const(x.of[i]), as_const(weight.of[i]), as_const(dy.of[i]), dx.of[i], dweight.of[i], gradients[i], ws);
  }
  detail::exchange_rows(comm, dx, trips.rows, dx_back, true, ws);
  detail::exchange_rows(comm, dweight, trips.rows, dweight_back, true, ws);
  for (std::int64_t i = 0; i < local; ++i) {
    if (batches[i].dx.data() != nullptr) gather_vjp(ex, unscaled{}, trips.plan[i], dx_back.of[i], batches[i].dx, ws);
    if (batches[i].dweight.data() != nullptr) detail::weights_to_tokens(trips.plan[i], as_const(dweight_back.of[i]), batches[i].dweight);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
