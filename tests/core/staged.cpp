#include "fanfold/core/staged.hpp"

#include <doctest/doctest.h>

#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/upload.hpp"

namespace {

namespace ff = fanfold;

TEST_CASE("staged: on the host the loops read what was written, in place") {
  ff::workspace ws;
  ff::workspace::frame frame(ws);
  ff::staged<int> s(ff::serial, frame, 3);
  REQUIRE(s.host().size() == 3);
  for (int i = 0; i < 3; ++i) s.host()[i] = 10 + i;
  auto const read = s.publish(ff::serial);
  CHECK(read.data() == s.host().data());
  CHECK(read[2] == 12);
}

TEST_CASE("staged: a device gets a copy, of what is there when it is published") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  ff::workspace::frame frame(ws);
  ff::staged<float> s(ex, frame, 5);
  for (int i = 0; i < 5; ++i) s.host()[i] = static_cast<float>(i);
  auto const read = s.publish(ex);
  ex.wait();
  REQUIRE(read.size() == 5);
  CHECK(read.data() != s.host().data());
  s.host()[4] = 9;
  CHECK(read[4] == 4);
  s.publish(ex);
  ex.wait();
  CHECK(read[4] == 9);
}

TEST_CASE("staged: nothing to send is fine on every executor") {
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  ff::workspace::frame frame(ws);
  CHECK(ff::staged<int>(ex, frame, 0).publish(ex).size() == 0);
  CHECK(ff::staged<int>(ff::serial, frame, 0).publish(ff::serial).size() == 0);
}

}  // namespace
