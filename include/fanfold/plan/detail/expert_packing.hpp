#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::plan::detail {

/// positions 0..n-1 by descending value, ties by lower position (merge sort).
template <class A>
std::vector<std::int32_t> descending_positions(std::vector<A> const& value) {
  std::size_t const n = value.size();
  std::vector<std::int32_t> order(n), next(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = static_cast<std::int32_t>(i);
  for (std::size_t width = 1; width < n; width *= 2) {
    for (std::size_t begin = 0; begin < n; begin += 2 * width) {
      std::size_t const middle = begin + width < n ? begin + width : n, end = begin + 2 * width < n ? begin + 2 * width : n;
      std::size_t i = begin, j = middle;
      for (std::size_t k = begin; k < end; ++k) {
        bool const left = j >= end || (i < middle && !(value[static_cast<std::size_t>(order[i])] < value[static_cast<std::size_t>(order[j])]));
        next[k] = left ? order[i++] : order[j++];
      }
    }
    order.swap(next);
  }
  return order;
}

/// Items to equally full packs: by descending weight each to the lightest pack with room.
struct packed_items {
  std::vector<std::int32_t> pack, place;
};
inline packed_items pack_items(std::vector<float> const& weight, std::int64_t packs) {
  std::size_t const n = weight.size(), each = n / static_cast<std::size_t>(packs);
  packed_items out{std::vector<std::int32_t>(n), std::vector<std::int32_t>(n)};
  if (each == 1) {
    for (std::size_t i = 0; i < n; ++i) out.pack[i] = static_cast<std::int32_t>(i);
    return out;
  }
  std::vector<float> load(static_cast<std::size_t>(packs));
  std::vector<std::size_t> items(load.size());
  for (std::int32_t item : descending_positions(weight)) {
    std::size_t best = load.size();
    for (std::size_t p = 0; p < load.size(); ++p)
      if (items[p] < each && (best == load.size() || load[p] < load[best])) best = p;
    out.pack[static_cast<std::size_t>(item)] = static_cast<std::int32_t>(best);
    out.place[static_cast<std::size_t>(item)] = static_cast<std::int32_t>(items[best]++);
    load[best] += weight[static_cast<std::size_t>(item)];
  }
  return out;
}

/// Copies of experts: one each, then one after the other to the largest load a copy. `most`: copies that an expert may have.
template <class A>
struct replication {
  std::vector<std::int32_t> expert;   // of each copy, in order of creation
  std::vector<std::int32_t> replica;  // its number among those of the expert
  std::vector<std::int32_t> count;
};
template <class A>
replication<A> replicate(std::vector<A> const& load, std::int64_t copies, std::int64_t most) {
  replication<A> out;
  out.count.assign(load.size(), 1);
  for (std::size_t e = 0; e < load.size(); ++e) out.expert.push_back(static_cast<std::int32_t>(e)), out.replica.push_back(0);
  for (auto i = static_cast<std::int64_t>(load.size()); i < copies; ++i) {
    std::size_t best = load.size();
    for (std::size_t e = 0; e < load.size(); ++e)
      if (out.count[e] < most && (best == load.size() || load[e] / static_cast<A>(out.count[e]) > load[best] / static_cast<A>(out.count[best]))) best = e;
    out.expert.push_back(static_cast<std::int32_t>(best));
    out.replica.push_back(out.count[best]++);
  }
  return out;
}

struct packing {
  std::vector<std::int32_t> expert;   // of each slot
  std::vector<std::int32_t> replica;  // of each slot
};

/// The experts of each node, in the order in which their groups were placed.
inline std::vector<std::vector<std::int32_t>> experts_of_nodes(view<double const> load, std::int64_t nodes, std::int64_t groups) {
  std::int64_t const each = load.size() / groups;
  std::vector<float> weight(static_cast<std::size_t>(groups));
  for (std::int64_t e = 0; e < load.size(); ++e) weight[static_cast<std::size_t>(e / each)] += static_cast<float>(load[e]);
  packed_items const node = pack_items(weight, nodes);
  std::vector<std::vector<std::int32_t>> out(static_cast<std::size_t>(nodes), std::vector<std::int32_t>(static_cast<std::size_t>(load.size() / nodes)));
  for (std::int64_t e = 0; e < load.size(); ++e) {
    auto const g = static_cast<std::size_t>(e / each);
    out[static_cast<std::size_t>(node.pack[g])][static_cast<std::size_t>(node.place[g] * each + e % each)] = static_cast<std::int32_t>(e);
  }
  return out;
}

/// The plan of the public code; where groups do not spread evenly over nodes, nodes are ignored.
inline packing reference_packing(view<double const> load, std::int64_t slots, std::int64_t devices, std::int64_t nodes, std::int64_t groups) {
  if (groups % nodes != 0) nodes = groups = 1;
  std::int64_t const node_slots = slots / nodes, node_devices = devices / nodes, each = slots / devices;
  packing out{std::vector<std::int32_t>(static_cast<std::size_t>(slots)), std::vector<std::int32_t>(static_cast<std::size_t>(slots))};
  std::size_t first = 0;
  for (auto const& experts : experts_of_nodes(load, nodes, groups)) {
    std::vector<float> mine;
    for (std::int32_t e : experts) mine.push_back(static_cast<float>(load[e]));
    auto const copies = replicate(mine, node_slots, node_slots);
    std::vector<float> weight;
    for (std::int32_t l : copies.expert) weight.push_back(mine[static_cast<std::size_t>(l)] / static_cast<float>(copies.count[static_cast<std::size_t>(l)]));
    packed_items const device = pack_items(weight, node_devices);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      std::size_t const slot = first + static_cast<std::size_t>(device.pack[i] * each + device.place[i]);
      out.expert[slot] = experts[static_cast<std::size_t>(copies.expert[i])];
      out.replica[slot] = copies.replica[i];
    }
    first += static_cast<std::size_t>(node_slots);
  }
  return out;
}

}  // namespace fanfold::inline FANFOLD_ABI::plan::detail
