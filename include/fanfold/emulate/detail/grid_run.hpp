#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/emulate/block.hpp"

namespace fanfold::inline FANFOLD_ABI::emulate::detail {

/// Three sets of fibres, so that neighbouring blocks stay unordered in the eyes of the race detector: with one set a thread's work in
/// block b + 1 would follow that in block b. Kept for the life of the OS thread.
class fibre_sets {
 public:
  static fibre_sets& mine() {
    thread_local fibre_sets sets;
    return sets;
  }
  block_run& of_block(std::int64_t index) { return sets_[index % 3]; }

 private:
  block_run sets_[3];
};

/// Shared memory and tokens of the blocks of one grid, freed after it: a block never gets the address of an earlier one back, which
/// would hide a race or order the two.
class grid_memory {
 public:
  std::byte* take(std::size_t bytes) {
    if (bytes == 0) return nullptr;
    pieces_.emplace_back(static_cast<std::byte*>(::operator new(bytes, alignment)));
    return pieces_.back().get();
  }
  void forget() { pieces_.clear(); }

 private:
  static constexpr std::align_val_t alignment{256};
  struct release {
    void operator()(std::byte* p) const { ::operator delete(p, alignment); }
  };
  std::vector<std::unique_ptr<std::byte, release>> pieces_;
};

struct grid_shape {
  std::int64_t blocks;
  unsigned threads;
  std::size_t shared_bytes, dynamic_bytes;
  bool descending;
};

// Large of either sign, in turn from block to block, for floats and integers of every width: a read of unset memory shows in results.
inline void poison(std::byte* memory, std::size_t bytes, std::int64_t block) {
  if (bytes > 0) std::memset(memory, block % 2 == 0 ? 0xFB : 0x7B, bytes);
}

/// Runs the blocks of the grid one after the other; throws what the first failing thread threw.
inline void run_grid(grid_call& grid, grid_shape const& shape) {
  grid_memory memory;
  for (std::int64_t i = 0; i < shape.blocks && !grid.failed.load(std::memory_order_relaxed); ++i) {
    std::int64_t const index = shape.descending ? shape.blocks - 1 - i : i;
    block_run& run = fibre_sets::mine().of_block(i);
    run.reserve(shape.threads);
    if (!detects_races) memory.forget();
    std::byte* const shared = memory.take(shape.shared_bytes);
    std::byte* const dynamic = memory.take(shape.dynamic_bytes);
    poison(shared, shape.shared_bytes, index);
    poison(dynamic, shape.dynamic_bytes, index);
    run.grid.store(&grid, std::memory_order_relaxed);
    run.threads.store(shape.threads, std::memory_order_relaxed);
    run.index.store(static_cast<unsigned>(index), std::memory_order_relaxed);
    run.blocks.store(static_cast<unsigned>(shape.blocks), std::memory_order_relaxed);
    run.shared.store(shared, std::memory_order_relaxed);
    run.dynamic.store(dynamic, std::memory_order_relaxed);
    std::size_t const token_bytes = (2 + shape.threads / 16) * sizeof(std::uint64_t);
    run.tokens.store(reinterpret_cast<std::uint64_t*>(memory.take(token_bytes)), std::memory_order_relaxed);
    release_token(&grid.begin_token);
    run.run(&run_thread, shape.descending);
  }
  acquire_token(&grid.end_token);
  memory.forget();
  if (grid.error) std::rethrow_exception(std::exchange(grid.error, nullptr));
}

}  // namespace fanfold::inline FANFOLD_ABI::emulate::detail
