#include "fanfold/kernel/upload.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"

#include "support/emulated.hpp"

namespace {

namespace ff = fanfold;

struct record {
  std::int64_t id;
  float weight;
  bool operator==(record const&) const = default;
};

TEST_CASE("upload: every item arrives, whatever number of launches it takes, and no other place is written") {
  support::for_each_geometry([](auto const& ex) {
    for (std::int64_t n : {0, 1, 191, 192, 193, 1000}) {  // 192 records fill the arguments of a launch
      std::vector<record> device(static_cast<std::size_t>(n + 2), record{-1, -1}), want = device;
      {
        std::vector<record> host;
        for (std::int64_t i = 0; i < n; ++i) host.push_back({i * i, static_cast<float>(i) / 2});
        for (std::int64_t i = 0; i < n; ++i) want[static_cast<std::size_t>(i + 1)] = host[static_cast<std::size_t>(i)];
        ff::upload(ex, ff::view<record>(device.data() + 1, n), ff::view<record const>(host.data(), n));
      }  // the host's copy is gone
      ex.wait();
      REQUIRE(device == want);
    }
  });
}

TEST_CASE("upload: sizes that differ are refused and nothing is written") {
  support::for_each_geometry([](auto const& ex) {
    std::vector<float> device(4, 7), host(4, 1);
    for (auto const& [target, items] : {std::pair{3, 4}, std::pair{4, 3}, std::pair{0, 1}, std::pair{1, 0}}) {
      std::string text;
      try {
        ff::upload(ex, ff::view<float>(device.data(), target), ff::view<float const>(host.data(), items));
      } catch (ff::argument_error const& error) {
        text = error.what();
      }
      CHECK(text == "fanfold::upload: number of items is " + std::to_string(items) + ", must be the size of the target");
    }
    ex.wait();
    CHECK(device == std::vector<float>(4, 7));
  });
}

}  // namespace
