#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/emulate/detail/fibre.hpp"

namespace fanfold::inline FANFOLD_ABI::emulate {

class block;

namespace detail {

/// Thrown through the frames of threads that can never go on, so that their stacks are free for the next block.
struct cancelled {};

/// One launch as its threads see it. Written before the first block starts, except for `error`.
struct grid_call {
  void (*call)(void const* packet, block& b, std::byte* shared, std::byte* dynamic);
  void const* packet;
  std::uint64_t begin_token = 0, end_token = 0;
  std::atomic<bool> failed{false};
  std::exception_ptr error{};

  void fail(std::exception_ptr e) {
    if (!failed.exchange(true, std::memory_order_relaxed)) error = std::move(e);
  }
};

/// What a thread waits for.
enum class stage : std::uint8_t { ready, barrier, warp_barrier, shuffle, ballot, ended };

/// A set of fibres with the exchange slots of one running block: everything that the scheduler and the threads share, as relaxed atomics.
class block_run {
 public:
  static constexpr std::size_t slot_words = 128;

  template <class T>
  using shared_value = std::atomic<T>;

  // Set by the scheduler before a block starts.
  shared_value<grid_call*> grid{nullptr};
  shared_value<unsigned> threads{0}, index{0}, blocks{0};
  shared_value<std::byte*> shared{nullptr}, dynamic{nullptr};
  shared_value<std::uint64_t*> tokens{nullptr};  // 2 of the block, then 2 of each warp
  shared_value<bool> cancel{false};

  void reserve(unsigned count) {
    if (count <= seats_.size()) return;
    states_ = std::make_unique<shared_value<stage>[]>(count);
    slots_ = std::make_unique<shared_value<std::uint32_t>[]>(2 * slot_words * count);
    while (seats_.size() < count) seats_.push_back(std::make_unique<seat>(*this, static_cast<unsigned>(seats_.size())));
  }

  struct seat {
    seat(block_run& r, unsigned t) : run(&r), thread(t) {}
    block_run* run;
    unsigned thread;
    fibre stack;  // last: what is there when a fibre is made is known to it
  };

  /// Runs `thread_main(seat)` for all threads of the block to its end, or cancels them and returns with `grid->failed` set.
  void run(fibre::work thread_main, bool descending) {
    unsigned const count = threads.load(std::memory_order_relaxed);
    cancel.store(false, std::memory_order_relaxed);
    for (unsigned t = 0; t < count; ++t) {
      set(t, stage::ready);
      seats_[t]->stack.start(thread_main, seats_[t].get());
    }
    unsigned const warps = count / 32;
    while (!all_ended(count)) {
      bool moved = false;
      for (unsigned w = 0; w < warps; ++w) moved |= run_warp(descending ? warps - 1 - w : w, descending);
      if (grid_failed()) return cancel_all(count);
      if (number_in(stage::barrier, 0, count) == count) {
        for (unsigned t = 0; t < count; ++t) set(t, stage::ready);
      } else if (!moved) {
        report_deadlock(count);
        return cancel_all(count);
      }
    }
  }

  // For the threads.
  void end(unsigned thread) { set(thread, stage::ended); }
  shared_value<std::uint32_t>* slot(unsigned parity, unsigned thread) {
    return &slots_[(std::size_t{parity} * seats_.size() + thread) * slot_words];
  }
  void wait(unsigned thread, stage what) {
    set(thread, what);
    seats_[thread]->stack.suspend();
    if (cancel.load(std::memory_order_relaxed)) throw cancelled{};
  }

 private:
  stage get(unsigned t) const { return states_[t].load(std::memory_order_relaxed); }
  void set(unsigned t, stage s) { states_[t].store(s, std::memory_order_relaxed); }
  bool grid_failed() const { return grid.load(std::memory_order_relaxed)->failed.load(std::memory_order_relaxed); }
  unsigned number_in(stage s, unsigned first, unsigned last) const {
    unsigned n = 0;
    for (unsigned t = first; t < last; ++t) n += get(t) == s;
    return n;
  }
  bool all_ended(unsigned count) const { return number_in(stage::ended, 0, count) == count; }
  static bool is_warp_stage(stage s) { return s == stage::warp_barrier || s == stage::shuffle || s == stage::ballot; }

  // The lanes in turn, again and again while the whole warp meets in warp operations; whether anything ran.
  bool run_warp(unsigned warp, bool descending) {
    unsigned const first = 32 * warp;
    for (bool moved = false;; moved = true) {
      bool ran = false;
      for (unsigned i = 0; i < 32; ++i) {
        unsigned const t = first + (descending ? 31 - i : i);
        if (get(t) != stage::ready) continue;
        seats_[t]->stack.resume();
        ran = true;
      }
      if (!ran) return moved;
      if (grid_failed() || !is_warp_stage(get(first)) || number_in(get(first), first, first + 32) != 32) return true;
      for (unsigned t = first; t < first + 32; ++t) set(t, stage::ready);
    }
  }

  void cancel_all(unsigned count) {
    cancel.store(true, std::memory_order_relaxed);
    for (unsigned t = 0; t < count; ++t)
      while (get(t) != stage::ended) seats_[t]->stack.resume();
  }

  void report_deadlock(unsigned count) {
    std::string const where = " (block " + std::to_string(index.load(std::memory_order_relaxed)) + ")";
    std::string text;
    for (unsigned first = 0; first < count && text.empty(); first += 32) {
      unsigned const s[3] = {number_in(stage::warp_barrier, first, first + 32), number_in(stage::shuffle, first, first + 32),
                             number_in(stage::ballot, first, first + 32)};
      unsigned const waiting = s[0] + s[1] + s[2];
      if (waiting == 0) continue;
      std::string const warp = "warp " + std::to_string(first / 32) + where;
      if (waiting == 32)
        text = "the lanes of " + warp + " meet in different warp operations";
      else
        text = std::to_string(waiting) + " of 32 lanes wait at a warp operation that the others will not reach, " + warp;
    }
    if (text.empty())
      text = std::to_string(number_in(stage::barrier, 0, count)) + " of " + std::to_string(count) +
             " threads wait at a barrier that the others will not reach" + where;
    grid.load(std::memory_order_relaxed)->fail(std::make_exception_ptr(assertion_error("fanfold::emulate: " + text)));
  }

  std::vector<std::unique_ptr<seat>> seats_;
  std::unique_ptr<shared_value<stage>[]> states_;
  std::unique_ptr<shared_value<std::uint32_t>[]> slots_;
};

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::emulate
