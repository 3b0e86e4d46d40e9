#pragma once

#include <concepts>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

// Activations of expert networks: `value(x)` and its derivative `slope(x)`, for float and double, on host and device.

/// x * sigmoid(x).
struct silu {
  template <class A>
  FANFOLD_HD static constexpr A value(A x) {
    return x * math::sigmoid(x);
  }
  template <class A>
  FANFOLD_HD static constexpr A slope(A x) {
    A const s = math::sigmoid(x);
    return s * (A(1) + x * (A(1) - s));
  }
};

/// x * Phi(x), Phi by the error function.
struct gelu {
  template <class A>
  FANFOLD_HD static constexpr A normal(A x) {
    return A(0.5) * (A(1) + math::erf(x * A(0.70710678118654752440)));
  }
  template <class A>
  FANFOLD_HD static constexpr A value(A x) {
    return x * normal(x);
  }
  template <class A>
  FANFOLD_HD static constexpr A slope(A x) {
    return normal(x) + x * (A(0.39894228040143267794) * math::exp(A(-0.5) * x * x));
  }
};

/// The usual approximation of gelu by tanh.
struct gelu_tanh {
  template <class A>
  FANFOLD_HD static constexpr A value(A x) {
    return A(0.5) * x * (A(1) + math::tanh(A(0.79788456080286535588) * (x + A(0.044715) * (x * x * x))));
  }
  template <class A>
  FANFOLD_HD static constexpr A slope(A x) {
    A const t = math::tanh(A(0.79788456080286535588) * (x + A(0.044715) * (x * x * x)));
    A const inner = A(0.79788456080286535588) * (A(1) + A(3 * 0.044715) * (x * x));
    return A(0.5) * (A(1) + t) + A(0.5) * x * (A(1) - t * t) * inner;
  }
};

/// max(x, 0); NaN stays. The slope at 0 is 0.
struct relu {
  template <class A>
  FANFOLD_HD static constexpr A value(A x) {
    return x < A(0) ? A(0) : x;
  }
  template <class A>
  FANFOLD_HD static constexpr A slope(A x) {
    return x > A(0) ? A(1) : A(0);
  }
};

struct identity {
  template <class A>
  FANFOLD_HD static constexpr A value(A x) {
    return x;
  }
  template <class A>
  FANFOLD_HD static constexpr A slope(A) {
    return A(1);
  }
};

template <class A>
struct gated_gradient {
  A gate, up;
};

/// h = act(g) * u.
template <class Activation = silu>
struct glu {
  static constexpr bool gated = true;
  Activation activation{};

  template <class A>
  FANFOLD_HD constexpr A value(A g, A u) const {
    return activation.value(g) * u;
  }
  template <class A>
  FANFOLD_HD constexpr gated_gradient<A> gradient(A g, A u, A dh) const {
    return {dh * u * activation.slope(g), dh * activation.value(g)};
  }
};
glu() -> glu<>;
template <class Activation>
glu(Activation) -> glu<Activation>;

/// h = act(x): networks without a gate.
template <class Activation = silu>
struct plain {
  static constexpr bool gated = false;
  Activation activation{};

  template <class A>
  FANFOLD_HD constexpr A value(A x) const {
    return activation.value(x);
  }
  template <class A>
  FANFOLD_HD constexpr A gradient(A x, A dh) const {
    return dh * activation.slope(x);
  }
};
plain() -> plain<>;
template <class Activation>
plain(Activation) -> plain<Activation>;

/// g' = min(g, limit), u' = clamp(u, -limit, limit): h = g' sigmoid(alpha g') (u' + 1).
struct clamped_swiglu {
  static constexpr bool gated = true;
  double limit = 7.0;
  double alpha = 1.702;

  template <class A>
  FANFOLD_HD constexpr A clamp_gate(A g) const {
    return g > A(limit) ? A(limit) : g;
  }
  template <class A>
  FANFOLD_HD constexpr A clamp_up(A u) const {
    A const below = u > A(limit) ? A(limit) : u;
    return below < -A(limit) ? -A(limit) : below;
  }
  template <class A>
  FANFOLD_HD constexpr A value(A g, A u) const {
    A const gate = clamp_gate(g);
    return gate * math::sigmoid(A(alpha) * gate) * (clamp_up(u) + A(1));
  }
  template <class A>
  FANFOLD_HD constexpr gated_gradient<A> gradient(A g, A u, A dh) const {
    A const gate = clamp_gate(g), s = math::sigmoid(A(alpha) * gate);
    A const dg = dh * (clamp_up(u) + A(1)) * (s + A(alpha) * gate * s * (A(1) - s)), du = dh * gate * s;
    return {g > A(limit) ? A(0) : dg, u > A(limit) || u < -A(limit) ? A(0) : du};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
