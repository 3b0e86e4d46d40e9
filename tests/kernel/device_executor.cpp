#include "fanfold/kernel/device_executor.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/launch.hpp"
#include "fanfold/kernel/status.hpp"

namespace {

namespace ff = fanfold;
using ff::view;

static_assert(ff::launch_executor<ff::emulate::executor> && !ff::launch_executor<ff::serial_executor>);

struct plain_body {
  template <ff::block B>
  FANFOLD_HD void operator()(B&, int) const {}
};
struct narrow_body : plain_body {
  static constexpr unsigned max_threads = 64;
};
struct wide_body : plain_body {
  static constexpr unsigned max_threads = 512;
};
static_assert(ff::max_threads_of<plain_body>() == 256 && ff::max_threads_of<narrow_body>() == 64 && ff::max_threads_of<wide_body>() == 512);

// Every place is written once, with what the helpers say of the thread.
struct place_body {
  template <ff::block B>
  FANFOLD_HD void operator()(B& b, view<std::int64_t> warp, view<std::int64_t> lane) const {
    for (std::int64_t i = ff::grid_thread(b); i < warp.size(); i += ff::grid_threads(b)) {
      warp[i] += ff::grid_warp(b) + 1000 * ff::grid_warps(b);
      lane[i] += 32 * static_cast<std::int64_t>(ff::warp_of(b)) + ff::lane_of(b) + 1000 * static_cast<std::int64_t>(ff::warps_of(b));
    }
  }
};

std::string message_of(std::uint32_t bits) {
  try {
    ff::throw_data_faults(bits);
  } catch (ff::argument_error const& e) {
    return e.what();
  }
  return "";
}

TEST_CASE("threads_for, blocks_for: what the body allows, enough for all items, at most some waves") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {.block_threads = 128, .resident_blocks = 3});
  CHECK(ff::threads_for<plain_body>(ex) == 128);
  CHECK(ff::threads_for<narrow_body>(ex) == 64);
  CHECK(ff::threads_for<wide_body>(ex) == 128);
  CHECK(ff::blocks_for(ex, 0, 10, 64) == 0);
  CHECK(ff::blocks_for(ex, 1, 10, 64) == 1);
  CHECK(ff::blocks_for(ex, 10, 10, 64) == 1);
  CHECK(ff::blocks_for(ex, 11, 10, 64) == 2);
  CHECK(ff::blocks_for(ex, 1000, 10, 64) == 4 * ex.resident_blocks(64));
  CHECK(ff::blocks_for(ex, 1000, 10, 64, 1) == ex.resident_blocks(64));
}

TEST_CASE("launch: a bad grid or block size is refused before anything runs") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  for (unsigned threads : {0u, 31u, 33u, 96u})
    CHECK_THROWS_WITH_AS(ex.launch(narrow_body{}, 1, threads, 1), doctest::Contains("launch"), ff::argument_error);
  CHECK_THROWS_AS(ex.launch(plain_body{}, -1, 32, 1), ff::argument_error);
  CHECK_THROWS_AS(ex.launch(plain_body{}, std::int64_t{1} << 31, 32, 1), ff::argument_error);
  CHECK_NOTHROW(ex.launch(plain_body{}, 0, 32, 1));
}

TEST_CASE("numbers of threads, lanes and warps count through block and grid") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  std::vector<std::int64_t> warp(3 * 96), lane(3 * 96);
  ex.launch(place_body{}, 3, 96, view<std::int64_t>(warp), view<std::int64_t>(lane));
  for (std::size_t i = 0; i < warp.size(); ++i) {
    REQUIRE(warp[i] == static_cast<std::int64_t>(i / 32) + 9000);
    REQUIRE(lane[i] == static_cast<std::int64_t>(i % 96) + 3000);
  }
}

TEST_CASE("fill, fetch, finish: values come back, faults are thrown once") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {.block_threads = 64, .resident_blocks = 2});
  std::vector<float> device(1001, 1), host(1001);
  ff::fill(ex, view<float>(device), 2.5f);
  ff::fetch(ex, view<float const>(device), view<float>(host));
  CHECK(host == std::vector<float>(1001, 2.5f));
  CHECK(ff::fetch(ex, view<float const>(device.data(), 1)) == 2.5f);
  ff::fill(ex, view<float>(), 1.0f);
  CHECK_THROWS_AS(ff::fetch(ex, view<float const>(device), view<float>(host.data(), 3)), ff::argument_error);

  *ex.status() = static_cast<std::uint32_t>(ff::data_fault::singular);
  CHECK_THROWS_WITH_AS(ff::finish(ex), doctest::Contains("singular"), ff::argument_error);
  CHECK_NOTHROW(ff::finish(ex));
}

TEST_CASE("throw_data_faults names every fault that is set, and no other") {
  CHECK(message_of(0).empty());
  using fault = ff::data_fault;
  auto const bit = [](fault f) { return static_cast<std::uint32_t>(f); };
  char const* const words[] = {"out of range", "ascend", "not finite", "negative", "capacity", "singular"};
  for (std::uint32_t i = 0; i < 6; ++i)
    for (std::uint32_t j = 0; j < 6; ++j) CHECK((message_of(1u << i).find(words[j]) != std::string::npos) == (i == j));
  std::string const two = message_of(bit(fault::not_finite) | bit(fault::other));
  CHECK(two.find("not finite, invalid data") != std::string::npos);
}

}  // namespace
