#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "fanfold/core/executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

class thread_pool_ref;

/// A fixed team of threads that the user owns: `threads` in all, the calling one included. Hand `pool.ref()` to algorithms.
/// Exceptions of tasks reach the caller; a call from inside a task runs serially; calls from several user threads take turns.
class thread_pool {
 public:
  explicit thread_pool(int threads) {
    check_argument(threads >= 1, "thread_pool", "threads", threads, "1 or more");
    helpers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
    } catch (...) {  // no more threads to be had: the ones that run must end before the members do
      stop();
      throw;
    }
  }
  thread_pool(thread_pool const&) = delete;
  thread_pool& operator=(thread_pool const&) = delete;
  ~thread_pool() { stop(); }

  std::size_t threads() const { return helpers_.size() + 1; }
  inline thread_pool_ref ref();

  /// See host_executor.
  template <class F>
  void bulk(std::size_t n, F&& f) {
    if (n <= 1 || helpers_.empty() || detail::inside_bulk()) return serial.bulk(n, f);
    auto call = [&f](std::size_t i) { f(i); };
    std::lock_guard const turn(turn_);
    job work{n, &call, [](void* c, std::size_t i) { (*static_cast<decltype(call)*>(c))(i); }, {}, {}};
    detail::inside_bulk_scope const scope;
    publish(&work);
    work.take_all();
    wait_for_helpers();
    work.error.rethrow();
  }

 private:
  struct job {
    std::size_t n;
    void* call;
    void (*run)(void*, std::size_t);
    std::atomic<std::size_t> next;
    detail::first_exception error;

    void take_all() {
      for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
        if (error.caught()) return;
        try {
          run(call, i);
        } catch (...) {
          error.capture();
        }
      }
    }
  };

  void stop() {
    publish(nullptr);
    for (std::thread& t : helpers_) t.join();
  }

  void publish(job* work) {
    {
      std::lock_guard const lock(mutex_);
      job_ = work;
      busy_.store(helpers_.size(), std::memory_order_relaxed);
      generation_.store(generation_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void help() {
    detail::inside_bulk() = true;
    for (unsigned seen = 0;;) {
      seen = next_generation(seen);
      job* const work = job_;
      if (work == nullptr) return;
      work->take_all();
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard const lock(mutex_);
        done_.notify_one();
      }
    }
  }

  // Back-to-back calls find the helpers still spinning; after that they sleep.
  template <class Ready>
  static bool spin(Ready ready) {
    auto const end = std::chrono::steady_clock::now() + std::chrono::microseconds(10);
    do {
      for (int i = 0; i < 64; ++i)
        if (ready()) return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  unsigned next_generation(unsigned seen) {
    auto const ready = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    if (!spin(ready)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, ready);
    }
    return generation_.load(std::memory_order_acquire);
  }

  void wait_for_helpers() {
    auto const ready = [&] { return busy_.load(std::memory_order_acquire) == 0; };
    if (spin(ready)) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, ready);
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned> generation_{0};
  std::atomic<std::size_t> busy_{0};
  job* job_ = nullptr;
  std::vector<std::thread> helpers_;
};

/// Copyable handle of a thread_pool, a host_executor.
class thread_pool_ref {
 public:
  explicit thread_pool_ref(thread_pool& pool) : pool_(&pool) {}
  std::size_t concurrency() const { return detail::inside_bulk() ? 1 : pool_->threads(); }
  template <class F>
  void bulk(std::size_t n, F&& f) const {
    pool_->bulk(n, f);
  }

 private:
  thread_pool* pool_;
};

inline thread_pool_ref thread_pool::ref() { return thread_pool_ref(*this); }

}  // namespace fanfold::inline FANFOLD_ABI
