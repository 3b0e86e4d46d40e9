#pragma once

#include <concepts>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/gossip/mixing.hpp"
#include "fanfold/gossip/topology.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// Who talks to whom, and with which weight, in each round.
template <class S>
concept topology_schedule = requires(S const& s, std::uint64_t round) {
  { s.size() } -> std::convertible_to<std::int32_t>;
  { s.matrix(round) } -> std::same_as<mixing_matrix<>>;
};

namespace detail {

struct entry {
  std::int32_t row, col;
  double weight;
};

/// Entries in any order; those of one place add up in the order given. Diagonal entries become self weights.
inline mixing_matrix<> matrix_from_entries(std::int32_t n, std::vector<entry> const& entries, stochasticity kind) {
  mixing_matrix<> m{n, std::vector<std::int64_t>(static_cast<std::size_t>(n) + 1), {}, {}, std::vector<double>(static_cast<std::size_t>(n)), kind};
  std::vector<edge> place(entries.size());
  for (std::size_t k = 0; k < entries.size(); ++k) place[k] = {entries[k].row, static_cast<std::int32_t>(k)};
  place = sorted_by(place, n, [&](edge e) { return entries[static_cast<std::size_t>(e.b)].col; });
  place = sorted_by(place, n, [](edge e) { return e.a; });
  std::int32_t row = -1;
  for (edge p : place) {
    entry const& e = entries[static_cast<std::size_t>(p.b)];
    if (e.row == e.col) {
      m.self[static_cast<std::size_t>(e.row)] += e.weight;
    } else if (e.row == row && m.col.back() == e.col) {
      m.w.back() += e.weight;
    } else {
      row = e.row;
      m.col.push_back(e.col);
      m.w.push_back(e.weight);
      ++m.row_ptr[static_cast<std::size_t>(row) + 1];
    }
  }
  for (std::size_t i = 1; i < m.row_ptr.size(); ++i) m.row_ptr[i] += m.row_ptr[i - 1];
  return m;
}

/// Everyone receives from i - offset for each offset, and from itself, with one weight.
inline mixing_matrix<> circulant(std::int32_t n, std::vector<std::int64_t> const& offsets) {
  double const weight = 1.0 / static_cast<double>(offsets.size() + 1);
  std::vector<entry> list;
  for (std::int32_t i = 0; i < n; ++i) {
    list.push_back({i, i, weight});
    for (std::int64_t o : offsets) list.push_back({i, static_cast<std::int32_t>((i + n - o % n) % n), weight});
  }
  return matrix_from_entries(n, list, stochasticity::doubly);
}

inline void check_nodes(char const* schedule, std::int32_t n) { check_argument(n >= 1, schedule, "n", n, "1 or more"); }

}  // namespace detail

/// Receives from i - 2^k for all k at once, all weights 1 / (hops + 1); for even n the second modulus is (hops - 1) / (hops + 1)
/// (Ying et al., Exponential Graph is Provably Efficient for Decentralized Deep Training, 2021).
inline mixing_matrix<> exponential_static(std::int32_t n) {
  detail::check_nodes("gossip::exponential_static", n);
  std::vector<std::int64_t> offsets;
  for (std::int32_t k = 0; k < detail::exponential_hops(n); ++k) offsets.push_back(std::int64_t{1} << k);
  return detail::circulant(n, offsets);
}

/// Round r receives from i - 2^(r mod hops), weights 1/2: exact averaging after `hops` rounds where n is a power of two.
struct exponential_one_peer {
  std::int32_t n = 1;

  std::int32_t size() const { return n; }
  mixing_matrix<> matrix(std::uint64_t round) const {
    detail::check_nodes("gossip::exponential_one_peer", n);
    return detail::circulant(n, {std::int64_t{1} << (round % static_cast<std::uint64_t>(detail::exponential_hops(n)))});
  }
};

/// Round r receives from i - j (p+1)^(r mod t), j = 1..p, weights 1/(p+1); t is the smallest integer >= 1 with (p+1)^t >= n.
struct n_peer_exponential {
  std::int32_t n = 1;
  std::int32_t peers = 1;

  std::int32_t size() const { return n; }
  mixing_matrix<> matrix(std::uint64_t round) const {
    detail::check_nodes("gossip::n_peer_exponential", n);
    check_argument(peers >= 1, "gossip::n_peer_exponential", "peers", peers, "1 or more");
    std::uint64_t rounds = 1;
    for (std::int64_t reach = std::int64_t{peers} + 1; reach < n; reach *= std::int64_t{peers} + 1) ++rounds;
    std::int64_t step = 1;
    for (std::uint64_t k = round % rounds; k > 0; --k) step *= std::int64_t{peers} + 1;
    std::vector<std::int64_t> offsets;
    for (std::int64_t j = 1; j <= peers; ++j) offsets.push_back(j * step);
    return detail::circulant(n, offsets);
  }
};

namespace detail {

/// Pairs average with weights 1/2; partner(i) may be i.
template <class F>
mixing_matrix<> pairing(std::int32_t n, F partner) {
  std::vector<entry> list;
  for (std::int32_t i = 0; i < n; ++i) {
    list.push_back({i, i, 0.5});
    list.push_back({i, partner(i), 0.5});
  }
  return matrix_from_entries(n, list, stochasticity::doubly);
}

}  // namespace detail

/// Pairs (i, i xor 2^(r mod log2 n)), weights 1/2; n is a power of two.
struct hypercube_one_peer {
  std::int32_t n = 1;

  std::int32_t size() const { return n; }
  mixing_matrix<> matrix(std::uint64_t round) const {
    check_argument(detail::power_of_two(n), "gossip::hypercube_one_peer", "n", n, "a power of two");
    std::int32_t const bit = n == 1 ? 0 : std::int32_t{1} << (round % static_cast<std::uint64_t>(detail::exponential_hops(n)));
    return detail::pairing(n, [bit](std::int32_t i) { return i ^ bit; });
  }
};

/// The one-peer exponential schedule (or, with `hypercube`, that one) among roles that are dealt anew every `period` rounds.
struct dissemination_rotate {
  std::int32_t n = 1;
  std::int32_t period = 1;
  std::uint64_t seed = 0;
  bool hypercube = false;

  std::int32_t size() const { return n; }
  /// Role of each node in an epoch of `period` rounds.
  std::vector<std::int32_t> roles(std::uint64_t epoch) const {
    detail::check_nodes("gossip::dissemination_rotate", n);
    random_sequence draws{{seed, streams::rotation, static_cast<std::uint32_t>(epoch)}};
    return detail::random_permutation(n, draws);
  }
  mixing_matrix<> matrix(std::uint64_t round) const {
    detail::check_nodes("gossip::dissemination_rotate", n);
    check_argument(period >= 1, "gossip::dissemination_rotate", "period", period, "1 or more");
    mixing_matrix<> const base = hypercube ? hypercube_one_peer{n}.matrix(round) : exponential_one_peer{n}.matrix(round);
    auto const role = roles(round / static_cast<std::uint64_t>(period));
    std::vector<std::int32_t> node(role.size());
    for (std::int32_t i = 0; i < n; ++i) node[static_cast<std::size_t>(role[static_cast<std::size_t>(i)])] = i;
    std::vector<detail::entry> list;
    for (std::size_t r = 0; r < role.size(); ++r) {
      list.push_back({node[r], node[r], base.self[r]});
      for (auto e = static_cast<std::size_t>(base.row_ptr[r]); e < static_cast<std::size_t>(base.row_ptr[r + 1]); ++e)
        list.push_back({node[r], node[static_cast<std::size_t>(base.col[e])], base.w[e]});
    }
    return detail::matrix_from_entries(n, list, stochasticity::doubly);
  }
};

/// n even: even node i pairs with the odd node i + 2r + 1, weights 1/2.
struct bipartite_one_peer {
  std::int32_t n = 2;

  std::int32_t size() const { return n; }
  mixing_matrix<> matrix(std::uint64_t round) const {
    check_argument(n >= 2 && n % 2 == 0, "gossip::bipartite_one_peer", "n", n, "even and 2 or more");
    auto const offset = static_cast<std::int64_t>(round % static_cast<std::uint64_t>(n / 2)) * 2 + 1;
    return detail::pairing(n, [this, offset](std::int32_t i) {
      std::int64_t const j = i % 2 == 0 ? i + offset : i + n - offset;
      return static_cast<std::int32_t>(j % n);
    });
  }
};

/// Blocks of `block` consecutive nodes take their exact mean, the means mix by `outer`, and all members get the result.
inline mixing_matrix<> hierarchical(std::int32_t block, mixing_matrix<> const& outer) {
  check_argument(block >= 1 && block <= INT32_MAX / (outer.n > 0 ? outer.n : 1), "gossip::hierarchical", "block", block, "1 or more, with fewer than 2^31 nodes");
  std::vector<detail::entry> list;
  auto const add = [&](std::int32_t a, std::int32_t b, double w) {
    for (std::int32_t i = 0; i < block; ++i)
      for (std::int32_t j = 0; j < block; ++j) list.push_back({a * block + i, b * block + j, w / static_cast<double>(block)});
  };
  for (std::int32_t a = 0; a < outer.n; ++a) {
    add(a, a, outer.self[static_cast<std::size_t>(a)]);
    for (auto e = static_cast<std::size_t>(outer.row_ptr[static_cast<std::size_t>(a)]); e < static_cast<std::size_t>(outer.row_ptr[static_cast<std::size_t>(a) + 1]); ++e)
      add(a, outer.col[e], outer.w[e]);
  }
  return detail::matrix_from_entries(outer.n * block, list, outer.kind);
}

/// Node ids are mixed-radix coordinates, `id = c_0 + dims_0 (c_1 + dims_1 (...))`; in round r the nodes that agree in all coordinates but number r mod D take their
/// exact mean. A full grid is at its mean after D rounds (Ryabinin et al., Moshpit SGD, 2021).
struct moshpit_grid {
  std::int32_t n = 1;
  std::vector<std::int32_t> dims{1};

  std::int32_t size() const { return n; }
  /// Group of each node, named by its member with coordinate 0 (which need not exist).
  std::vector<std::int64_t> groups(std::uint64_t round) const {
    detail::check_nodes("gossip::moshpit_grid", n);
    std::int64_t places = 1;
    for (std::int32_t d : dims) {
      check_argument(d >= 1, "gossip::moshpit_grid", "a dimension", d, "1 or more");
      places = places > INT32_MAX / d ? std::int64_t{INT32_MAX} + 1 : places * d;
    }
    check_argument(!dims.empty() && n <= places, "gossip::moshpit_grid", "n", n, "at most the product of the dimensions");
    std::size_t const axis = round % dims.size();
    std::int64_t stride = 1;
    for (std::size_t a = 0; a < axis; ++a) stride *= dims[a];
    std::vector<std::int64_t> result(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) result[static_cast<std::size_t>(i)] = i - i / stride % dims[axis] * stride;
    return result;
  }
  mixing_matrix<> matrix(std::uint64_t round) const {
    auto const group = groups(round);
    std::size_t const axis = round % dims.size();
    std::int64_t stride = 1;
    for (std::size_t a = 0; a < axis; ++a) stride *= dims[a];
    std::vector<detail::entry> list;
    for (std::int32_t i = 0; i < n; ++i) {
      std::int64_t const first = group[static_cast<std::size_t>(i)];
      std::int64_t const members = (n - first + stride - 1) / stride;
      std::int64_t const count = members < dims[axis] ? members : dims[axis];
      for (std::int64_t c = 0; c < count; ++c) list.push_back({i, static_cast<std::int32_t>(first + c * stride), 1.0 / static_cast<double>(count)});
    }
    return detail::matrix_from_entries(n, list, stochasticity::doubly);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::gossip
