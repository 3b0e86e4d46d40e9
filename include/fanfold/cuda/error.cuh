#pragma once

#if !defined(__CUDACC__)
#error "fanfold/cuda is for nvcc: include it from .cu files."
#endif

#include <cuda_runtime_api.h>

#include <source_location>
#include <stdexcept>
#include <string>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::cuda {

/// A call of the CUDA runtime failed: `code()`, and the call and its place in the text.
class error : public std::runtime_error {
 public:
  error(cudaError_t code, char const* call, std::source_location const& where)
      : std::runtime_error(std::string("fanfold::cuda: ") + call + " at " + where.file_name() + ":" + std::to_string(where.line()) + ": " +
                           cudaGetErrorName(code) + ": " + cudaGetErrorString(code)),
        code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// Throws cuda::error unless `code` is cudaSuccess.
inline void check(cudaError_t code, char const* call, std::source_location const& where = std::source_location::current()) {
  if (code != cudaSuccess) [[unlikely]]
    throw error(code, call, where);
}

}  // namespace fanfold::inline FANFOLD_ABI::cuda
