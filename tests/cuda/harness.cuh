#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/cuda/buffer.cuh"
#include "fanfold/cuda/executor.cuh"

namespace support {

/// A stream and a workspace on the current device, and executors over them.
class device {
 public:
  explicit device(std::int64_t bytes = 16 << 20) : memory_(bytes), workspace_(memory_.data(), static_cast<std::size_t>(bytes)) {
    fanfold::cuda::check(cudaStreamCreate(&stream_), "cudaStreamCreate");
  }
  ~device() { cudaStreamDestroy(stream_); }
  fanfold::cuda::executor executor(unsigned block_threads = 256) { return {stream_, workspace_, block_threads}; }

 private:
  fanfold::cuda::buffer<std::byte> memory_;
  fanfold::workspace workspace_;
  cudaStream_t stream_ = nullptr;
};

template <class T>
fanfold::cuda::buffer<T> upload(std::vector<T> const& x) {
  return fanfold::cuda::buffer<T>(fanfold::view<T const>(x));
}
template <class T>
std::vector<T> download(fanfold::cuda::executor const& ex, fanfold::cuda::buffer<T> const& x) {
  std::vector<T> result(static_cast<std::size_t>(x.size()));
  fanfold::fetch(ex, fanfold::view<T const>(x), fanfold::view<T>(result));
  return result;
}

/// f(executor) at several block sizes.
template <class F>
void on_device(F const& f) {
  device d;
  for (unsigned threads : {32u, 64u, 128u, 256u}) f(d.executor(threads));
}

}  // namespace support
