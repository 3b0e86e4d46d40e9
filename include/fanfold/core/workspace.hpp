#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Scratch memory for one call chain or stream at a time: an arena over the host heap, which grows, or over a block that the caller
/// gives (host or device memory), which never grows. Blocks are taken inside frames, frames nest, and a block never moves while a frame
/// is open. After a first call a heap workspace is warm: the same call again allocates nothing.
class workspace {
 public:
  static constexpr std::size_t alignment = 256;  // what device vector loads and bulk copies like best

  workspace() = default;
  /// Over `bytes` of memory at `block`, which is never dereferenced here, so it may be device memory.
  workspace(void* block, std::size_t bytes) : fixed_(true) {
    auto const address = reinterpret_cast<std::uintptr_t>(block);
    std::size_t const skip = (alignment - address % alignment) % alignment;
    skipped_ = skip > bytes ? bytes : skip;
    chunks_.push_back({static_cast<std::byte*>(block) + skipped_, bytes - skipped_});
  }
  workspace(workspace const&) = delete;
  workspace& operator=(workspace const&) = delete;
  ~workspace() { release(); }

  /// Bytes held now.
  std::size_t capacity() const {
    std::size_t sum = 0;
    for (chunk const& c : chunks_) sum += c.bytes;
    return sum;
  }
  /// Most bytes that were in use at once: what a fixed block must offer.
  std::size_t peak() const { return peak_; }
  /// Whether it stands over a block that the caller gave.
  bool fixed() const { return fixed_; }

  /// The word in which kernels note what they find wrong in the data. The first call sets it aside (at the start of a fixed block, from
  /// which it takes `alignment` bytes) and says so in `fresh`: the caller, a device executor, then zeroes it. Null where the block is too
  /// small.
  std::uint32_t* status_word(bool& fresh) {
    fresh = status_ == nullptr && open_ == 0;
    if (!fresh) return status_;
    if (!fixed_) return status_ = &heap_status_;
    if (chunks_[0].bytes < alignment) return nullptr;
    status_ = static_cast<std::uint32_t*>(static_cast<void*>(chunks_[0].data));
    chunks_[0] = {chunks_[0].data + alignment, chunks_[0].bytes - alignment};
    return status_;
  }

  /// While it lives, blocks can be taken; they are given back at its end. Frames must end in reverse order of their beginning.
  class frame {
   public:
    explicit frame(workspace& ws) : ws_(ws), chunk_(ws.chunk_), used_(ws.used_), total_(ws.total_) { ++ws_.open_; }
    frame(frame const&) = delete;
    frame& operator=(frame const&) = delete;
    ~frame() { ws_.close(chunk_, used_, total_); }

    /// `count` unset elements. \throws argument_error, stating the bytes needed, where a fixed block is too small.
    template <class T>
    view<T> take(std::int64_t count) {
      static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
      static_assert(alignof(T) <= alignment);
      check_argument(count >= 0 && count < most / static_cast<std::int64_t>(sizeof(T)), "workspace", "count of elements", count,
                     "0 or more and addressable");
      return {static_cast<T*>(static_cast<void*>(ws_.take_bytes(static_cast<std::size_t>(count) * sizeof(T)))), count};
    }

   private:
    static constexpr std::int64_t most = std::int64_t{1} << 62;
    workspace& ws_;
    std::size_t chunk_, used_, total_;
  };

 private:
  struct chunk {
    std::byte* data;
    std::size_t bytes;
  };

  std::byte* take_bytes(std::size_t bytes) {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (total_ + bytes > peak_) peak_ = total_ + bytes;
    while (chunk_ < chunks_.size() && chunks_[chunk_].bytes - used_ < bytes) {
      if (fixed_) check_argument(false, "workspace", "size of the block", chunks_[0].bytes + skipped_, need().c_str());
      ++chunk_;
      used_ = 0;
    }
    if (chunk_ == chunks_.size()) add_chunk(bytes);
    std::byte* const result = chunks_[chunk_].data + used_;
    used_ += bytes;
    total_ += bytes;
    return result;
  }

  std::string need() const { return "at least " + std::to_string(peak_ + skipped_) + " bytes"; }

  void add_chunk(std::size_t bytes) {
    std::size_t const least = capacity() < 4096 ? 4096 : capacity();  // doubling: a handful of chunks at most
    bytes = bytes < least ? least : bytes;
    chunks_.reserve(chunks_.size() + 1);
    chunks_.push_back({static_cast<std::byte*>(::operator new(bytes, std::align_val_t{alignment})), bytes});
  }

  void close(std::size_t chunk_index, std::size_t used, std::size_t total) {
    chunk_ = chunk_index;
    used_ = used;
    total_ = total;
    if (--open_ == 0 && !fixed_ && chunks_.size() > 1) merge();
  }

  // One chunk of the whole size, so that the next call with the same needs finds them in one piece.
  void merge() noexcept {
    std::size_t const bytes = capacity();
    auto* const data = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{alignment}, std::nothrow));
    if (data == nullptr) return;
    release();
    chunks_.push_back({data, bytes});  // within the capacity that release() left
    chunk_ = used_ = 0;
  }

  void release() {
    if (!fixed_)
      for (chunk const& c : chunks_) ::operator delete(c.data, std::align_val_t{alignment});
    chunks_.clear();
  }

  std::vector<chunk> chunks_;
  std::size_t chunk_ = 0;  // the chunk that the next block comes from
  std::size_t used_ = 0;   // bytes used of that chunk
  std::size_t total_ = 0;  // bytes in use
  std::size_t peak_ = 0;
  std::size_t skipped_ = 0;  // bytes before the first aligned one of a given block
  int open_ = 0;
  bool fixed_ = false;
  std::uint32_t* status_ = nullptr;
  std::uint32_t heap_status_ = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI
