#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/adjust.hpp"
#include "fanfold/route/entropy_select.hpp"
#include "fanfold/route/kind_weight.hpp"
#include "fanfold/route/group_select.hpp"
#include "fanfold/route/gshard.hpp"
#include "fanfold/route/gumbel_second.hpp"
#include "fanfold/route/noise.hpp"
#include "fanfold/route/ragged_select.hpp"
#include "fanfold/route/rms_score.hpp"
#include "fanfold/route/token_choice.hpp"

/// \file
/// Routers of papers and model families as compositions of policies: a type, and a function of the same name without `_router` that sets
/// its parameters. What their experts choose themselves is in transposed_routers.hpp.

namespace fanfold::inline FANFOLD_ABI::route {

/// Noisy top-k (Shazeer et al., "Outrageously Large Neural Networks", 2017): softmax over the k best of l + softplus(r) epsilon. The loss
/// is importance_loss and load_loss.
using shazeer_router = token_choice<identity_score, top_k, softmax_of_selected, learned_noise>;
inline shazeer_router shazeer(std::int64_t k, matrix_view<float const> scale, row_noise noise) { return {{}, {k}, {}, {scale, noise}}; }

/// V-MoE (Riquelme et al., 2021): softmax of l + N(0, 1) / E, the k best, raw.
using vmoe_router = token_choice<softmax_score, top_k, raw_weight, gaussian_noise>;
inline vmoe_router vmoe(std::int64_t k, std::int64_t experts, row_noise noise, float noise_std = 1) {
  return {{}, {k}, {}, {noise_std / static_cast<float>(experts), noise}};
}

/// Switch Transformer (Fedus et al., 2021): the best expert, weight its softmax score. Losses: switch_balance; input_jitter in training.
using switch_router = token_choice<softmax_score, top_k, raw_weight>;
constexpr switch_router switch_top1() { return {{}, {1}}; }

/// GShard (Lepikhin et al., 2020), second choice by chance; gshard_router in gshard.hpp. Inference: `gshard_inference()`.
inline gshard_router gshard(row_noise noise) { return {noise}; }
inline gshard_router gshard_inference() { return {.sampling = false}; }
/// DeepSpeed-MoE's form of it: the second expert drawn by Gumbel noise.
using deepspeed_router = token_choice<softmax_score, gumbel_second, softmax_of_selected>;
inline deepspeed_router deepspeed(row_noise noise) { return {{}, {noise}}; }

/// Mixtral: softmax over the k best logits. Loss: mixtral_balance.
using mixtral_router = token_choice<softmax_score, top_k, sum_norm>;
constexpr mixtral_router mixtral(std::int64_t k = 2) { return {{}, {k}}; }
/// Qwen3-MoE: the same with k = 8 of 128.
using qwen3_moe_router = mixtral_router;
constexpr qwen3_moe_router qwen3_moe(std::int64_t k = 8) { return {{}, {k}}; }

/// OLMoE: softmax scores of the k best, not renormalised.
using olmoe_router = token_choice<softmax_score, top_k, raw_weight>;
constexpr olmoe_router olmoe(std::int64_t k = 8) { return {{}, {k}}; }
/// Qwen2-MoE, DeepSeekMoE (Dai et al., 2024), DiT-MoE (Fei et al., 2024): the same. Loss: megatron_balance, device_balance.
using qwen2_moe_router = olmoe_router;
constexpr qwen2_moe_router qwen2_moe(std::int64_t k = 4) { return {{}, {k}}; }
using deepseek_moe_router = olmoe_router;
constexpr deepseek_moe_router deepseek_moe(std::int64_t k = 6) { return {{}, {k}}; }
using dit_moe_router = olmoe_router;
constexpr dit_moe_router dit_moe(std::int64_t k = 2) { return {{}, {k}}; }

/// DeepSeek-V2 (2405.04434): the best groups by their best score, raw weights times `scale`.
using deepseek_v2_router = token_choice<softmax_score, group_limited, raw_weight>;
constexpr deepseek_v2_router deepseek_v2(std::int64_t groups = 8, std::int64_t keep = 3, std::int64_t k = 6, float scale = 16) {
  return {{}, {groups, keep, k, 1}, {{scale}}};
}
/// DeepSeek-V3 (2412.19437): biased sigmoid scores, the best groups by the sum of their two best, normalised weights times `scale`.
/// Controller: loss_free_balance of the bias.
using deepseek_v3_router = token_choice<sigmoid_score, group_limited_by_sum, sum_norm, selection_bias>;
constexpr deepseek_v3_router deepseek_v3(view<float const> bias, std::int64_t groups = 8, std::int64_t keep = 4, std::int64_t k = 8,
                                         float scale = 2.5f) {
  return {{}, {groups, keep, k, 2}, {1e-20, {scale}}, {bias}};
}

/// Pangu Pro MoE ("Mixture of Grouped Experts", 2505.21411): the k_each best of every group; raw weights, one learned factor an expert.
using moge_router = token_choice<softmax_score, per_group_top_k, raw_weight>;
constexpr moge_router moge(std::int64_t groups = 8, std::int64_t k_each = 1, view<float const> expert_scale = {}) {
  return {{}, {groups, k_each}, {{1, expert_scale}}};
}
/// With expert voting (vote_experts): one expert a group among the open ones. It depends on the whole batch.
struct voted_moge_router : token_choice<softmax_score, per_group_top_k, raw_weight, selection_mask> {
  static constexpr bool causal = false;
};
inline voted_moge_router voted_moge(std::int64_t groups, view<std::uint8_t const> open, view<float const> expert_scale = {}) {
  return {{{}, {groups, 1}, {{1, expert_scale}}, {open}}};
}

/// MoE++ (Jin et al., 2024): zero, copy and constant experts among the others; raw weights. Logits by residual_logits.
using moepp_router = token_choice<softmax_score, top_k, raw_weight>;
constexpr moepp_router moepp(std::int64_t k = 2) { return {{}, {k}}; }
/// As released: where the zero expert is chosen the other weights are renormalised.
using moepp_released_router = token_choice<softmax_score, top_k, renormalise_without_null>;
constexpr moepp_released_router moepp_released(view<expert_kind const> kinds, std::int64_t k = 2) { return {{}, {k}, {{kinds}}}; }

/// AdaMoE (Zeng et al., 2024): top-k over true and null experts, weights normalised over the true ones. Loss: adamoe_balance.
using adamoe_router = token_choice<softmax_score, top_k, sum_norm_real>;
constexpr adamoe_router adamoe(view<expert_kind const> kinds, std::int64_t k) { return {{}, {k}, {{kinds}}}; }

/// Kairos (2025): granularities and null experts; the bias moves scores and weights. See granularity.hpp; controller target_share.
using kairos_router = token_choice<softmax_score, top_k, sum_norm, logit_bias>;
constexpr kairos_router kairos(view<float const> bias, std::int64_t k) { return {{}, {k}, {}, {bias}}; }

/// RMoE (2408.06793): Mixtral's router on logits of recurrent_logits.
using rmoe_router = mixtral_router;
constexpr rmoe_router rmoe(std::int64_t k = 2) { return {{}, {k}}; }

/// DynMoLE (2504.00661): all experts for uncertain rows, else top-p and at least two. Losses: tsallis_loss, soft_balance.
using dynmole_router = token_choice<softmax_score, entropy_hybrid, raw_weight>;
constexpr dynmole_router dynmole(double threshold = 0.9, double p = 0.75, std::int64_t keep_k = 2) { return {{}, {threshold, p, keep_k}}; }

/// LoRA-Mixer (2507.00029): all experts in training, three of them, renormalised, at inference. Loss: specialisation_balance.
using lora_mixer_training_router = token_choice<softmax_score, all_experts, raw_weight>;
constexpr lora_mixer_training_router lora_mixer_training() { return {}; }
using lora_mixer_router = mixtral_router;
constexpr lora_mixer_router lora_mixer(std::int64_t k = 3) { return {{}, {k}}; }
/// While experts are trained on labelled domains: the expert of the row's label with weight 1, no gradient for the router (check_tokens
/// refuses labels out of range, assign gives them no expert).
using lora_mixer_hard_router = token_choice<softmax_score, replay, constant_weight>;
constexpr lora_mixer_hard_router lora_mixer_hard(view<std::int32_t const> label) {
  return {{}, {matrix_view<std::int32_t const>(label.data(), label.size(), 1)}};
}

/// ReMoE (Wang et al., 2024): every expert whose logit is positive, weight the logit. Loss: l1_balance with l1_controller.
using remoe_router = token_choice<relu_score, positive, raw_weight>;
constexpr remoe_router remoe(std::int64_t k_max) { return {{}, {k_max}}; }
/// BlockFFN (Song et al., 2025): the same with RMS normalised weights times gamma. Losses: locality_loss, chunk_sparsity_loss.
using blockffn_router = token_choice<rms_relu_score, positive, raw_weight>;
constexpr blockffn_router blockffn(std::int64_t k_max, view<float const> gamma = {}) { return {{}, {k_max}, {{1, gamma}}}; }

/// X-MoE and Tutel's cosine gate, on logits of cosine_logits: softmax, the k best, normalised.
using xmoe_router = mixtral_router;
constexpr xmoe_router xmoe(std::int64_t k = 2) { return {{}, {k}}; }
/// Tutel (Hwang et al., 2022): any k (larger ones become E), noise N(0, 1) gate_noise / E in training. One slot keeps its raw score.
using tutel_router = token_choice<softmax_score, top_k, tutel_weight, gaussian_noise>;
constexpr std::int64_t tutel_slots(std::int64_t k, std::int64_t experts) { return k < experts ? k : experts; }
inline tutel_router tutel(std::int64_t k, std::int64_t experts, row_noise noise = {}, float gate_noise = 0, bool normalise = true) {
  return {{}, {tutel_slots(k, experts)}, {normalise}, {gate_noise / static_cast<float>(experts), noise}};
}

/// ProMoE (2510.24711) on logits of prototype_logits: cosine similarities as they are. Loss: routing_contrast; the hard split of rows
/// without a condition is split_unconditional.
using promoe_router = token_choice<identity_score, top_k, raw_weight>;
constexpr promoe_router promoe(std::int64_t k = 1) { return {{}, {k}}; }
using promoe_softmax_router = olmoe_router;
using promoe_sigmoid_router = token_choice<sigmoid_score, top_k, raw_weight>;

/// MixER (2502.05335) on logits fitted by fit_mixer_gate: one expert with weight 1.
using mixer_router = token_choice<softmax_score, top_k, constant_weight>;
constexpr mixer_router mixer() { return {{}, {1}}; }

/// Dynamic routing by top-p (Huang et al., "Harder Tasks Need More Experts", 2024). Loss: entropy_loss beside a balance loss.
using top_p_router = token_choice<softmax_score, top_p, raw_weight>;
constexpr top_p_router dynamic_top_p(double p = 0.4, std::int64_t k_max = 0) { return {{}, {p, 1, k_max}}; }

/// Hash layers (Roller et al., 2021): the expert of a row's vocabulary id; tables are made in hash_table.hpp.
using hash_router = token_choice<softmax_score, table, constant_weight>;
constexpr hash_router hash_layer(view<std::int32_t const> experts_of, view<std::int32_t const> token) { return {{}, {experts_of, token}}; }

/// StableMoE and FSMoE's sigmoid gate: the best expert, its output times sigmoid(l).
using sigmoid_top1_router = token_choice<sigmoid_score, top_k, raw_weight>;
constexpr sigmoid_top1_router sigmoid_top1() { return {{}, {1}}; }

/// The four gates of FSMoE (2501.10714); the fourth is expert_choice with weights softmax_over_chosen.
using fsmoe_gshard_router = shazeer_router;
using fsmoe_sigmoid_router = sigmoid_top1_router;
using fsmoe_xmoe_router = xmoe_router;

}  // namespace fanfold::inline FANFOLD_ABI::route
