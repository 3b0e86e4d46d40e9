#pragma once

#include <cstdint>
#include <functional>

namespace bench {

/// softmax, then topk, of rows x experts logits, by libtorch on one thread. Copies the logits.
std::function<void()> torch_softmax_top_k(float const* logits, std::int64_t rows, std::int64_t experts, std::int64_t slots);

}  // namespace bench
