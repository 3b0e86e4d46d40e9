#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/logits/cosine.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Rows without a condition (conditional[t] = 0) go to the expert after the E prototypes with weight 1, other slots empty (ProMoE, 2510.24711).
/// Call after `assign`, which gets the same bytes as row_mask, so that these rows count nowhere there.
template <class W, class Id>
void split_unconditional(view<std::uint8_t const> conditional, std::int64_t experts, assignment<W, Id> out) {
  check_argument(conditional.size() == out.rows(), "route::split_unconditional", "size of conditional", conditional.size(), "the rows of the assignment");
  for (std::int64_t t = 0; t < out.rows(); ++t)
    for (std::int64_t j = 0; j < out.slots() && conditional[t] == 0; ++j) {
      out.id(t, j) = j == 0 ? static_cast<Id>(experts) : Id(-1);
      out.weight(t, j) = from_arithmetic<W>(static_cast<arithmetic_t<W>>(j == 0 ? 1 : 0));
    }
}

/// ProMoE's routing contrastive loss: lambda times the mean over prototypes that have tokens of -log softmax_k(cos(c_k, m_.) / tau)_k, m_k the
/// mean of its tokens. Members: tokens that hold k in any slot (or the first only). Fewer than two such prototypes: 0. In double.
struct routing_contrast {
  double lambda = 1;
  double tau = 0.07;
  bool first_only = false;

  template <class X, class C, class Id>
  double value(matrix_view<X const> x, matrix_view<C const> prototypes, matrix_view<Id> id) const {
    return evaluate(x, prototypes, id, matrix_view<double>{}, matrix_view<double>{});
  }
  /// Writes the gradients by tokens and prototypes; memberships are constants. Returns the value.
  template <class X, class C, class Id>
  double gradient(matrix_view<X const> x, matrix_view<C const> prototypes, matrix_view<Id> id, matrix_view<double> dx, matrix_view<double> dprototypes) const {
    return evaluate(x, prototypes, id, dx, dprototypes);
  }

 private:
  template <class X, class C, class Id>
  double evaluate(matrix_view<X const> x, matrix_view<C const> c, matrix_view<Id> id, matrix_view<double> dx, matrix_view<double> dc) const {
    static constexpr char function[] = "route::routing_contrast";
    check_argument(tau > 0, function, "tau", tau, "positive");
    check_argument(x.cols() == c.cols(), function, "columns of the tokens", x.cols(), "those of the prototypes");
    check_argument(id.rows() == x.rows(), function, "rows of the ids", id.rows(), "the number of tokens");
    std::int64_t const d = x.cols(), n = c.rows(), slots = first_only && id.cols() > 1 ? 1 : id.cols();
    bool const wanted = dx.data() != nullptr;
    for (std::int64_t t = 0; wanted && t < x.rows(); ++t)
      for (std::int64_t i = 0; i < d; ++i) dx(t, i) = 0;
    for (std::int64_t e = 0; wanted && e < n; ++e)
      for (std::int64_t i = 0; i < d; ++i) dc(e, i) = 0;
    std::vector<double> mean(at(n * d));
    std::vector<std::int64_t> count(at(n)), live;
    for (std::int64_t t = 0; t < x.rows(); ++t)
      for (std::int64_t j = 0; j < slots; ++j) {
        auto const e = static_cast<std::int64_t>(id(t, j));
        if (e < 0 || e >= n) continue;
        ++count[at(e)];
        for (std::int64_t i = 0; i < d; ++i) mean[at(e * d + i)] += static_cast<double>(to_arithmetic(x(t, i)));
      }
    for (std::int64_t e = 0; e < n; ++e)
      if (count[at(e)] > 0) live.push_back(e);
    auto const v = static_cast<std::int64_t>(live.size());
    if (v < 2) return 0;
    std::vector<double> u(at(v * d)), m(at(v * d)), u_norm(at(v)), m_norm(at(v)), z(at(v * v)), du(at(v * d)), dm(at(v * d));
    for (std::int64_t k = 0; k < v; ++k) {
      std::int64_t const e = live[at(k)];
      for (std::int64_t i = 0; i < d; ++i) mean[at(e * d + i)] /= static_cast<double>(count[at(e)]);
      u_norm[at(k)] = detail::unit_row(c.row(e).data(), d, u.data() + k * d);
      m_norm[at(k)] = detail::unit_row(mean.data() + e * d, d, m.data() + k * d);
    }
    double loss = 0;
    for (std::int64_t k = 0; k < v; ++k) {
      double* const row = z.data() + k * v;
      for (std::int64_t l = 0; l < v; ++l) row[l] = detail::dot<double>(u.data() + k * d, m.data() + l * d, d) / tau;
      double const own = row[k];
      auto const s = detail::softmax_row(host_lane{}, row, row, v);
      loss += (s.max - own) + math::log(s.sum);
      for (std::int64_t l = 0; wanted && l < v; ++l) {
        double const dz = lambda * (row[l] - (l == k ? 1 : 0)) / static_cast<double>(v) / tau;
        for (std::int64_t i = 0; i < d; ++i) {
          du[at(k * d + i)] += dz * m[at(l * d + i)];
          dm[at(l * d + i)] += dz * u[at(k * d + i)];
        }
      }
    }
    for (std::int64_t k = 0; wanted && k < v; ++k) {
      detail::unit_row_vjp(u.data() + k * d, u_norm[at(k)], d, du.data() + k * d);
      detail::unit_row_vjp(m.data() + k * d, m_norm[at(k)], d, dm.data() + k * d);
      for (std::int64_t i = 0; i < d; ++i) dc(live[at(k)], i) = du[at(k * d + i)];
      for (std::int64_t t = 0; t < x.rows(); ++t)
        for (std::int64_t j = 0; j < slots; ++j)
          if (static_cast<std::int64_t>(id(t, j)) == live[at(k)])
            for (std::int64_t i = 0; i < d; ++i) dx(t, i) += dm[at(k * d + i)] / static_cast<double>(count[at(live[at(k)])]);
    }
    return lambda * loss / static_cast<double>(v);
  }
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
