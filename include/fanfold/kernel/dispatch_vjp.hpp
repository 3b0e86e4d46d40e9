#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/warp_sum.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

template <class DW, class A>
FANFOLD_HD DW stored(A x) {
  return from_arithmetic<DW>(static_cast<arithmetic_t<DW>>(x));
}
template <class A, class T>
FANFOLD_HD A loaded(T const& x) {
  return static_cast<A>(to_arithmetic(x));
}

template <class A, class T, class G>
struct row_products {
  T const* x;
  G const* g;

  template <int V>
  FANFOLD_HD pack<A, V> at(std::int64_t c) const {
    auto const a = load_pack<V>(x + c);
    auto const b = load_pack<V>(g + c);
    pack<A, V> product;
    for (int i = 0; i < V; ++i) product.item[i] = loaded<A>(a.item[i]) * loaded<A>(b.item[i]);
    return product;
  }
};

/// dweight = <x[t, :], drows[row, :]>, a warp an assignment.
template <int V, class T, class G>
struct assignment_dots_body {
  plan_view plan;
  matrix_view<T const> x;
  matrix_view<G const> drows;

  template <block B, class DW>
  FANFOLD_HD void operator()(B& b, matrix_view<DW> dweight) const {
    using A = arithmetic_t<T>;
    for (std::int64_t a = grid_warp(b); a < plan.assignments(); a += grid_warps(b)) {
      std::int64_t const row = plan.row_of.data()[a], t = a / plan.slots;
      A dot = A(0);
      if (row >= 0) dot = warp_sum<V, A>(b, x.cols(), row_products<A, T, G>{x.data() + t * x.stride(), drows.data() + row * drows.stride()});
      if (lane_of(b) == 0) dweight.data()[t * dweight.stride() + (a - t * plan.slots)] = stored<DW>(dot);
    }
  }
};

/// The gradient of a row through the action, stored as its terms of the weight's gradient are made.
template <class A, class Action, class T, class G, class DT>
struct row_gradient_terms {
  Action action;
  T const* z;
  G const* dy;
  DT* dz;
  A w;

  template <int V>
  FANFOLD_HD pack<A, V> at(std::int64_t c) const {
    auto const zs = load_pack<V>(z + c);
    auto const gs = load_pack<V>(dy + c);
    pack<DT, V> d;
    pack<A, V> term;
    for (int i = 0; i < V; ++i) {
      A const value = loaded<A>(zs.item[i]), g = loaded<A>(gs.item[i]);
      d.item[i] = stored<DT>(row_gradient(action, w, value, g));
      term.item[i] = weight_gradient(action, w, value, g);
    }
    store_pack<V>(dz + c, d);
    return term;
  }
};

/// Gradients of a combine in which every item's gradient is dy (sums): a warp a row, which pulls from its token. One pass over rows and dy.
template <int V, class Action, class T, class W, class G>
struct sum_vjp_body {
  using A = arithmetic_t<T>;
  Action action;
  plan_view plan;
  matrix_view<T const> rows;
  matrix_view<W const> weight;
  matrix_view<G const> dy;

  template <block B, class DT, class DW>
  FANFOLD_HD void operator()(B& b, matrix_view<DT> drows, matrix_view<DW> dweight) const {
    std::int64_t const used = plan.offsets.data()[plan.experts()], cols = dy.cols();
    for (std::int64_t r = grid_warp(b); r < used; r += grid_warps(b)) {
      std::int64_t const a = plan.src_of.data()[r];
      DT* const dz = drows.data() + r * drows.stride();
      if (a < 0) {
        if (!plan.leaves_padding)
          for (std::int64_t c = lane_of(b); c < cols; c += 32) dz[c] = stored<DT>(A(0));
        continue;
      }
      std::int64_t const t = a / plan.slots, s = a - t * plan.slots;
      A const w = weight.data() == nullptr ? A(1) : loaded<A>(weight.data()[t * weight.stride() + s]);
      row_gradient_terms<A, Action, T, G, DT> const terms{action, rows.data() + r * rows.stride(), dy.data() + t * dy.stride(), dz, w};
      if (dweight.data() == nullptr) {
        for (std::int64_t c = lane_of(b) * V; c < cols; c += 32 * V) terms.template at<V>(c);
      } else {
        A const dot = warp_sum<V, A>(b, cols, terms);
        if (lane_of(b) == 0) dweight.data()[t * dweight.stride() + s] = stored<DW>(dot);
      }
    }
    if (dweight.data() == nullptr) return;
    for (std::int64_t a = grid_thread(b); a < plan.assignments(); a += grid_threads(b))
      if (plan.row_of.data()[a] < 0) dweight.data()[a / plan.slots * dweight.stride() + a % plan.slots] = stored<DW>(A(0));
  }
};

/// dinit = dy, a thread an element.
template <class A>
struct copy_tokens_body {
  template <block B, class G, class DI>
  FANFOLD_HD void operator()(B& b, matrix_view<G const> dy, matrix_view<DI> dinit) const {
    for (std::int64_t i = grid_thread(b); i < dy.rows() * dy.cols(); i += grid_threads(b)) {
      std::int64_t const t = i / dy.cols(), c = i - t * dy.cols();
      dinit.data()[t * dinit.stride() + c] = stored<DI>(loaded<A>(dy.data()[t * dy.stride() + c]));
    }
  }
};

/// Gradients of any combine, first part: a thread folds a column of a token again, then walks its items once more. `gradient` keeps what
/// the weights' dots need.
template <bool Deep, class M, class Action, class Order, class T, class W, class Initial>
struct combine_vjp_body {
  using A = arithmetic_t<T>;
  using forward_body = combine_body<1, Deep, columnwise<M>, Action, Order, T, W, Initial>;
  forward_body forward;

  template <block B, class G, class DT, class DI>
  FANFOLD_HD void operator()(B& b, matrix_view<G const> dy, matrix_view<DT> drows, matrix_view<DI> dinit, matrix_view<A> gradient) const {
    plan_view const& plan = forward.plan;
    M const& m = forward.loop.monoid.aggregator;
    for (std::int64_t i = grid_thread(b); i < plan.tokens * dy.cols(); i += grid_threads(b)) {
      std::int64_t const t = i / dy.cols(), c = i - t * dy.cols();
      typename forward_body::state_type state;
      if (!forward.fold_state(t, c, state)) continue;
      A const g = loaded<A>(dy.data()[t * dy.stride() + c]);
      bool taken = false;
      if (forward.init.data() != nullptr) {
        auto const item = fanfold::detail::load_item<typename M::input>(forward.init.data()[t * forward.init.stride() + c]);
        A const d = item_gradient(m, state.column, taken, item, g);
        if (dinit.data() != nullptr) dinit.data()[t * dinit.stride() + c] = stored<DI>(d);
      }
      slot_walk<Order> walk{plan, forward.loop.order, t};
      while (walk.next()) {
        std::int64_t const row = walk.row_of(walk.slot);
        T const* const z = forward.rows.data() + row * forward.rows.stride();
        A const w = forward.weight_of(walk);
        A const d = item_gradient(m, state.column, taken, fanfold::detail::load_item<typename M::input>(forward.loop.action.row(z, w)[c]), g);
        gradient.data()[row * gradient.stride() + c] = d;
        drows.data()[row * drows.stride() + c] = stored<DT>(row_gradient(forward.loop.action, w, loaded<A>(z[c]), d));
      }
    }
  }
};

template <class A, class Action, class T>
struct weight_gradient_terms {
  Action action;
  T const* z;
  A const* gradient;
  A w;

  template <int V>
  FANFOLD_HD pack<A, V> at(std::int64_t c) const {
    auto const zs = load_pack<V>(z + c);
    auto const gs = load_pack<V>(gradient + c);
    pack<A, V> term;
    for (int i = 0; i < V; ++i) term.item[i] = weight_gradient(action, w, loaded<A>(zs.item[i]), gs.item[i]);
    return term;
  }
};

/// Second part: the weights' gradients, a warp an assignment, and zeros for padding rows, a warp a row.
template <int V, class Action, class T, class W>
struct combine_vjp_dots_body {
  using A = arithmetic_t<T>;
  Action action;
  plan_view plan;
  matrix_view<T const> rows;
  matrix_view<W const> weight;
  matrix_view<A const> gradient;

  template <block B, class DT, class DW>
  FANFOLD_HD void operator()(B& b, matrix_view<DT> drows, matrix_view<DW> dweight) const {
    std::int64_t const used = plan.offsets.data()[plan.experts()], cols = rows.cols();
    for (std::int64_t r = grid_warp(b); !plan.leaves_padding && r < used; r += grid_warps(b)) {
      if (plan.src_of.data()[r] >= 0) continue;
      for (std::int64_t c = lane_of(b); c < cols; c += 32) drows.data()[r * drows.stride() + c] = stored<DT>(A(0));
    }
    if (dweight.data() == nullptr) return;
    for (std::int64_t a = grid_warp(b); a < plan.assignments(); a += grid_warps(b)) {
      std::int64_t const row = plan.row_of.data()[a], t = a / plan.slots, s = a - t * plan.slots;
      A dot = A(0);
      if (row >= 0) {
        A const w = weight.data() == nullptr ? A(1) : loaded<A>(weight.data()[t * weight.stride() + s]);
        dot = warp_sum<V, A>(b, cols, weight_gradient_terms<A, Action, T>{action, rows.data() + row * rows.stride(), gradient.data() + row * gradient.stride(), w});
      }
      if (lane_of(b) == 0) dweight.data()[t * dweight.stride() + s] = stored<DW>(dot);
    }
  }
};

/// Hidden rows from the sums of gate and up, V columns of a used row a thread.
template <int V, class Activation>
struct hidden_body {
  Activation activation;
  plan_view plan;

  template <block B, class A, class T>
  FANFOLD_HD void operator()(B& b, matrix_view<A> gate, matrix_view<A> up, matrix_view<T> hidden) const {
    std::int64_t const groups = up.cols() / V, used = plan.offsets.data()[plan.experts()] * groups;
    for (std::int64_t i = grid_thread(b); i < used; i += grid_threads(b)) {
      std::int64_t const r = i / groups, c = (i - r * groups) * V;
      if (plan.src_of.data()[r] < 0) continue;
      pack<A, V> const u = load_pack<V>(static_cast<A const*>(up.data() + r * up.stride() + c));
      pack<T, V> h;
      if constexpr (Activation::gated) {
        pack<A, V> const g = load_pack<V>(static_cast<A const*>(gate.data() + r * gate.stride() + c));
        for (int v = 0; v < V; ++v) h.item[v] = from_arithmetic<T>(activation.value(g.item[v], u.item[v]));
      } else {
        for (int v = 0; v < V; ++v) h.item[v] = from_arithmetic<T>(activation.value(u.item[v]));
      }
      store_pack<V>(hidden.data() + r * hidden.stride() + c, h);
    }
  }
};

/// The gradients of gate and up in their place.
template <int V, class Activation>
struct hidden_vjp_body {
  Activation activation;
  plan_view plan;

  template <block B, class A>
  FANFOLD_HD void operator()(B& b, matrix_view<A> gate, matrix_view<A> up, matrix_view<A const> dhidden) const {
    std::int64_t const groups = up.cols() / V, used = plan.offsets.data()[plan.experts()] * groups;
    for (std::int64_t i = grid_thread(b); i < used; i += grid_threads(b)) {
      std::int64_t const r = i / groups, c = (i - r * groups) * V;
      if (plan.src_of.data()[r] < 0) continue;
      A* const up_at = up.data() + r * up.stride() + c;
      pack<A, V> u = load_changing_pack<V>(up_at);
      pack<A, V> const dh = load_pack<V>(dhidden.data() + r * dhidden.stride() + c);
      if constexpr (Activation::gated) {
        A* const gate_at = gate.data() + r * gate.stride() + c;
        pack<A, V> g = load_changing_pack<V>(gate_at);
        for (int v = 0; v < V; ++v) {
          auto const d = activation.gradient(g.item[v], u.item[v], dh.item[v]);
          g.item[v] = d.gate, u.item[v] = d.up;
        }
        store_pack<V>(gate_at, g);
      } else {
        for (int v = 0; v < V; ++v) u.item[v] = activation.gradient(u.item[v], dh.item[v]);
      }
      store_pack<V>(up_at, u);
    }
  }
};

template <class Body, class E, class... Arguments>
void launch_threads(E const& ex, Body const& body, std::int64_t items, Arguments const&... arguments) {
  unsigned const threads = threads_for<Body>(ex);
  ex.launch(body, blocks_for(ex, items, threads, threads), threads, arguments...);
}
template <class Body, class E, class... Arguments>
void launch_warps(E const& ex, Body const& body, std::int64_t items, Arguments const&... arguments) {
  unsigned const threads = threads_for<Body>(ex);
  ex.launch(body, blocks_for(ex, items, threads / 32, threads), threads, arguments...);
}

template <int V, class... Matrices>
bool all_packs_fit(Matrices... m) {
  return ((m.data() == nullptr || packs_fit<V>(m)) && ...);
}

}  // namespace detail

/// Bytes that the weights' part of `gather_vjp` moves on a device; the least has each token read once. (The tokens' part is fold_combine.)
constexpr std::int64_t gather_vjp_traffic(std::int64_t kept, std::int64_t assignments, std::int64_t columns, std::int64_t token_size, std::int64_t row_size,
                                          std::int64_t weight_size) {
  return kept * columns * (token_size + row_size) + assignments * (4 + weight_size);
}
/// Bytes that `fold_combine_vjp` of a sum moves on a device: rows and dy are read and drows written in one pass; the least has dy read once a
/// token. Other monoids read rows and write gradients (in the arithmetic type) once more each.
constexpr std::int64_t combine_vjp_traffic(std::int64_t kept, std::int64_t assignments, std::int64_t columns, std::int64_t row_size, std::int64_t dy_size,
                                           std::int64_t drow_size, std::int64_t weight_size) {
  return kept * (columns * (row_size + dy_size + drow_size) + 4 + weight_size) + assignments * (4 + weight_size);
}

/// Device form of the weights' part of `gather_vjp`: one launch.
template <device_executor E, class T, class G, class DW>
void run_loop(E const& ex, assignment_dots_loop, plan_view const& plan, matrix_view<T const> x, matrix_view<G const> drows, matrix_view<DW> dweight,
              workspace&) {
  if (plan.assignments() == 0) return;
  if (detail::all_packs_fit<2>(x, drows))
    detail::launch_warps(ex, detail::assignment_dots_body<2, T, G>{plan, x, drows}, plan.assignments(), dweight);
  else
    detail::launch_warps(ex, detail::assignment_dots_body<1, T, G>{plan, x, drows}, plan.assignments(), dweight);
}

/// Device form of `fold_combine_vjp`: one launch for sums; two for other monoids, with the items' gradients in the workspace. At most 2,048 slots.
template <device_executor E, class M, class Action, class Order, class T, class W, class Initial, class G, class DT, class DW, class DI>
void run_loop(E const& ex, combine_vjp_loop<M, Action, Order> const& loop, plan_view const& plan, matrix_view<T const> rows,
              matrix_view<W const> weight, matrix_view<Initial const> init, matrix_view<G const> dy, matrix_view<DT> drows, matrix_view<DW> dweight,
              matrix_view<DI> dinit, workspace& ws) {
  using A = arithmetic_t<T>;
  check_argument(plan.slots <= tile_items, "fold_combine_vjp", "slots", plan.slots, "at most 2048 on a device");
  std::int64_t const bound = plan.row_bound() > plan.assignments() ? plan.row_bound() : plan.assignments(), elements = dy.rows() * dy.cols();
  if constexpr (!detail::needs_state<M>) {
    if (init.data() != nullptr && dinit.data() != nullptr) detail::launch_threads(ex, detail::copy_tokens_body<A>{}, elements, dy, dinit);
    if (bound == 0) return;
    if (detail::all_packs_fit<2>(rows, dy, drows))
      detail::launch_warps(ex, detail::sum_vjp_body<2, Action, T, W, G>{loop.action, plan, rows, weight, dy}, bound, drows, dweight);
    else
      detail::launch_warps(ex, detail::sum_vjp_body<1, Action, T, W, G>{loop.action, plan, rows, weight, dy}, bound, drows, dweight);
  } else {
    workspace::frame frame(ws);
    std::int64_t const cols = dy.cols();
    matrix_view<A> const gradient(frame.template take<A>(plan.row_bound() * cols).data(), plan.row_bound(), cols);
    combine_loop<columnwise<M>, Action, Order> const forward{columnwise<M>{loop.monoid}, loop.action, loop.order};
    auto const launch = [&]<bool Deep>(std::bool_constant<Deep>) {
      using body = detail::combine_vjp_body<Deep, M, Action, Order, T, W, Initial>;
      detail::launch_threads(ex, body{{forward, plan, rows, weight, init}}, elements, dy, drows, dinit, gradient);
    };
    plan.slots > run_items ? launch(std::true_type{}) : launch(std::false_type{});
    if (bound == 0) return;
    if (detail::all_packs_fit<2>(rows, gradient))
      detail::launch_warps(ex, detail::combine_vjp_dots_body<2, Action, T, W>{loop.action, plan, rows, weight, as_const(gradient)}, bound, drows, dweight);
    else
      detail::launch_warps(ex, detail::combine_vjp_dots_body<1, Action, T, W>{loop.action, plan, rows, weight, as_const(gradient)}, bound, drows, dweight);
  }
}

/// Device forms of the steps between the products of a network: one launch each.
template <device_executor E, class Activation, class A, class T>
void run_loop(E const& ex, activation_loop<Activation> const& loop, plan_view const& plan, matrix_view<A> gate, matrix_view<A> up, matrix_view<T> hidden) {
  constexpr int V = widest_pack<A>;
  std::int64_t const elements = plan.row_bound() * up.cols();
  if (elements == 0) return;
  if (detail::all_packs_fit<V>(gate, up, hidden))
    detail::launch_threads(ex, detail::hidden_body<V, Activation>{loop.activation, plan}, elements / V, gate, up, hidden);
  else
    detail::launch_threads(ex, detail::hidden_body<1, Activation>{loop.activation, plan}, elements, gate, up, hidden);
}
template <device_executor E, class Activation, class A>
void run_loop(E const& ex, activation_loop<Activation> const& loop, plan_view const& plan, matrix_view<A> gate, matrix_view<A> up, matrix_view<A const> dhidden) {
  constexpr int V = widest_pack<A>;
  std::int64_t const elements = plan.row_bound() * up.cols();
  if (elements == 0) return;
  if (detail::all_packs_fit<V>(gate, up, dhidden))
    detail::launch_threads(ex, detail::hidden_vjp_body<V, Activation>{loop.activation, plan}, elements / V, gate, up, dhidden);
  else
    detail::launch_threads(ex, detail::hidden_vjp_body<1, Activation>{loop.activation, plan}, elements, gate, up, dhidden);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
