#pragma once

#if defined(__CUDACC__)
#error "fanfold/emulate is for host compilers: include it from .cpp files only."
#endif

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "fanfold/core/config.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FANFOLD_EMULATE_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define FANFOLD_EMULATE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FANFOLD_EMULATE_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FANFOLD_EMULATE_ASAN 1
#endif

#if defined(FANFOLD_EMULATE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(FANFOLD_EMULATE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace fanfold::inline FANFOLD_ABI::emulate::detail {

/// Orderings that the race detector is to know of: an acquire sees what happened before the releases on the same token.
inline void release_token([[maybe_unused]] void* token) {
#if defined(FANFOLD_EMULATE_TSAN)
  __tsan_release(token);
#endif
}
inline void acquire_token([[maybe_unused]] void* token) {
#if defined(FANFOLD_EMULATE_TSAN)
  __tsan_acquire(token);
#endif
}

#if defined(FANFOLD_EMULATE_TSAN)
inline constexpr bool detects_races = true;
#else
inline constexpr bool detects_races = false;
#endif

/// A stack of its own that the calling thread can switch to and back. It never ends by itself: it runs one piece of work after the other,
/// so one set of stacks serves any number of blocks. Switches order nothing in the eyes of the race detector; whatever host and fibre
/// share here is a relaxed atomic.
class fibre {
 public:
  using work = void (*)(void*);
  static constexpr std::size_t stack_bytes = 256 * 1024;

  fibre() {
    auto const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = stack_bytes + page;
    void* const memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    mprotect(memory_, page, PROT_NONE);  // an overflow faults instead of reaching the neighbour
    stack_ = memory_ + page;
    getcontext(&own_);
    own_.uc_stack.ss_sp = stack_;
    own_.uc_stack.ss_size = stack_bytes;
    own_.uc_link = nullptr;
    auto const address = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&own_, reinterpret_cast<void (*)()>(&fibre::main), 2, static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
    // AddressSanitizer would forget the red zones of this stack at every switch if the context still named it
    own_.uc_stack.ss_sp = nullptr;
    own_.uc_stack.ss_size = 0;
#if defined(FANFOLD_EMULATE_TSAN)
    tsan_ = __tsan_create_fiber(0);
#endif
  }
  fibre(fibre const&) = delete;
  fibre& operator=(fibre const&) = delete;
  ~fibre() {
    start(nullptr, nullptr);
    resume();
#if defined(FANFOLD_EMULATE_TSAN)
    __tsan_destroy_fiber(tsan_);
#endif
#if defined(FANFOLD_EMULATE_ASAN)
    __asan_unpoison_memory_region(stack_, stack_bytes);
#endif
    munmap(memory_, mapped_);
  }

  /// Sets what the next resume() begins; the previous work must have ended.
  void start(work f, void* argument) {
    work_.store(f, std::memory_order_relaxed);
    argument_.store(argument, std::memory_order_relaxed);
  }

  /// Runs the fibre until it suspends or its work ends. From outside only.
  void resume() {
#if defined(FANFOLD_EMULATE_ASAN)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_, stack_bytes);
#endif
#if defined(FANFOLD_EMULATE_TSAN)
    host_tsan_.store(__tsan_get_current_fiber(), std::memory_order_relaxed);
    __tsan_switch_to_fiber(tsan_, __tsan_switch_to_fiber_no_sync);
#endif
    swapcontext(&host_, &own_);
#if defined(FANFOLD_EMULATE_ASAN)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }

  /// Back to whoever resumed. From inside only.
  void suspend() {
    leave(false);
#if defined(FANFOLD_EMULATE_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack_, &host_stack_, &host_stack_bytes_);
#endif
  }

 private:
  static void main(unsigned high, unsigned low) {
    auto* const self = reinterpret_cast<fibre*>(static_cast<std::uintptr_t>(high) << 32 | low);
#if defined(FANFOLD_EMULATE_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &self->host_stack_, &self->host_stack_bytes_);
#endif
    while (work const f = self->work_.load(std::memory_order_relaxed)) {
      f(self->argument_.load(std::memory_order_relaxed));
      self->suspend();
    }
    self->leave(true);
  }

  void leave([[maybe_unused]] bool for_good) {
#if defined(FANFOLD_EMULATE_ASAN)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_, host_stack_, host_stack_bytes_);
#endif
#if defined(FANFOLD_EMULATE_TSAN)
    __tsan_switch_to_fiber(host_tsan_.load(std::memory_order_relaxed), __tsan_switch_to_fiber_no_sync);
#endif
    swapcontext(&own_, &host_);
  }

  ucontext_t own_{}, host_{};
  std::byte* memory_ = nullptr;
  std::byte* stack_ = nullptr;
  std::size_t mapped_ = 0;
  std::atomic<work> work_{nullptr};
  std::atomic<void*> argument_{nullptr};
#if defined(FANFOLD_EMULATE_TSAN)
  void* tsan_ = nullptr;
  std::atomic<void*> host_tsan_{nullptr};
#endif
#if defined(FANFOLD_EMULATE_ASAN)
  void* fake_stack_ = nullptr;
  void const* host_stack_ = nullptr;
  std::size_t host_stack_bytes_ = 0;
#endif
};

}  // namespace fanfold::inline FANFOLD_ABI::emulate::detail
