#include "fanfold/kernel/upload.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

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

}  // namespace
