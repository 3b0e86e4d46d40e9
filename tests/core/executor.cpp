#include "fanfold/core/executor.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "support/allocations.hpp"
#include "support/executors.hpp"

namespace {

using fanfold::for_each_task;
using fanfold::workspace;

/// Two members are all that a user's own executor needs.
struct backwards {
  std::size_t concurrency() const { return 4; }
  template <class F>
  void bulk(std::size_t n, F&& f) const {
    while (n > 0) f(--n);
  }
};
struct claims_nothing : backwards {
  std::size_t concurrency() const { return 0; }
};
struct no_bulk {
  std::size_t concurrency() const { return 1; }
};

static_assert(fanfold::host_executor<fanfold::serial_executor> && fanfold::executor<fanfold::serial_executor>);
static_assert(fanfold::host_executor<fanfold::thread_pool_ref> && fanfold::host_executor<backwards>);
static_assert(!fanfold::host_executor<no_bulk> && !fanfold::host_executor<fanfold::thread_pool> && !fanfold::host_executor<int>);
static_assert(!fanfold::device_executor<fanfold::serial_executor>);
#ifdef _OPENMP
static_assert(fanfold::host_executor<fanfold::openmp_executor>);
#endif

TEST_CASE("bulk: every index once") {
  support::for_each_executor([](char const* name, auto const& ex) {
    CAPTURE(name);
    for (std::size_t const n : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
      std::vector<std::atomic<int>> hits(n);
      ex.bulk(n, [&](std::size_t i) { hits[i].fetch_add(1); });
      for (auto const& h : hits) CHECK(h.load() == 1);
    }
  });
}

TEST_CASE("bulk: constant, stateful and plain functions are called in place") {
  struct counter {
    std::atomic<int>* total;
    void operator()(std::size_t) const { total->fetch_add(1); }
  };
  struct mutable_counter {
    std::atomic<int> total{0};
    void operator()(std::size_t) { total.fetch_add(1); }
  };
  support::for_each_executor([](char const* name, auto const& ex) {
    CAPTURE(name);
    std::atomic<int> total{0};
    counter const f{&total};
    ex.bulk(20, f);
    ex.bulk(20, counter{&total});
    CHECK(total.load() == 40);
    mutable_counter g;
    ex.bulk(20, g);
    CHECK(g.total.load() == 20);
    void (*const nothing)(std::size_t) = [](std::size_t) {};
    ex.bulk(20, nothing);
    ex.bulk(20, *nothing);
  });
}

TEST_CASE("bulk: an exception of one index reaches the caller, and the executor stays usable") {
  support::for_each_executor([](char const* name, auto const& ex) {
    CAPTURE(name);
    for (std::size_t const bad : {0u, 7u, 99u}) {
      CHECK_THROWS_WITH_AS(ex.bulk(100,
                                   [&](std::size_t i) {
                                     if (i == bad) throw std::runtime_error("index " + std::to_string(i));
                                   }),
                           ("index " + std::to_string(bad)).c_str(), std::runtime_error);
      std::atomic<int> count{0};
      ex.bulk(100, [&](std::size_t) { count.fetch_add(1); });
      CHECK(count.load() == 100);
    }
    CHECK_THROWS_AS(ex.bulk(50, [](std::size_t) { throw 1; }), int);
  });
}

TEST_CASE("bulk: a bulk inside a bulk runs serially, also of another executor") {
  support::for_each_executor([](char const* outer_name, auto const& outer) {
    support::for_each_executor([&](char const* inner_name, auto const& inner) {
      CAPTURE(outer_name);
      CAPTURE(inner_name);
      std::atomic<int> wrong{0}, calls{0};
      bool const parallel = outer.concurrency() > 1;
      outer.bulk(4, [&](std::size_t) {
        if (parallel && inner.concurrency() != 1) wrong.fetch_add(1);
        std::size_t next = 0;
        inner.bulk(5, [&](std::size_t i) {
          if (parallel && i != next++) wrong.fetch_add(1);
          calls.fetch_add(1);
        });
      });
      CHECK(calls.load() == 20);
      CHECK(wrong.load() == 0);
    });
  });
}

TEST_CASE("for_each_task: every task once, with memory of the worker's own") {
  support::for_each_executor([](char const* name, auto const& ex) {
    CAPTURE(name);
    workspace ws;
    for (std::int64_t const tasks : {0, 1, 2, 5, 100}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(tasks));
      std::atomic<int> disturbed{0}, misaligned{0};
      for_each_task(ex, tasks, 100, ws, [&](std::int64_t task, void* scratch) {
        if (reinterpret_cast<std::uintptr_t>(scratch) % 64 != 0) misaligned.fetch_add(1);
        auto* const bytes = static_cast<unsigned char*>(scratch);
        std::memset(bytes, static_cast<int>(task), 100);
        hits[static_cast<std::size_t>(task)].fetch_add(1);
        for (int i = 0; i < 100; ++i)
          if (bytes[i] != static_cast<unsigned char>(task)) disturbed.fetch_add(1);
      });
      for (auto const& h : hits) CHECK(h.load() == 1);
      CHECK(disturbed.load() == 0);
      CHECK(misaligned.load() == 0);
    }
  });
}

TEST_CASE("for_each_task: without scratch, and with an exception") {
  support::for_each_executor([](char const* name, auto const& ex) {
    CAPTURE(name);
    std::atomic<std::int64_t> sum{0};
    for_each_task(ex, 50, [&](std::int64_t task) { sum.fetch_add(task); });
    CHECK(sum.load() == 1225);
    workspace ws;
    CHECK_THROWS_WITH_AS(for_each_task(ex, 50, 8, ws,
                                       [](std::int64_t task, void*) {
                                         if (task == 17) throw std::runtime_error("task 17");
                                       }),
                         "task 17", std::runtime_error);
    workspace::frame frame(ws);  // the frame of the failed call is closed
    CHECK(frame.take<char>(1).data() != nullptr);
  });
}

TEST_CASE("for_each_task: memory is per worker, not per task") {
  workspace ws;
  for_each_task(backwards{}, 1000, 256, ws, [](std::int64_t, void*) {});
  CHECK(ws.peak() == 4 * 256);
  workspace small;
  for_each_task(backwards{}, 2, 256, small, [](std::int64_t, void*) {});
  CHECK(small.peak() == 2 * 256);
}

TEST_CASE("for_each_task: an executor that claims no concurrency still has one worker with memory") {
  workspace ws;
  int tasks = 0;
  for_each_task(claims_nothing{}, 3, 256, ws, [&](std::int64_t, void* scratch) {
    std::memset(scratch, 1, 256);
    ++tasks;
  });
  CHECK(tasks == 3);
  CHECK(ws.peak() == 256);
}

TEST_CASE("for_each_task: a warm workspace means no allocation") {
  workspace ws;
  auto const call = [&] { for_each_task(fanfold::serial, 10, 1000, ws, [](std::int64_t, void*) {}); };
  call();
  support::allocation_count const count;
  call();
  CHECK(count.get() == 0);
}

TEST_CASE("fetch: reads the first element on the host") {
  float const x[] = {2.5f};
  CHECK(fanfold::fetch(fanfold::serial, x) == 2.5f);
}

}  // namespace
