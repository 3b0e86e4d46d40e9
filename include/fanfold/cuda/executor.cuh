#pragma once

#if !defined(__CUDACC__)
#error "fanfold/cuda is for nvcc: include it from .cu files."
#endif

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/cuda/block.cuh"
#include "fanfold/cuda/error.cuh"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI::cuda {

// Hidden, so that two libraries built for different architectures never share a kernel; on the namespace, because bodies of internal
// linkage make kernels of internal linkage, which take no such attribute.
namespace detail __attribute__((visibility("hidden"))) {

// Naming two blocks a multiprocessor keeps the assembler from spilling for an occupancy that nobody asked for.
template <bool Dynamic, class Body, class... Args>
__global__ void __launch_bounds__(max_threads_of<Body>(), max_threads_of<Body>() <= 512 ? 2 : 1)
    run_body(Body body, unsigned dynamic_bytes, Args... args) {
  extern __shared__ __align__(16) unsigned char fanfold_dynamic_shared[];
  __shared__ typename fanfold::detail::shared_of<Body>::type shared;
  block b;
  view<std::byte> const dynamic(reinterpret_cast<std::byte*>(fanfold_dynamic_shared), dynamic_bytes);
  fanfold::detail::call_body<Dynamic>(body, b, shared, dynamic, args...);
}

}  // namespace detail

/// Runs algorithms on the current device, queued in order on one stream. Never waits except in `wait()` (which `fetch` calls), never
/// allocates: scratch memory comes from the workspace, which stands over device memory and serves this stream alone. The first executor
/// of a workspace queues the zeroing of its status word.
class executor {
 public:
  using device_executor_tag = void;

  executor(cudaStream_t stream, workspace& ws, unsigned block_threads = 256) : stream_(stream), workspace_(&ws), block_threads_(block_threads) {
    check_argument(ws.fixed(), "cuda::executor", "workspace", "over the host heap", "over device memory: workspace(pointer, bytes)");
    check_argument(block_threads >= 32 && block_threads % 32 == 0 && block_threads <= 1024, "cuda::executor", "block_threads", block_threads,
                   "a multiple of 32 in [32, 1024]");
    bool fresh = false;
    status_ = ws.status_word(fresh);
    check_argument(status_ != nullptr, "cuda::executor", "workspace", "too small", "at least 512 bytes, without open frames at its first use");
    int device = 0, per_multiprocessor = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&per_multiprocessor, cudaDevAttrMaxThreadsPerMultiProcessor, device), "cudaDeviceGetAttribute");
    resident_threads_ = per_multiprocessor;
    if (fresh) check(cudaMemsetAsync(status_, 0, sizeof(std::uint32_t), stream_), "cudaMemsetAsync");
  }

  cudaStream_t stream() const { return stream_; }
  workspace& scratch() const { return *workspace_; }
  std::uint32_t* status() const { return status_; }
  unsigned block_threads() const { return block_threads_; }
  std::int64_t resident_blocks(unsigned threads) const {
    int const blocks = resident_threads_ / static_cast<int>(threads);
    return std::int64_t{multiprocessors_} * (blocks < 1 ? 1 : blocks);
  }

  template <class Body, class... Args>
  void launch(Body const& body, std::int64_t grid, unsigned threads, Args const&... args) const {
    run<false>(body, grid, threads, 0, args...);
  }
  template <class Body, class... Args>
  void launch_dynamic(Body const& body, std::int64_t grid, unsigned threads, std::size_t bytes, Args const&... args) const {
    run<true>(body, grid, threads, bytes, args...);
  }

  template <class T>
  void copy(view<T> to, view<std::type_identity_t<T> const> from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    check_argument(from.size() == to.size(), "copy", "elements of the source", from.size(), "those of the target");
    if (to.size() == 0) return;
    check(cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(to.size()) * sizeof(T), cudaMemcpyDefault, stream_),
          "cudaMemcpyAsync");
  }

  void wait() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  template <bool Dynamic, class Body, class... Args>
  void run(Body const& body, std::int64_t grid, unsigned threads, std::size_t dynamic_bytes, Args const&... args) const {
    fanfold::detail::check_launch<Body, Args...>(grid, threads);
    if (grid == 0) return;
    auto* const kernel = &detail::run_body<Dynamic, Body, Args...>;
    if (dynamic_bytes > 48 * 1024)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(dynamic_bytes)), "cudaFuncSetAttribute");
    kernel<<<static_cast<unsigned>(grid), threads, dynamic_bytes, stream_>>>(body, static_cast<unsigned>(dynamic_bytes), args...);
    check(cudaGetLastError(), "kernel launch");
  }

  cudaStream_t stream_;
  workspace* workspace_;
  std::uint32_t* status_ = nullptr;
  unsigned block_threads_;
  int multiprocessors_ = 1;
  int resident_threads_ = 1024;
};
static_assert(launch_executor<executor>);

}  // namespace fanfold::inline FANFOLD_ABI::cuda
