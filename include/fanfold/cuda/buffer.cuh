#pragma once

#if !defined(__CUDACC__)
#error "fanfold/cuda is for nvcc: include it from .cu files."
#endif

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/cuda/error.cuh"

namespace fanfold::inline FANFOLD_ABI::cuda {

/// Device memory for `size()` unset elements of T, owned. A convenience for programs without an allocator of their own; algorithms take
/// views. Made and freed by the synchronising cudaMalloc and cudaFree.
template <class T>
class buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  buffer() = default;
  explicit buffer(std::int64_t size) : size_(size) {
    check_argument(size >= 0, "cuda::buffer", "size", size, "0 or more");
    void* memory = nullptr;
    if (size > 0) check(cudaMalloc(&memory, static_cast<std::size_t>(size) * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(memory);
  }
  /// With a copy of host elements.
  explicit buffer(view<T const> host) : buffer(host.size()) {
    if (size_ > 0) check(cudaMemcpy(data_, host.data(), static_cast<std::size_t>(size_) * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  buffer(buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  buffer& operator=(buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~buffer() { cudaFree(data_); }

  T* data() { return data_; }
  T const* data() const { return data_; }
  std::int64_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI::cuda
