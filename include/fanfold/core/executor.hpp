#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/core/workspace.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace fanfold::inline FANFOLD_ABI {

/// Runs host code: `bulk(n, f)` calls f(i) for every i in [0, n), returns when all are done and rethrows the first exception;
/// `concurrency()` calls may run at the same time. A bulk inside a bulk runs serially.
template <class E>
concept host_executor = std::copyable<E> && requires(E const& e, std::size_t n, void (*f)(std::size_t)) {
  { e.concurrency() } -> std::convertible_to<std::size_t>;
  { e.bulk(n, f) } -> std::same_as<void>;
};

/// Launches kernel bodies on a device or in its emulation; `cuda::executor` and `emulate::executor` model it.
/// `device_executor_tag` names the launch interface that kernel/device_executor.hpp describes.
template <class E>
concept device_executor = std::copyable<E> && requires(E const& e) {
  typename E::device_executor_tag;
  { e.scratch() } -> std::same_as<workspace&>;
};

template <class E>
concept executor = host_executor<E> || device_executor<E>;

/// Everything on the calling thread.
struct serial_executor {
  constexpr std::size_t concurrency() const { return 1; }
  template <class F>
  void bulk(std::size_t n, F&& f) const {
    for (std::size_t i = 0; i < n; ++i) f(i);
  }
};
/// The default of every call.
inline constexpr serial_executor serial{};

namespace detail {

/// A number that several threads draw from. (By compiler builtins: the standard header would double the cost of parsing this one.)
class shared_counter {
 public:
  std::int64_t next() { return __atomic_fetch_add(&value_, 1, __ATOMIC_RELAXED); }

 private:
  std::int64_t value_ = 0;
};

/// Keeps the first exception of several threads and lets the rest of the work be skipped.
class first_exception {
 public:
  bool caught() const { return __atomic_load_n(&caught_, __ATOMIC_RELAXED); }
  void capture() noexcept {
    if (!__atomic_exchange_n(&caught_, true, __ATOMIC_ACQ_REL)) error_ = std::current_exception();
  }
  /// Call after the threads have been joined.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  bool caught_ = false;
  std::exception_ptr error_;
};

/// Whether the calling thread runs a task of some parallel bulk; further bulks are then serial, of whatever executor.
inline bool& inside_bulk() {
  thread_local bool flag = false;
  return flag;
}

class inside_bulk_scope {
 public:
  inside_bulk_scope() : before_(inside_bulk()) { inside_bulk() = true; }
  inside_bulk_scope(inside_bulk_scope const&) = delete;
  inside_bulk_scope& operator=(inside_bulk_scope const&) = delete;
  ~inside_bulk_scope() { inside_bulk() = before_; }

 private:
  bool before_;
};

}  // namespace detail

#ifdef _OPENMP
/// An OpenMP parallel region a call; `threads` = 0 asks the runtime for its default number.
struct openmp_executor {
  int threads = 0;

  std::size_t concurrency() const {
    if (omp_in_parallel() || detail::inside_bulk()) return 1;
    return static_cast<std::size_t>(threads > 0 ? threads : omp_get_max_threads());
  }
  template <class F>
  void bulk(std::size_t n, F&& f) const {
    int const team = static_cast<int>(n < concurrency() ? n : concurrency());
    if (team <= 1) return serial.bulk(n, f);
    detail::first_exception error;
#pragma omp parallel for num_threads(team) schedule(dynamic, 1)
    for (std::size_t i = 0; i < n; ++i) {
      if (error.caught()) continue;
      detail::inside_bulk_scope const scope;
      try {
        f(i);
      } catch (...) {
        error.capture();
      }
    }
    error.rethrow();
  }
};
/// As many threads as OpenMP gives.
inline constexpr openmp_executor openmp{};
#endif

/// Calls f(task, scratch) for every task of a fixed list of `tasks`, with at most `ex.concurrency()` workers that take tasks from one
/// counter. `scratch` is `scratch_bytes` of memory of the worker's own (64-byte aligned, unset). Which worker runs a task must not matter.
template <host_executor E, class F>
void for_each_task(E const& ex, std::int64_t tasks, std::size_t scratch_bytes, workspace& ws, F&& f) {
  if (tasks <= 0) return;
  auto const wanted = static_cast<std::int64_t>(ex.concurrency());
  std::int64_t const workers = wanted < 1 ? 1 : wanted < tasks ? wanted : tasks;
  workspace::frame frame(ws);
  std::size_t const step = (scratch_bytes + workspace::alignment - 1) / workspace::alignment * workspace::alignment;
  std::byte* const scratch = step == 0 ? nullptr : frame.take<std::byte>(static_cast<std::int64_t>(step) * workers).data();
  if (workers <= 1) {
    for (std::int64_t task = 0; task < tasks; ++task) f(task, static_cast<void*>(scratch));
    return;
  }
  detail::shared_counter counter;
  ex.bulk(static_cast<std::size_t>(workers), [&](std::size_t worker) {
    void* const mine = step == 0 ? nullptr : scratch + worker * step;
    for (std::int64_t task; (task = counter.next()) < tasks;) f(task, mine);
  });
}

/// The same without scratch memory.
template <host_executor E, class F>
void for_each_task(E const& ex, std::int64_t tasks, F&& f) {
  workspace none;
  for_each_task(ex, tasks, 0, none, [&](std::int64_t task, void*) { f(task); });
}

/// The value that `out[0]` holds once everything before it is done: a plain read on the host.
template <host_executor E, viewable Out>
auto fetch(E const&, Out const& out) {
  return as_view(out)[0];
}

}  // namespace fanfold::inline FANFOLD_ABI
