#include "support/torch_peer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

std::function<void()> bench::torch_softmax_top_k(float const* logits, std::int64_t rows, std::int64_t experts, std::int64_t slots) {
  at::set_num_threads(1);
  at::Tensor const x = at::from_blob(const_cast<float*>(logits), {rows, experts}, at::kFloat).clone();
  return [=] { at::topk(at::softmax(x, -1), slots, -1); };
}
