#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/bin.hpp"

using namespace fanfold;

namespace {

struct buffers {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> counts, kept, row_of, src_of;

  buffers(std::size_t keys, std::size_t bins, std::size_t rows)
      : offsets(bins + 1, -7), counts(bins, -7), kept(bins, -7), row_of(keys, -7), src_of(rows, -7) {}
  bin_view view() { return {offsets, counts, kept, row_of, src_of}; }
  bool operator==(buffers const&) const = default;
};

struct padded {
  std::int64_t multiple = 1;
  std::int64_t most = most_rows;
  std::int64_t rows(std::int64_t kept) const { return (kept + multiple - 1) / multiple * multiple; }
  std::int64_t limit(std::int64_t) const { return most; }
};

// The definition, word by word.
buffers reference(padded layout, std::vector<std::int32_t> const& keys, std::size_t bins, std::size_t rows) {
  buffers b(keys.size(), bins, rows);
  std::vector<std::vector<std::int32_t>> members(bins);
  for (std::size_t a = 0; a < keys.size(); ++a) {
    b.row_of[a] = -1;
    if (keys[a] >= 0) members[static_cast<std::size_t>(keys[a])].push_back(static_cast<std::int32_t>(a));
  }
  b.offsets[0] = 0;
  for (std::size_t e = 0; e < bins; ++e) {
    auto const n = static_cast<std::int64_t>(members[e].size());
    std::int64_t const kept = n < layout.most ? n : layout.most;
    b.counts[e] = static_cast<std::int32_t>(n);
    b.kept[e] = static_cast<std::int32_t>(kept);
    b.offsets[e + 1] = b.offsets[e] + layout.rows(kept);
    for (std::int64_t r = 0; r < layout.rows(kept); ++r) {
      std::int64_t const row = b.offsets[e] + r;
      b.src_of[static_cast<std::size_t>(row)] = r < kept ? members[e][static_cast<std::size_t>(r)] : -1;
      if (r < kept) b.row_of[static_cast<std::size_t>(members[e][static_cast<std::size_t>(r)])] = static_cast<std::int32_t>(row);
    }
  }
  return b;
}

std::vector<std::int32_t> random_keys(std::size_t n, std::int32_t bins, unsigned seed, bool skewed) {
  std::mt19937 engine(seed);
  std::vector<std::int32_t> keys(n);
  for (auto& k : keys) {
    auto const x = static_cast<std::int32_t>(engine() % static_cast<unsigned>(bins + 1));
    k = skewed && engine() % 4 != 0 ? 0 : x - 1;
  }
  return keys;
}

}  // namespace

TEST_CASE("bin: a small example") {
  std::vector<std::int32_t> const keys{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};
  buffers b(10, 4, 10);
  bin(serial, dense_rows{}, keys, b.view());
  CHECK(b.counts == std::vector<std::int32_t>{3, 1, 5, 1});
  CHECK(b.kept == b.counts);
  CHECK(b.offsets == std::vector<std::int64_t>{0, 3, 4, 9, 10});
  CHECK(b.row_of == std::vector<std::int32_t>{4, 0, 5, 3, 1, 6, 9, 7, 8, 2});
  CHECK(b.src_of == std::vector<std::int32_t>{1, 4, 9, 3, 0, 2, 5, 7, 8, 6});
}

TEST_CASE("bin: equals its definition, for every executor and thread count") {
  thread_pool one(1), two(2), three(3);
  for (std::size_t n : {0u, 1u, 3u, 5u, 100u, 4096u, 50001u, 140003u})
    for (std::int32_t bins : {1, 2, 8, 60, 1024})
      for (padded layout : {padded{1, most_rows}, padded{16, most_rows}, padded{1, 0}, padded{4, 37}}) {
        bool const skewed = (n + static_cast<std::size_t>(bins)) % 2 == 0;
        auto const keys = random_keys(n, bins, static_cast<unsigned>(n) + static_cast<unsigned>(bins), skewed);
        std::size_t const rows = n + static_cast<std::size_t>(bins) * 15 + 3;
        buffers const expected = reference(layout, keys, static_cast<std::size_t>(bins), rows);
        auto const check = [&](auto const& ex) {
          buffers b(n, static_cast<std::size_t>(bins), rows);
          bin(ex, layout, keys, b.view());
          CHECK(b == expected);
        };
        check(serial);
        if (n < 16384) continue;
        check(one.ref()), check(two.ref()), check(three.ref());
#ifdef _OPENMP
        for (int threads : {1, 2, 3, 8}) check(openmp_executor{threads});
#endif
      }
}

TEST_CASE("bin: no bins") {
  std::vector<std::int32_t> const keys{-1, -1};
  buffers b(2, 0, 0);
  bin(serial, dense_rows{}, keys, b.view());
  CHECK(b.offsets == std::vector<std::int64_t>{0});
  CHECK(b.row_of == std::vector<std::int32_t>{-1, -1});
}

TEST_CASE("bin: bad keys and sizes throw before anything is written") {
  auto const message = [](std::vector<std::int32_t> const& keys, std::size_t rows) {
    buffers b(keys.size(), 4, rows);
    buffers const untouched = b;
    std::string text;
    try {
      bin(serial, dense_rows{}, keys, b.view());
    } catch (argument_error const& error) {
      text = error.what();
    }
    CHECK(b == untouched);
    return text;
  };
  CHECK(message({0, 3, 4, 9}, 4).find("key of item 2 is 4") != std::string::npos);
  CHECK(message({0, -2}, 4).find("key of item 1 is -2") != std::string::npos);
  CHECK(message({0, 1, 2}, 2).find("size of src_of is 2") != std::string::npos);
  buffers b(3, 4, 3);
  std::vector<std::int32_t> const keys{0, 1, 2};
  auto wrong = b.view();
  wrong.kept = view<std::int32_t>(b.kept.data(), 3);
  CHECK_THROWS_AS(bin(serial, dense_rows{}, keys, wrong), argument_error);
  wrong = b.view();
  wrong.row_of = view<std::int32_t>(b.row_of.data(), 2);
  CHECK_THROWS_AS(bin(serial, dense_rows{}, keys, wrong), argument_error);
}

TEST_CASE("bin: a warm workspace of the stated size serves") {
  auto const keys = random_keys(40000, 128, 3, false);
  std::vector<std::byte> block(bin_workspace_bytes(40000, 128) + workspace::alignment);
  workspace ws(block.data(), block.size());
  buffers b(40000, 128, 40000);
  bin(serial, dense_rows{}, keys, b.view(), ws);
  CHECK(b == reference({}, keys, 128, 40000));
}
