#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/communicator.hpp"

using namespace fanfold;

namespace {

using ints = std::vector<int>;
using sizes = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("local_mesh: all_gather puts the buffers of all ranks one after the other") {
  local_mesh<3> const mesh;
  ints const a{1, 2}, b{3, 4}, c{5, 6};
  ints out[3];
  std::vector<view<int const>> const send{a, b, c};
  std::vector<view<int>> receive;
  for (auto& o : out) o.resize(6), receive.push_back(o);
  mesh.all_gather<int>(send, receive);
  for (auto const& o : out) CHECK(o == ints{1, 2, 3, 4, 5, 6});
  CHECK(mesh.bytes_moved() == 3 * 2 * 2 * 4);  // each buffer to two others
}

TEST_CASE("local_mesh: all_to_all_v carries chunks of any size, also none, and is undone by the way back") {
  local_mesh<2> const mesh;
  ints const a{1, 2, 3}, b{4};
  sizes const counts{2, 1, 1, 0}, back{2, 1, 1, 0};
  ints p(3), q(1), a2(3), b2(1);
  matrix_view<std::int64_t const> const sent(counts.data(), 2, 2);
  sizes const expected{2, 1, 1, 0};
  matrix_view<std::int64_t const> const received(expected.data(), 2, 2);
  mesh.all_to_all_v<int>(std::vector<view<int const>>{a, b}, sent, std::vector<view<int>>{p, q}, received);
  CHECK(p == ints{1, 2, 4});
  CHECK(q == ints{3});
  CHECK(mesh.bytes_moved() == 2 * 4);
  mesh.all_to_all_v<int>(std::vector<view<int const>>{p, q}, received, std::vector<view<int>>{a2, b2}, sent);
  CHECK(a2 == a);
  CHECK(b2 == b);
}

TEST_CASE("local_mesh: one rank moves nothing between ranks") {
  local_mesh<1> const mesh;
  ints const a{1, 2};
  ints out(2);
  sizes const counts{2};
  matrix_view<std::int64_t const> const c(counts.data(), 1, 1);
  mesh.all_to_all_v<int>(std::vector<view<int const>>{a}, c, std::vector<view<int>>{out}, c);
  CHECK(out == a);
  CHECK(mesh.bytes_moved() == 0);
}

TEST_CASE("local_mesh: errors") {
  local_mesh<2> const mesh;
  ints const a{1, 2}, b{3, 4};
  ints out(4), short_out(3);
  sizes const good{1, 1, 1, 1}, other{1, 1, 0, 1}, large{2, 1, 1, 1};
  auto const m = [](sizes const& s) { return matrix_view<std::int64_t const>(s.data(), 2, 2); };
  std::vector<view<int const>> const send{a, b};
  std::vector<view<int>> const receive{out, out}, short_receive{out, short_out};
  CHECK_THROWS_WITH_AS(mesh.all_gather<int>(send, short_receive), doctest::Contains("receive"), argument_error);
  CHECK_THROWS_WITH_AS(mesh.all_gather<int>(view<view<int const> const>(send.data(), 1), receive), doctest::Contains("buffers"), argument_error);
  CHECK_THROWS_WITH_AS(mesh.all_to_all_v<int>(send, m(good), receive, m(other)), doctest::Contains("other side"), argument_error);
  CHECK_THROWS_WITH_AS(mesh.all_to_all_v<int>(send, m(large), receive, m(large)), doctest::Contains("send buffer"), argument_error);
}
