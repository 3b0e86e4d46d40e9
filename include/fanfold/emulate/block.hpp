#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/emulate/detail/block_run.hpp"
#include "fanfold/kernel/block.hpp"

namespace fanfold::inline FANFOLD_ABI::emulate {

/// The `block` of a kernel body that runs on the CPU: one fibre a thread, all on the calling OS thread. A barrier or warp operation that
/// part of the threads never reach is an assertion_error; races are visible to ThreadSanitizer, overflows to AddressSanitizer.
class block {
 public:
  static constexpr unsigned warp_size = 32;

  block(detail::block_run& run, unsigned thread)
      : run_(&run),
        tokens_(run.tokens.load(std::memory_order_relaxed)),
        thread_(thread),
        threads_(run.threads.load(std::memory_order_relaxed)),
        index_(run.index.load(std::memory_order_relaxed)),
        blocks_(run.blocks.load(std::memory_order_relaxed)) {}
  block(block const&) = delete;
  block& operator=(block const&) = delete;

  unsigned thread() const { return thread_; }
  unsigned threads() const { return threads_; }
  unsigned index() const { return index_; }
  unsigned blocks() const { return blocks_; }

  // Two tokens take turns: with one, a thread that is a barrier ahead would seem ordered before those that still leave the last one.
  void sync() { meet(tokens_ + barriers_++ % 2, detail::stage::barrier); }
  void sync_warp() { meet(tokens_ + 2 + 2 * (thread_ / 32) + warp_barriers_++ % 2, detail::stage::warp_barrier); }

  template <class T>
  T shuffle(T const& value, unsigned lane) {
    return exchange(value, lane % 32);
  }
  template <class T>
  T shuffle_down(T const& value, unsigned n) {
    return exchange(value, lane() + n < 32 ? lane() + n : lane());
  }
  template <class T>
  T shuffle_up(T const& value, unsigned n) {
    return exchange(value, lane() >= n ? lane() - n : lane());
  }
  template <class T>
  T shuffle_xor(T const& value, unsigned mask) {
    return exchange(value, (lane() ^ mask) < 32 ? lane() ^ mask : lane());
  }

  std::uint32_t ballot(bool predicate) {
    unsigned const parity = exchanges_++ % 2;
    run_->slot(parity, thread_)[0].store(predicate ? 1 : 0, std::memory_order_relaxed);
    run_->wait(thread_, detail::stage::ballot);
    std::uint32_t bits = 0;
    for (unsigned l = 0; l < 32; ++l) bits |= run_->slot(parity, thread_ - lane() + l)[0].load(std::memory_order_relaxed) << l;
    return bits;
  }

  template <class T>
  T atomic_add(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
  }
  template <class T>
  T atomic_min(T* p, std::type_identity_t<T> v) {
    return update(p, [v](T old) { return v < old ? v : old; });
  }
  template <class T>
  T atomic_max(T* p, std::type_identity_t<T> v) {
    return update(p, [v](T old) { return old < v ? v : old; });
  }
  template <class T>
  T atomic_or(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_or(v, std::memory_order_relaxed);
  }
  template <class T>
  T compare_exchange(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
    std::atomic_ref<T>(*p).compare_exchange_strong(expected, desired, std::memory_order_relaxed);
    return expected;
  }

 private:
  unsigned lane() const { return thread_ % 32; }

  void meet(void* token, detail::stage what) {
    detail::release_token(token);
    run_->wait(thread_, what);
    detail::acquire_token(token);
  }

  // Written to one half of the slots while slower lanes may still read the other: no second meeting is needed.
  template <class T>
  T exchange(T const& value, unsigned source) {
    using words = fanfold::detail::shuffle_words<T>;
    static_assert(words::count <= static_cast<int>(detail::block_run::slot_words), "a shuffle moves at most 512 bytes");
    unsigned const parity = exchanges_++ % 2;
    words w(value);
    auto* const mine = run_->slot(parity, thread_);
    for (int i = 0; i < words::count; ++i) mine[i].store(w.word[i], std::memory_order_relaxed);
    run_->wait(thread_, detail::stage::shuffle);
    auto* const theirs = run_->slot(parity, thread_ - lane() + source);
    for (int i = 0; i < words::count; ++i) w.word[i] = theirs[i].load(std::memory_order_relaxed);
    return w.value(value);
  }

  template <class T, class F>
  static T update(T* p, F f) {
    std::atomic_ref<T> const a(*p);
    T old = a.load(std::memory_order_relaxed);
    while (!a.compare_exchange_weak(old, f(old), std::memory_order_relaxed)) {
    }
    return old;
  }

  detail::block_run* run_;
  std::uint64_t* tokens_;
  unsigned thread_, threads_, index_, blocks_;
  unsigned barriers_ = 0, warp_barriers_ = 0, exchanges_ = 0;
};
static_assert(fanfold::block<block>);

namespace detail {

/// What each fibre of a block runs.
inline void run_thread(void* argument) {
  auto* const self = static_cast<block_run::seat*>(argument);
  block_run& run = *self->run;
  unsigned const thread = self->thread;
  grid_call& grid = *run.grid.load(std::memory_order_relaxed);
  acquire_token(&grid.begin_token);
  try {
    block b(run, thread);
    if (!run.cancel.load(std::memory_order_relaxed))
      grid.call(grid.packet, b, run.shared.load(std::memory_order_relaxed), run.dynamic.load(std::memory_order_relaxed));
  } catch (cancelled const&) {
  } catch (...) {
    grid.fail(std::current_exception());
  }
  run.end(thread);
  release_token(&grid.end_token);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::emulate
