#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/plan/detail/expert_packing.hpp"
#include "fanfold/plan/detail/expert_search.hpp"

namespace fanfold::inline FANFOLD_ABI::plan {

/// Which expert stands in which physical slot. Slots of device g are [g R / G, (g + 1) R / G).
struct expert_placement {
  std::vector<std::int32_t> expert;    ///< [R] expert of each slot
  std::vector<std::int32_t> replica;   ///< [R] number of that copy: in order of creation (reference), else in order of slots
  std::vector<std::int32_t> replicas;  ///< [E] copies of each expert
  double most = 0;                     ///< largest load of a device; a copy of e carries load[e] / replicas[e]
  double mean = 0;                     ///< mean load of a device
  double bound = 0;                    ///< what no placement can go below
  std::int64_t moves = 0;              ///< slots that hold another expert than `previous` did

  double ratio() const { return mean > 0 ? most / mean : 1; }
  /// E rows, row e of max(replicas) numbers: slots of e's copies by their number, -1 past the last.
  std::vector<std::int32_t> slots_of_experts() const {
    std::int32_t width = 0;
    for (std::int32_t c : replicas) width = c > width ? c : width;
    std::vector<std::int32_t> out(replicas.size() * static_cast<std::size_t>(width), -1);
    for (std::size_t slot = 0; slot < expert.size(); ++slot)
      out[static_cast<std::size_t>(expert[slot] * width + replica[slot])] = static_cast<std::int32_t>(slot);
    return out;
  }
};

/// Redundant experts for balanced devices (DeepSeek-V3's EPLB, 2024, with corrections).
///
/// `reference` gives what the public code gives (arithmetic in float, also two copies of an expert on one device). The default never puts two
/// copies of an expert on one device, improves by swaps and a tabu search over the numbers of copies, is never worse than the reference plan
/// where that one obeys the rule, and can stay close to a previous placement.
struct eplb {
  std::int64_t devices = 1;
  std::int64_t nodes = 1;
  std::int64_t groups = 1;
  bool reference = false;
  /// Steps of the search; -1: 60, or 20 from 128 experts on.
  std::int64_t steps = -1;
  /// With a previous placement: plans that change more slots are never chosen; -1: no limit.
  std::int64_t most_moves = -1;
};

namespace detail {

inline void check_eplb(eplb const& p, view<double const> load, std::int64_t slots, view<std::int32_t const> previous) {
  static constexpr char function[] = "eplb_plan";
  std::int64_t const experts = load.size();
  check_argument(experts >= 1, function, "number of experts", experts, "1 or more");
  check_argument(p.devices >= 1 && slots % p.devices == 0, function, "slots", slots, "a multiple of the devices");
  check_argument(slots >= experts, function, "slots", slots, "at least the experts");
  check_argument(p.nodes >= 1 && p.devices % p.nodes == 0, function, "nodes", p.nodes, "a divisor of the devices");
  check_argument(p.groups >= 1 && experts % p.groups == 0, function, "groups", p.groups, "a divisor of the experts");
  for (double w : load) check_argument(w >= 0 && w - w == 0, function, "a load", w, "finite and 0 or more");
  check_argument(previous.data() == nullptr || previous.size() == slots, function, "size of previous", previous.size(), "the slots");
  for (std::int32_t e : previous) check_argument(e >= 0 && e < experts, function, "an expert of previous", e, "an expert");
  check_argument(p.reference || slots <= experts * p.devices, function, "slots", slots, "at most experts * devices: one copy a device");
}

/// Whether groups spread evenly over nodes, so that each node is planned by itself.
inline bool is_hierarchical(eplb const& p) { return p.groups % p.nodes == 0; }

inline double lower_bound(view<double const> load, std::int64_t slots, std::int64_t devices) {
  double sum = 0, most = 0;
  std::int64_t const spare = 1 + slots - load.size(), copies = devices < spare ? devices : spare;
  for (double w : load) {
    sum += w;
    double const each = w / static_cast<double>(copies);
    most = each > most ? each : most;
  }
  double const mean = sum / static_cast<double>(devices);
  return mean > most ? mean : most;
}

inline void report(expert_placement& out, view<double const> load, std::int64_t devices, view<std::int32_t const> previous) {
  auto const slots = static_cast<std::int64_t>(out.expert.size()), each = slots / devices;
  out.replicas.assign(static_cast<std::size_t>(load.size()), 0);
  bool const number = out.replica.empty();
  for (std::int32_t e : out.expert) {
    if (number) out.replica.push_back(out.replicas[static_cast<std::size_t>(e)]);
    ++out.replicas[static_cast<std::size_t>(e)];
  }
  double sum = 0;
  for (double w : load) sum += w;
  out.mean = sum / static_cast<double>(devices);
  out.most = 0;
  for (std::int64_t g = 0; g < devices; ++g) {
    double mine = 0;
    for (std::int64_t i = 0; i < each; ++i) {
      auto const e = static_cast<std::size_t>(out.expert[static_cast<std::size_t>(g * each + i)]);
      mine += load[static_cast<std::int64_t>(e)] / out.replicas[e];
    }
    out.most = mine > out.most ? mine : out.most;
  }
  out.bound = lower_bound(load, slots, devices);
  out.moves = 0;
  for (std::int64_t s = 0; s < previous.size(); ++s) out.moves += previous[s] != out.expert[static_cast<std::size_t>(s)];
}

}  // namespace detail

/// Places E = load.size() experts with given loads (0 or more) into `slots` physical slots on the policy's devices.
/// `previous` (a placement's `expert`), where given, keeps experts that stay on a device in their slots, on devices relabelled for the largest
/// overlap. The same input gives the same plan.
/// \throws argument_error for sizes that do not divide, negative or non-finite loads, too few or too many slots.
template <viewable Load>
expert_placement eplb_plan(eplb const& policy, Load const& load, std::int64_t slots, view<std::int32_t const> previous = {}) {
  view<double const> const w = as_const(as_view(load));
  detail::check_eplb(policy, w, slots, previous);
  expert_placement out;
  detail::packing const by_reference = detail::reference_packing(w, slots, policy.devices, policy.nodes, policy.groups);
  if (policy.reference)
    out.expert = by_reference.expert, out.replica = by_reference.replica;
  else
    out.expert = detail::improved_placement(w, slots, policy.devices, detail::is_hierarchical(policy) ? policy.nodes : 1,
                                            detail::is_hierarchical(policy) ? policy.groups : 1, policy.steps, policy.most_moves, by_reference, previous);
  detail::report(out, w, policy.devices, previous);
  return out;
}

}  // namespace fanfold::inline FANFOLD_ABI::plan
