#include "fanfold/kernel/warp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using fanfold::view;

struct halving_body {
  template <fanfold::block B>
  void operator()(B& b, view<float const> x, view<float> halved, view<float> paired) const {
    float const mine = fanfold::lane_of(b) < x.size() ? x[fanfold::lane_of(b)] : 1e30f;
    float const h = fanfold::warp_fold_halving(b, support::float_sum{}, mine, x.size());
    float const p = fanfold::warp_fold_pairs(b, support::float_sum{}, mine, x.size());
    if (b.thread() == 0) {
      halved[0] = h;
      paired[0] = p;
    }
  }
};

struct odd_sized {
  char text[7];
};

struct moves_body {
  template <fanfold::block B>
  void operator()(B& b, view<int> out) const {
    int const lane = static_cast<int>(fanfold::lane_of(b));
    odd_sized const sent{{static_cast<char>(lane), 2, 3, 4, 5, 6, static_cast<char>(100 - lane)}};
    odd_sized const got = b.shuffle(sent, static_cast<unsigned>(31 - lane));
    int* const mine = out.data() + 8 * static_cast<int>(b.thread());
    mine[0] = got.text[0];
    mine[1] = got.text[6];
    mine[2] = b.shuffle_down(lane, 30);
    mine[3] = b.shuffle_up(lane, 30);
    mine[4] = b.shuffle_xor(lane, 5);
    mine[5] = fanfold::warp_broadcast(b, lane, 9);
    mine[6] = static_cast<int>(b.ballot(lane % 2 == 1) >> 1);
    mine[7] = fanfold::warp_exclusive_sum(b, lane);
  }
};

struct larger {
  FANFOLD_HD int operator()(int a, int b) const { return a < b ? b : a; }
};

struct sums_body {
  struct shared {
    fanfold::checked_array<std::int64_t, 32> warps;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, view<std::int64_t> before, view<std::int64_t> total, view<int> most) const {
    for (int round = 0; round < 2; ++round) {
      std::int64_t sum = 0;
      before[b.thread()] = fanfold::block_exclusive_sum(b, s.warps, std::int64_t{b.thread()} + 1, sum);
      total[b.thread()] = sum;
    }
    most[b.thread()] = fanfold::warp_all_fold(b, static_cast<int>(b.thread() * 7 % 32), larger{});
  }
};

struct atomics_body {
  template <fanfold::block B>
  void operator()(B& b, view<std::int64_t> words) const {
    auto const t = static_cast<std::int64_t>(fanfold::grid_thread(b));
    b.atomic_add(&words[0], t);
    b.atomic_min(&words[1], -t);
    b.atomic_max(&words[2], t);
    b.atomic_or(&words[3], std::int64_t{1} << (t % 8));
    std::int64_t seen = b.atomic_add(&words[4], 0);
    for (std::int64_t old; (old = b.compare_exchange(&words[4], seen, seen + 2)) != seen;) seen = old;
  }
};

}  // namespace

TEST_CASE("folds of a warp are the trees of the contract for any number of lanes") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  for (std::size_t n = 1; n <= 32; ++n) {
    std::vector<float> const x = support::reals(n, n);
    float halved[1], paired[1];
    ex.launch(halving_body{}, 1, 32, view<float const>(x), view<float>(halved), view<float>(paired));
    CHECK(support::same_bits(halved[0], reference::interleaved(support::float_sum{}, x)));
    CHECK(support::same_bits(paired[0], reference::adjacent_pairs(support::float_sum{}, x)));
  }
}

TEST_CASE("shuffles of any type, from lanes that exist and that do not") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<int> out(64 * 8);
  ex.launch(moves_body{}, 1, 64, view<int>(out));
  for (int t = 0; t < 64; ++t) {
    int const lane = t % 32;
    int const* const mine = out.data() + 8 * t;
    CHECK(mine[0] == 31 - lane);
    CHECK(mine[1] == 100 - (31 - lane));
    CHECK(mine[2] == (lane < 2 ? lane + 30 : lane));
    CHECK(mine[3] == (lane >= 30 ? lane - 30 : lane));
    CHECK(mine[4] == (lane ^ 5));
    CHECK(mine[5] == 9);
    CHECK(mine[6] == 0x55555555);
    CHECK(mine[7] == lane * (lane - 1) / 2);
  }
}

TEST_CASE("sums over a block and butterflies over a warp") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  for (unsigned threads : {32u, 96u, 256u}) {
    std::vector<std::int64_t> before(threads), total(threads);
    std::vector<int> most(threads);
    ex.launch(sums_body{}, 1, threads, view<std::int64_t>(before), view<std::int64_t>(total), view<int>(most));
    for (unsigned t = 0; t < threads; ++t) {
      CHECK(before[t] == std::int64_t{t} * (t + 1) / 2);
      CHECK(total[t] == std::int64_t{threads} * (threads + 1) / 2);
      CHECK(most[t] == 31);
    }
  }
}

TEST_CASE("atomics return the old value and lose nothing") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<std::int64_t> words(5);
  ex.launch(atomics_body{}, 3, 64, view<std::int64_t>(words));
  CHECK(words == std::vector<std::int64_t>{192 * 191 / 2, -191, 191, 255, 2 * 192});
}

TEST_CASE("packs hold neighbours and know their alignment") {
  static_assert(fanfold::widest_pack<float> == 4 && fanfold::widest_pack<double> == 2 && fanfold::widest_pack<char> == 16);
  struct three {
    char c[3];
  };
  static_assert(fanfold::widest_pack<three> == 1);
  static_assert(alignof(fanfold::pack<float, 4>) == 16);
  alignas(16) float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  CHECK(fanfold::is_pack_aligned<4>(x + 4));
  CHECK(!fanfold::is_pack_aligned<4>(x + 2));
  CHECK(fanfold::is_pack_aligned<2>(x + 2));
  fanfold::store_pack<4>(x, fanfold::load_pack<4>(x + 4));
  CHECK(x[0] == 4);
  CHECK(x[3] == 7);
}
