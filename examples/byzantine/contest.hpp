#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fanfold/aggregate/robust/attacks.hpp"
#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bucketing.hpp"
#include "fanfold/aggregate/robust/bulyan.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/flag_aggregate.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"

// The rules and the attacks of the contest, by name.
namespace byzantine {

namespace ff = fanfold;
using namespace ff::aggregate;

inline constexpr std::int64_t clients = 20, faulty = 4, honest = clients - faulty;
using rows = ff::matrix_view<float const>;

/// A rule by name: folds the rows; `previous` is the last output.
struct rule_entry {
  std::string name;
  std::function<void(rows, ff::view<float const>, ff::view<float>, ff::workspace&)> fold;
  float rate = 1;
};

template <class R>
rule_entry entry(std::string const& name, R const& rule, float rate = 1) {
  return {name, [rule](rows x, ff::view<float const> previous, ff::view<float> out, ff::workspace& ws) { robust(ff::serial, rule, x, out, previous_output{previous}, ws); }, rate};
}

inline std::vector<rule_entry> rules() {
  constexpr std::int64_t f = faulty;
  nearest_neighbour_mixing const mixing{.f = f};
  return {entry("average", average{}),
          entry("sign vote", sign_vote{}, 0.02f),
          entry("coordinate median", coordinate_median{}),
          entry("trimmed mean", trimmed_mean{.f = f}),
          entry("mean around median", mean_around_median{.f = f}),
          entry("Krum", krum{.f = f}),
          entry("Multi-Krum", multi_krum{.f = f}),
          entry("Bulyan", bulyan{.f = f}),
          entry("minimum diameter (MDA)", minimum_diameter_average{.f = f}),
          entry("trusted client (MoNNA)", nearest_to_trusted{.f = f}),
          entry("geometric median", geometric_median{}),
          entry("centered clipping", centered_clipping{.tau = 1, .iterations = 3}),
          entry("covariance filter (CAF)", covariance_filter{.f = f}),
          entry("Flag Aggregator", flag_aggregate{.scale = flag_scale::median_norm}),
          entry("clipping + average", compose(norm_clip{1}, average{})),
          entry("ARC + geometric median", compose(adaptive_robust_clip{.f = f}, geometric_median{})),
          entry("buckets + SMEA", compose(bucketing{.size = 2, .seed = 7}, smallest_eigen_average{.f = f})),
          entry("NNM + Krum", compose(mixing, krum{.f = f})),
          entry("NNM + trimmed mean", compose(mixing, trimmed_mean{.f = f})),
          entry("NNM + geometric median", compose(mixing, geometric_median{}))};
}

/// What attackers know: all that honest clients send in this round, the rule and its last output. `faulty` holds what they would have sent.
struct round_view {
  rows all;  // the faulty rows are the last
  ff::matrix_view<float> faulty;
  std::int64_t round;
  rule_entry const& rule;
  ff::view<float const> previous;
  double& factor;  // kept from round to round
  ff::workspace& ws;

  rows honest_rows() const { return all.sub_rows(0, honest); }
};

/// An attack by name: writes the rows of the faulty clients.
struct attack_entry {
  std::string name;
  std::function<void(round_view const&)> forge;
  bool flips_labels = false;
  bool uses_own = false;
};

template <class A>
attack_entry against(std::string const& name, A const& attack, bool uses_own = false) {
  auto const run = [attack](round_view const& r) {
    A now = attack;
    if constexpr (requires { now.round; }) now.round = static_cast<std::uint32_t>(r.round);
    forge(ff::serial, now, r.honest_rows(), r.faulty, r.ws);
  };
  return {name, run, false, uses_own};
}

/// The attack of a family whose factor moves the rule farthest from the honest mean; searched anew in every tenth round.
template <class Family>
attack_entry strongest(std::string const& name, Family const& family) {
  auto const run = [family](round_view const& r) {
    if (r.round % 10 == 0) {
      std::vector<float> mean(static_cast<std::size_t>(r.all.cols())), answer(mean.size());
      robust(ff::serial, average{}, r.honest_rows(), mean, r.ws);
      r.factor = line_search([&](double t) {
        forge(ff::serial, family(t), r.honest_rows(), r.faulty, r.ws);
        r.rule.fold(r.all, r.previous, answer, r.ws);
        double sum = 0;
        for (std::size_t i = 0; i < mean.size(); ++i) sum += static_cast<double>((answer[i] - mean[i]) * (answer[i] - mean[i]));
        return sum;
      });
    }
    forge(ff::serial, family(r.factor), r.honest_rows(), r.faulty, r.ws);
  };
  return {name, run};
}

inline std::vector<attack_entry> attacks() {
  auto const nothing = [](round_view const&) {};
  return {{"none", nothing, false, true},
          {"label flip", nothing, true, true},
          against("sign flip", sign_flip{}, true),
          against("zero", zero_attack()),
          against("mimic", mimic{}),
          against("IPM", inner_product_manipulation{}),
          strongest("best IPM", [](double t) { return inner_product_manipulation{t}; }),
          against("ALIE", a_little_is_enough{}),
          strongest("best ALIE", [](double z) { return a_little_is_enough{z}; }),
          against("Gauss", gaussian_attack{.deviation = 200}),
          against("infinity", infinity_attack()),
          against("NaN", nan_attack())};
}

}  // namespace byzantine
