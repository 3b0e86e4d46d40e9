#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/lsa.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/plan/detail/expert_packing.hpp"

namespace fanfold::inline FANFOLD_ABI::plan::detail {

/// What placements are compared by.
struct balance {
  double most = 0, squares = 0;
  friend bool operator<(balance const& a, balance const& b) { return a.most != b.most ? a.most < b.most : a.squares < b.squares; }
};

/// Copies of experts on devices of `each` slots, never two copies of one expert on a device.
class device_packing {
 public:
  device_packing(std::vector<double> const& load, std::int64_t devices, std::int64_t slots)
      : load_(&load), devices_(static_cast<std::size_t>(devices)), each_(static_cast<std::size_t>(slots / devices)) {}

  /// Places count[e] copies of every expert, largest first, each on the lightest device with room and without the expert.
  void pack(std::vector<std::int32_t> const& count) {
    start(count);
    std::vector<std::int32_t> expert;
    std::vector<double> weight;
    for (std::size_t e = 0; e < count.size(); ++e)
      for (std::int32_t r = 0; r < count[e]; ++r) expert.push_back(static_cast<std::int32_t>(e)), weight.push_back(share(e));
    for (std::int32_t i : descending_positions(weight)) {
      auto const e = static_cast<std::size_t>(expert[static_cast<std::size_t>(i)]);
      std::size_t const d = lightest([&](std::size_t device) { return !holds(device, e); });
      if (d < devices_)
        put(d, e);
      else
        make_room(e);
    }
  }

  /// Takes over a placement as it stands.
  void adopt(std::int32_t const* expert, std::vector<std::int32_t> const& count) {
    start(count);
    for (std::size_t d = 0; d < devices_; ++d)
      for (std::size_t s = 0; s < each_; ++s) put(d, static_cast<std::size_t>(expert[d * each_ + s]));
  }

  /// Exchanges an item of the heaviest device with one of another while that lowers the larger of the two loads.
  void improve() {
    for (;;) {
      std::size_t const h = heaviest();
      double best = device_load_[h] - 1e-12 * device_load_[h];
      std::size_t to = devices_, mine = 0, theirs = 0;
      for (std::size_t d = 0; d < devices_; ++d) {
        if (d == h) continue;
        for (std::size_t i = 0; i < each_; ++i)
          for (std::size_t j = 0; j < each_; ++j) {
            std::size_t const a = at(h, i), b = at(d, j);
            if (holds(d, a) || holds(h, b)) continue;
            double const delta = share(a) - share(b), x = device_load_[h] - delta, y = device_load_[d] + delta, larger = x < y ? y : x;
            if (larger < best) best = larger, to = d, mine = i, theirs = j;
          }
      }
      if (to == devices_) return;
      std::size_t const a = at(h, mine), b = at(to, theirs);
      replace(h, mine, b);
      replace(to, theirs, a);
    }
  }

  balance measure() const {
    balance out;
    for (double l : device_load_) out.most = l > out.most ? l : out.most, out.squares += l * l;
    return out;
  }
  std::size_t heaviest() const {
    std::size_t h = 0;
    for (std::size_t d = 1; d < devices_; ++d)
      if (device_load_[d] > device_load_[h]) h = d;
    return h;
  }
  std::size_t at(std::size_t device, std::size_t slot) const { return static_cast<std::size_t>(expert_[device * each_ + slot]); }
  std::size_t slots_a_device() const { return each_; }
  std::vector<std::int32_t> const& experts() const { return expert_; }

 private:
  double share(std::size_t e) const { return (*load_)[e] / count_[e]; }
  bool holds(std::size_t d, std::size_t e) const { return held_[d * load_->size() + e]; }

  void start(std::vector<std::int32_t> const& count) {
    count_ = count;
    expert_.assign(devices_ * each_, -1);
    used_.assign(devices_, 0);
    device_load_.assign(devices_, 0.0);
    held_.assign(devices_ * load_->size(), false);
  }
  template <class Fits>
  std::size_t lightest(Fits const& fits) const {
    std::size_t best = devices_;
    for (std::size_t d = 0; d < devices_; ++d)
      if (used_[d] < each_ && fits(d) && (best == devices_ || device_load_[d] < device_load_[best])) best = d;
    return best;
  }
  void put(std::size_t d, std::size_t e) {
    expert_[d * each_ + used_[d]++] = static_cast<std::int32_t>(e);
    held_[d * load_->size() + e] = true;
    weigh(d);
  }
  void replace(std::size_t d, std::size_t slot, std::size_t e) {
    held_[d * load_->size() + at(d, slot)] = false;
    held_[d * load_->size() + e] = true;
    expert_[d * each_ + slot] = static_cast<std::int32_t>(e);
    weigh(d);
  }
  void weigh(std::size_t d) {
    double sum = 0;
    for (std::size_t s = 0; s < used_[d]; ++s) sum += share(at(d, s));
    device_load_[d] = sum;
  }

  /// Every device with room holds e already: e takes the place of an item of a full device, which moves to the lightest one with room.
  void make_room(std::size_t e) {
    std::size_t const d = lightest([](std::size_t) { return true; });
    std::size_t from = devices_, slot = 0;
    double best = 0;
    for (std::size_t d2 = 0; d2 < devices_; ++d2) {
      if (used_[d2] < each_ || holds(d2, e)) continue;
      for (std::size_t s = 0; s < each_; ++s) {
        std::size_t const e2 = at(d2, s);
        if (holds(d, e2)) continue;
        double const x = device_load_[d2] - share(e2) + share(e), y = device_load_[d] + share(e2), larger = x < y ? y : x;
        if (from == devices_ || larger < best) best = larger, from = d2, slot = s;
      }
    }
    std::size_t const e2 = at(from, slot);
    replace(from, slot, e);
    put(d, e2);
  }

  std::vector<double> const* load_;
  std::size_t devices_, each_;
  std::vector<std::int32_t> count_, expert_;
  std::vector<std::size_t> used_;
  std::vector<double> device_load_;
  std::vector<bool> held_;
};

inline std::vector<std::int32_t> count_experts(std::int32_t const* expert, std::size_t slots, std::size_t experts) {
  std::vector<std::int32_t> count(experts);
  for (std::size_t s = 0; s < slots; ++s) ++count[static_cast<std::size_t>(expert[s])];
  return count;
}

/// Whether every expert stands somewhere, and nowhere twice on a device.
inline bool is_proper(std::int32_t const* expert, std::size_t slots, std::size_t each, std::size_t experts) {
  for (std::int32_t c : count_experts(expert, slots, experts))
    if (c == 0) return false;
  for (std::size_t s = 0; s < slots; ++s)
    for (std::size_t other = s / each * each; other < s; ++other)
      if (expert[s] == expert[other]) return false;
  return true;
}

/// Relabels devices for the largest overlap with `previous` and puts experts that stay into their old slots.
inline std::vector<std::int32_t> align_devices(std::vector<std::int32_t> const& expert, std::int32_t const* previous, std::size_t devices) {
  std::size_t const each = expert.size() / devices;
  auto const stays = [&](std::size_t mine, std::size_t theirs, std::size_t slot) {
    for (std::size_t s = 0; s < each; ++s)
      if (expert[mine * each + s] == previous[theirs * each + slot]) return true;
    return false;
  };
  std::vector<double> cost(devices * devices);
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = 0; b < devices; ++b)
      for (std::size_t s = 0; s < each; ++s) cost[a * devices + b] -= stays(a, b, s) ? 1 : 0;
  auto const n = static_cast<std::int64_t>(devices);
  auto const label = linear_sum_assignment({cost.data(), n, n});
  std::vector<std::int32_t> out(expert.size(), -1);
  for (std::size_t a = 0; a < devices; ++a) {
    auto const b = static_cast<std::size_t>(label[a]);
    std::vector<bool> placed(each);
    for (std::size_t s = 0; s < each; ++s)
      for (std::size_t mine = 0; mine < each; ++mine)
        if (!placed[mine] && out[b * each + s] < 0 && expert[a * each + mine] == previous[b * each + s])
          placed[mine] = true, out[b * each + s] = expert[a * each + mine];
    std::size_t next = 0;
    for (std::size_t mine = 0; mine < each; ++mine) {
      if (placed[mine]) continue;
      while (out[b * each + next] >= 0) ++next;
      out[b * each + next] = expert[a * each + mine];
    }
  }
  return out;
}

/// Tabu search over the numbers of copies in one part (a node, or everything).
class copy_search {
 public:
  copy_search(std::vector<double> const& load, std::int64_t slots, std::int64_t devices, std::int64_t most_moves, std::int32_t const* previous)
      : load_(load), slots_(static_cast<std::size_t>(slots)), devices_(devices), most_moves_(most_moves), previous_(previous), current_(load_, devices, slots) {}

  std::vector<std::int32_t> run(std::int32_t const* reference, std::int64_t steps) {
    std::size_t const each = slots_ / static_cast<std::size_t>(devices_);
    if (most_moves_ >= 0) adopt_best(previous_);
    if (is_proper(reference, slots_, each, load_.size())) adopt_best(reference);
    count_ = replicate(load_, static_cast<std::int64_t>(slots_), devices_).count;
    current_.pack(count_);
    current_.improve();
    consider(current_);
    for (std::int64_t s = 0; s < steps && step(s); ++s) {
    }
    return previous_ == nullptr || most_moves_ >= 0 ? best_ : align_devices(best_, previous_, static_cast<std::size_t>(devices_));
  }

 private:
  struct move {
    std::int32_t from = -1, to = -1;
    std::int64_t until = -1;
  };

  void adopt_best(std::int32_t const* placement) {
    device_packing p(load_, devices_, static_cast<std::int64_t>(slots_));
    p.adopt(placement, count_experts(placement, slots_, load_.size()));
    consider(p);
  }
  void consider(device_packing const& p) {
    balance const b = p.measure();
    if (!best_.empty() && !(b < best_balance_)) return;
    if (most_moves_ >= 0) {
      auto const aligned = align_devices(p.experts(), previous_, static_cast<std::size_t>(devices_));
      std::int64_t moves = 0;
      for (std::size_t s = 0; s < slots_; ++s) moves += aligned[s] != previous_[s];
      if (moves > most_moves_) return;
      best_ = aligned;
    } else {
      best_ = p.experts();
    }
    best_balance_ = b;
  }

  bool is_tabu(std::int32_t from, std::int32_t to, std::int64_t step) const {
    for (move const& m : tabu_)
      if (m.from == from && m.to == to && step <= m.until) return true;
    return false;
  }

  /// The moves worth trying: copies to experts that weigh on the heaviest device or have the largest shares, from those that can spare one.
  void candidates(std::vector<std::int32_t>& from, std::vector<std::int32_t>& to) const {
    std::vector<double> share, spare;
    std::vector<bool> gives(load_.size()), takes(load_.size());
    for (std::size_t e = 0; e < load_.size(); ++e) {
      share.push_back(load_[e] / count_[e]);
      spare.push_back(count_[e] > 1 ? -load_[e] / (count_[e] - 1) : -1e308);
    }
    auto const largest = descending_positions(share), cheapest = descending_positions(spare);
    for (std::size_t i = 0; i < 8 && i < load_.size(); ++i) {
      takes[static_cast<std::size_t>(largest[i])] = true;
      gives[static_cast<std::size_t>(cheapest[i])] = true;
    }
    std::size_t const h = current_.heaviest();
    for (std::size_t s = 0; s < current_.slots_a_device(); ++s) takes[current_.at(h, s)] = gives[current_.at(h, s)] = true;
    for (std::size_t e = 0; e < load_.size(); ++e) {
      if (gives[e] && count_[e] > 1) from.push_back(static_cast<std::int32_t>(e));
      if (takes[e] && count_[e] < devices_) to.push_back(static_cast<std::int32_t>(e));
    }
  }

  bool step(std::int64_t number) {
    std::vector<std::int32_t> from, to;
    candidates(from, to);
    move chosen;
    balance chosen_balance;
    device_packing trial(load_, devices_, static_cast<std::int64_t>(slots_)), kept = trial;
    for (std::int32_t a : from)
      for (std::int32_t b : to) {
        if (a == b) continue;
        shift(a, b);
        trial.pack(count_);
        trial.improve();
        shift(b, a);
        balance const m = trial.measure();
        if (is_tabu(a, b, number) && !(m < best_balance_)) continue;
        if (chosen.from >= 0 && !(m < chosen_balance)) continue;
        chosen = {a, b, -1};
        chosen_balance = m;
        kept = trial;
      }
    if (chosen.from < 0) return false;
    shift(chosen.from, chosen.to);
    current_ = kept;
    tabu_.push_back({chosen.to, chosen.from, number + 4});
    consider(current_);
    return true;
  }
  void shift(std::int32_t from, std::int32_t to) {
    --count_[static_cast<std::size_t>(from)];
    ++count_[static_cast<std::size_t>(to)];
  }

  std::vector<double> const& load_;
  std::size_t slots_;
  std::int64_t devices_, most_moves_;
  std::int32_t const* previous_;
  device_packing current_;
  std::vector<std::int32_t> count_, best_;
  balance best_balance_;
  std::vector<move> tabu_;
};

/// The corrected plan, node by node.
inline std::vector<std::int32_t> improved_placement(view<double const> load, std::int64_t slots, std::int64_t devices, std::int64_t nodes, std::int64_t groups,
                                                    std::int64_t steps, std::int64_t most_moves, packing const& reference,
                                                    view<std::int32_t const> previous) {
  auto const experts = static_cast<std::size_t>(load.size()), each = static_cast<std::size_t>(slots / devices);
  if (most_moves >= 0) {
    check_argument(nodes == 1, "eplb_plan", "nodes", nodes, "1 where moves are limited");
    check_argument(previous.data() != nullptr && is_proper(previous.data(), static_cast<std::size_t>(slots), each, experts), "eplb_plan", "previous",
                   "absent, or without some expert, or with two copies on a device", "a proper placement where moves are limited");
  }
  if (steps < 0) steps = experts >= 128 ? 20 : 60;
  std::vector<std::int32_t> out;
  std::int64_t const node_slots = slots / nodes;
  std::vector<std::int32_t> local(experts, -1);
  for (auto const& mine : experts_of_nodes(load, nodes, groups)) {
    std::vector<double> node_load;
    for (std::size_t l = 0; l < mine.size(); ++l) {
      node_load.push_back(load[mine[l]]);
      local[static_cast<std::size_t>(mine[l])] = static_cast<std::int32_t>(l);
    }
    std::size_t const first = out.size();
    std::vector<std::int32_t> node_reference, node_previous;
    for (std::size_t s = first; s < first + static_cast<std::size_t>(node_slots); ++s) {
      node_reference.push_back(local[static_cast<std::size_t>(reference.expert[s])]);
      if (previous.data() != nullptr) node_previous.push_back(local[static_cast<std::size_t>(previous[static_cast<std::int64_t>(s)])]);
    }
    copy_search search(node_load, node_slots, devices / nodes, most_moves, previous.data() == nullptr ? nullptr : node_previous.data());
    for (std::int32_t l : search.run(node_reference.data(), steps)) out.push_back(mine[static_cast<std::size_t>(l)]);
    for (std::int32_t e : mine) local[static_cast<std::size_t>(e)] = -1;
  }
  return out;
}

}  // namespace fanfold::inline FANFOLD_ABI::plan::detail
