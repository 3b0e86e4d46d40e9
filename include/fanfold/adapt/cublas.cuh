#pragma once

#if !defined(__CUDACC__)
#error "fanfold/adapt/cublas.cuh is for nvcc: include it from .cu files."
#endif

#include <cublas_v2.h>

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/cuda/executor.cuh"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/weight_bank.hpp"
#include "fanfold/kernel/dispatch.hpp"

/// \file
/// grouped_gemm by cuBLAS for plans whose counts the host knows beforehand: layouts `capacity` and `masked`, where every bin has `slots` rows.
/// One strided batched product over all experts, padding included; nothing is read back. A bank type chooses the library.

namespace fanfold::inline FANFOLD_ABI::adapt {

/// A weight_bank in device memory (or two, gate and up) whose products cuBLAS computes. The handle belongs to the caller. `slots`: rows of
/// every bin of the plan.
template <class T, int Interleaved = 1>
struct cublas_bank {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  using value_type = T;
  static constexpr int interleaved = Interleaved;
  cublasHandle_t handle = nullptr;
  std::int64_t slots = 0;
  dispatch::weight_bank<T const> part[std::size_t{Interleaved}]{};

  std::int64_t experts() const { return part[0].experts; }
  std::int64_t inner() const { return part[0].inner; }
  std::int64_t outer() const { return part[0].outer; }
};

/// Feed-forward networks on cuBLAS, in place of ffn_weights in `expert_ffn` and layers.
template <class T, bool Gated = true>
class cublas_ffn {
 public:
  cublas_ffn() = default;
  cublas_ffn(cublasHandle_t handle, dispatch::ffn_weights<T const> const& w, std::int64_t slots) {
    in_.handle = down_.handle = handle;
    in_.slots = down_.slots = slots;
    if constexpr (Gated) {
      in_.part[0] = w.gate;
      in_.part[1] = w.up;
    } else {
      in_.part[0] = w.up;
    }
    down_.part[0] = w.down;
  }

  cublas_bank<T, Gated ? 2 : 1> const& in() const { return in_; }
  cublas_bank<T> const& down() const { return down_; }

 private:
  cublas_bank<T, Gated ? 2 : 1> in_;
  cublas_bank<T> down_;
};

namespace detail {

template <class T>
constexpr cudaDataType_t data_type() {
  if constexpr (std::is_same_v<T, float>)
    return CUDA_R_32F;
  else if constexpr (std::is_same_v<T, double>)
    return CUDA_R_64F;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return CUDA_R_16BF;
  else
    return CUDA_R_16F;
}

inline void check_status(cublasStatus_t status, char const* call) {
  check_argument(status == CUBLAS_STATUS_SUCCESS, call, "status of cuBLAS", static_cast<int>(status), "success");
}

/// c[e] (slots x outer) = a[e] (slots x inner, rows `stride` apart) times matrix e. Row-major c is column-major c^T = W^T a^T.
template <class T>
void multiply(cublasHandle_t handle, dispatch::weight_bank<T const> const& w, std::int64_t slots, T const* a, std::int64_t stride, arithmetic_t<T>* c) {
  using A = arithmetic_t<T>;
  check_argument(w.outer_stride == 1 || w.inner_stride == 1, "cublas_bank", "strides of the weights", w.inner_stride, "1 along rows or columns");
  bool const plain = w.outer_stride == 1;
  A const one = A(1), zero = A(0);
  auto const narrow = [](std::int64_t n) { return static_cast<int>(n); };
  constexpr cublasComputeType_t compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  check_status(cublasGemmStridedBatchedEx(handle, plain ? CUBLAS_OP_N : CUBLAS_OP_T, CUBLAS_OP_N, narrow(w.outer), narrow(slots), narrow(w.inner), &one, w.data,
                                          data_type<T>(), narrow(plain ? w.inner_stride : w.outer_stride), w.expert_stride, a, data_type<T>(), narrow(stride),
                                          slots * stride, &zero, c, data_type<A>(), narrow(w.outer), slots * w.outer, narrow(w.experts), compute,
                                          CUBLAS_GEMM_DEFAULT),
               "cublasGemmStridedBatchedEx");
}

/// Hands sums to the sink, an element at a time; padding rows have no assignment.
template <class Sink, class A, int Panels>
struct sink_element {
  Sink sink;
  dispatch::plan_view plan;
  std::int64_t outer, slots;
  A const* sum[std::size_t{Panels}];

  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const r = i / outer, c = i - r * outer;
    if (plan.src_of.data()[r] < 0) return;
    A const* element[std::size_t{Panels}];
    for (int p = 0; p < Panels; ++p) element[p] = sum[p] + i;
    sink.store(plan, r / slots, r, c, std::int64_t{1}, static_cast<A const* const*>(element));
  }
};

template <class T>
matrix_view<T const> rows_of(cuda::executor const&, workspace::frame&, dispatch::plan_view const&, dispatch::plan_rows<T> const& source, workspace&) {
  return source.rows;
}
template <class T, class W>
matrix_view<T const> rows_of(cuda::executor const& ex, workspace::frame& frame, dispatch::plan_view const& plan, dispatch::gathered<T, W> const& source, workspace& ws) {
  matrix_view<T> const rows(frame.template take<T>(plan.row_bound() * source.tokens.cols()).data(), plan.row_bound(), source.tokens.cols());
  if (source.weight.data() == nullptr)
    dispatch::gather(ex, plan, source.tokens, rows, ws);
  else
    dispatch::gather(ex, dispatch::scaled<W>{source.weight}, plan, source.tokens, rows, ws);
  return as_const(rows);
}

}  // namespace detail

/// Device form of E10 on cuBLAS. \throws argument_error where the plan's rows are not `slots` for every expert.
template <class Source, class T, int Interleaved, class Sink>
void run_loop(cuda::executor const& ex, dispatch::grouped_gemm_loop<Source, cublas_bank<T, Interleaved>, Sink> const& loop, dispatch::plan_view const& plan,
              workspace& ws) {
  using A = arithmetic_t<T>;
  static_assert(!dispatch::detail::sink_folds<Sink>, "fused_by_expert needs the built-in products");
  static_assert(std::is_same_v<typename Source::value_type, T>, "tokens and weights of cuBLAS products have one type");
  auto const& bank = loop.bank;
  check_argument(bank.handle != nullptr, "cublas_bank", "handle", "null", "made by cublasCreate");
  check_argument(bank.slots * bank.experts() == plan.row_bound(), "cublas_bank", "slots", bank.slots, "the capacity of the plan");
  std::int64_t const elements = plan.row_bound() * bank.outer();
  if (elements == 0) return;
  detail::check_status(cublasSetStream(bank.handle, ex.stream()), "cublasSetStream");
  workspace::frame frame(ws);
  auto const rows = detail::rows_of(ex, frame, plan, loop.source, ws);
  detail::sink_element<Sink, A, Interleaved> store{loop.sink, plan, bank.outer(), bank.slots, {}};
  for (int p = 0; p < Interleaved; ++p) {
    A* const sums = frame.template take<A>(elements).data();
    detail::multiply(bank.handle, bank.part[p], bank.slots, rows.data(), rows.stride(), sums);
    store.sum[p] = sums;
  }
  dispatch::for_each(ex, store, elements);
}

}  // namespace fanfold::inline FANFOLD_ABI::adapt
