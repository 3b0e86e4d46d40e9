#include "fanfold/core/workspace.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "support/allocations.hpp"

namespace {

using fanfold::argument_error;
using fanfold::workspace;

bool aligned(void const* p) { return reinterpret_cast<std::uintptr_t>(p) % workspace::alignment == 0; }

struct alignas(workspace::alignment) block {
  std::byte bytes[4096];
};

TEST_CASE("workspace: blocks are aligned and apart") {
  workspace ws;
  workspace::frame frame(ws);
  auto const a = frame.take<float>(3);
  auto const b = frame.take<std::int64_t>(5);
  auto const c = frame.take<char>(0);
  CHECK(a.size() == 3);
  CHECK(b.size() == 5);
  CHECK(c.empty());
  CHECK(aligned(a.data()));
  CHECK(aligned(b.data()));
  CHECK_FALSE(fanfold::overlaps(a, b));
  CHECK(ws.peak() == 512);
}

TEST_CASE("workspace: no block moves while a frame is open, however much is taken") {
  workspace ws;
  workspace::frame frame(ws);
  std::vector<fanfold::view<int>> taken;
  for (int i = 0; i < 60; ++i) {
    taken.push_back(frame.take<int>(100 * (i + 1)));
    for (int& x : taken.back()) x = i;
  }
  for (int i = 0; i < 60; ++i)
    for (int const x : taken[static_cast<std::size_t>(i)]) REQUIRE(x == i);
}

TEST_CASE("workspace: frames nest and give back what they took") {
  workspace ws;
  workspace::frame outer(ws);
  auto const kept = outer.take<int>(1000);
  for (int& x : kept) x = 7;
  int* inner_block = nullptr;
  for (int round = 0; round < 3; ++round) {
    workspace::frame inner(ws);
    auto const a = inner.take<int>(1000);
    if (inner_block == nullptr) inner_block = a.data();
    CHECK(a.data() == inner_block);
    std::memset(a.data(), 0, 4000);
    workspace::frame innermost(ws);
    auto const b = innermost.take<int>(5000);
    std::memset(b.data(), 0, 20000);
    CHECK_FALSE(fanfold::overlaps(a, b));
    CHECK_FALSE(fanfold::overlaps(kept, b));
  }
  for (int const x : kept) REQUIRE(x == 7);
  CHECK(ws.peak() == 4096 + 4096 + 20224);
}

TEST_CASE("workspace: a second call with the same needs allocates nothing") {
  workspace ws;
  auto const call = [&](std::int64_t n) {
    workspace::frame frame(ws);
    frame.take<double>(n);
    workspace::frame inner(ws);
    inner.take<char>(3 * n);
    inner.take<float>(n / 2);
  };
  for (std::int64_t const n : {10, 1000, 50000, 300}) {
    call(n);
    std::size_t const held = ws.capacity();
    support::allocation_count const count;
    call(n);
    CHECK(count.get() == 0);
    CHECK(ws.capacity() == held);
  }
}

TEST_CASE("workspace: growth is geometric") {
  workspace ws;
  workspace::frame frame(ws);
  support::allocation_count const count;
  for (int i = 0; i < 4096; ++i) frame.take<char>(256);
  CHECK(count.get() < 40);
  CHECK(ws.capacity() <= 4u * 4096 * 256);
}

TEST_CASE("workspace: a given block is used and never left") {
  block memory;
  workspace ws(&memory, sizeof(memory));
  CHECK(ws.capacity() == 4096);
  for (int round = 0; round < 2; ++round) {
    workspace::frame frame(ws);
    auto const all = frame.take<std::byte>(4096);
    CHECK(all.data() == memory.bytes);
    CHECK_THROWS_AS(frame.take<char>(1), argument_error);
  }
}

TEST_CASE("workspace: a block that is too small says the bytes it needs, and those suffice") {
  block memory;
  workspace ws(&memory, 1024);
  workspace::frame frame(ws);
  frame.take<char>(300);
  CHECK_THROWS_WITH_AS(frame.take<char>(1000), "fanfold::workspace: size of the block is 1024, must be at least 1536 bytes", argument_error);
  frame.take<char>(512);  // a smaller one still fits

  workspace enough(&memory, 1536);
  workspace::frame second(enough);
  second.take<char>(300);
  CHECK_NOTHROW(second.take<char>(1000));
}

TEST_CASE("workspace: the bytes said are right for a block at any address") {
  block memory;
  void* const odd = memory.bytes + 8;
  workspace ws(odd, 600);
  CHECK(ws.capacity() == 600 - 248);
  workspace::frame frame(ws);
  CHECK_THROWS_WITH_AS(frame.take<char>(400), "fanfold::workspace: size of the block is 600, must be at least 760 bytes", argument_error);
  workspace enough(odd, 760);
  workspace::frame second(enough);
  CHECK(aligned(second.take<char>(400).data()));
}

TEST_CASE("workspace: no block, and one too short to align") {
  workspace none(nullptr, 0);
  workspace::frame frame(none);
  CHECK(frame.take<int>(0).empty());
  CHECK_THROWS_AS(frame.take<int>(1), argument_error);
  block memory;
  workspace tiny(memory.bytes + 1, 10);
  CHECK(tiny.capacity() == 0);
  workspace::frame second(tiny);
  CHECK_THROWS_WITH(second.take<char>(1), "fanfold::workspace: size of the block is 10, must be at least 266 bytes");
}

TEST_CASE("workspace: impossible counts are refused") {
  workspace ws;
  workspace::frame frame(ws);
  CHECK_THROWS_WITH_AS(frame.take<int>(-1), "fanfold::workspace: count of elements is -1, must be 0 or more and addressable", argument_error);
  CHECK_THROWS_AS(frame.take<double>(std::numeric_limits<std::int64_t>::max()), argument_error);
  CHECK_THROWS_AS(frame.take<double>(std::numeric_limits<std::int64_t>::max() / 8), argument_error);
}

TEST_CASE("workspace: a given block's frame that failed leaves the workspace usable") {
  block memory;
  workspace ws(&memory, sizeof(memory));
  try {
    workspace::frame frame(ws);
    frame.take<char>(2048);
    frame.take<char>(4096);
  } catch (argument_error const&) {
  }
  workspace::frame frame(ws);
  CHECK(frame.take<char>(4096).size() == 4096);
}

}  // namespace
