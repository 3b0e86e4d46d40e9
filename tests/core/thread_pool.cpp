#include "fanfold/core/thread_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/allocations.hpp"

namespace {

using fanfold::thread_pool;

static_assert(!std::is_copy_constructible_v<thread_pool> && std::is_trivially_copyable_v<fanfold::thread_pool_ref>);

TEST_CASE("thread_pool: says how many threads it has") {
  for (int const threads : {1, 2, 3, 8}) {
    thread_pool pool(threads);
    CHECK(pool.threads() == static_cast<std::size_t>(threads));
    CHECK(pool.ref().concurrency() == static_cast<std::size_t>(threads));
  }
  CHECK_THROWS_WITH_AS(thread_pool(0), "fanfold::thread_pool: threads is 0, must be 1 or more", fanfold::argument_error);
  CHECK_THROWS_AS(thread_pool(-3), fanfold::argument_error);
}

TEST_CASE("thread_pool: tasks really run at the same time") {
  thread_pool pool(3);
  std::atomic<int> arrived{0};
  pool.ref().bulk(3, [&](std::size_t) {
    arrived.fetch_add(1);
    while (arrived.load() < 3) std::this_thread::yield();  // would hang with fewer threads
  });
  CHECK(arrived.load() == 3);
}

TEST_CASE("thread_pool: plain writes of the tasks are visible to the caller, call after call") {
  thread_pool pool(2);
  std::vector<int> x(100, 0);
  for (int round = 0; round < 500; ++round) pool.ref().bulk(x.size(), [&](std::size_t i) { x[i] += 1; });
  for (int const v : x) CHECK(v == 500);
}

TEST_CASE("thread_pool: works again after its helpers went to sleep") {
  thread_pool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> count{0};
    pool.ref().bulk(10, [&](std::size_t) { count.fetch_add(1); });
    CHECK(count.load() == 10);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_CASE("thread_pool: calls from several user threads take turns") {
  thread_pool pool(3);
  std::atomic<int> wrong{0};
  auto const user = [&] {
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> count{0};
      pool.ref().bulk(20, [&](std::size_t) { count.fetch_add(1); });
      if (count.load() != 20) wrong.fetch_add(1);
    }
  };
  std::thread first(user), second(user);
  first.join();
  second.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("thread_pool: an exception goes to the user thread that made the call") {
  thread_pool pool(2);
  std::atomic<int> caught{0}, clean{0};
  std::thread failing([&] {
    for (int round = 0; round < 50; ++round) try {
        pool.ref().bulk(8, [](std::size_t i) {
          if (i == 3) throw std::runtime_error("3");
        });
      } catch (std::runtime_error const&) {
        caught.fetch_add(1);
      }
  });
  std::thread fine([&] {
    for (int round = 0; round < 50; ++round) {
      pool.ref().bulk(8, [](std::size_t) {});
      clean.fetch_add(1);
    }
  });
  failing.join();
  fine.join();
  CHECK(caught.load() == 50);
  CHECK(clean.load() == 50);
}

TEST_CASE("thread_pool: every task may fail") {
  thread_pool pool(3);
  CHECK_THROWS_AS(pool.ref().bulk(100, [](std::size_t i) { throw static_cast<int>(i); }), int);
}

TEST_CASE("thread_pool: nested calls run on the thread of the task") {
  thread_pool pool(2), other(2);
  std::atomic<int> wrong{0};
  pool.ref().bulk(4, [&](std::size_t) {
    auto const here = std::this_thread::get_id();
    for (thread_pool* p : {&pool, &other})
      p->ref().bulk(6, [&](std::size_t) {
        if (std::this_thread::get_id() != here) wrong.fetch_add(1);
      });
  });
  CHECK(wrong.load() == 0);
  CHECK(pool.ref().concurrency() == 2);  // the mark of being inside is gone
}

TEST_CASE("thread_pool: a call allocates nothing") {
  thread_pool pool(2);
  pool.ref().bulk(4, [](std::size_t) {});
  support::allocation_count const count;
  pool.ref().bulk(4, [](std::size_t) {});
  CHECK(count.get() == 0);
}

}  // namespace
