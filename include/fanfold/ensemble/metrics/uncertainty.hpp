#pragma once

#include <cstdint>

#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/ensemble/metrics/sample.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// Where the doubt of an ensemble about one sample comes from, in nats.
struct uncertainty_parts {
  double total = 0;               // entropy of the mean distribution
  double aleatoric = 0;           // mean entropy of the members
  double mutual_information = 0;  // their difference: mean KL(p_m || mean), the members' disagreement
};

/// Splits the uncertainty of equally weighted members about sample n; `members` is a list of matrices of probabilities [samples x classes].
template <viewable Members>
uncertainty_parts uncertainty(Members const& members, std::int64_t n) {
  auto const list = as_const(as_view(members));
  check_argument(list.size() >= 1, "ensemble::uncertainty", "number of members", list.size(), "1 or more");
  for (auto const& m : list) {
    check_argument(n >= 0 && n < m.rows(), "ensemble::uncertainty", "sample", n, "in [0, samples)");
    check_argument(m.cols() == list[0].cols(), "ensemble::uncertainty", "number of classes of a member", m.cols(), "that of the first");
  }
  auto const count = static_cast<double>(list.size());
  uncertainty_parts u;
  for (std::int64_t c = 0; c < list[0].cols(); ++c) {
    double mean = 0, own = 0;
    for (auto const& m : list) {
      double const p = static_cast<double>(to_arithmetic(m(n, c)));
      mean += p;
      own -= p > 0 ? p * math::log(p) : 0;
    }
    mean /= count;
    u.total -= mean > 0 ? mean * math::log(mean) : 0;
    u.aleatoric += own / count;
  }
  u.mutual_information = u.total - u.aleatoric;
  return u;
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
