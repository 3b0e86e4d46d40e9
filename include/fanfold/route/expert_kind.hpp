#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// What an expert of a router's table is. Only real ones are networks and enter dispatch; the others cost next to nothing: `null` gives 0
/// (AdaMoE), `copy` the token itself, `constant` a mix of the token and a learned vector (MoE++).
enum class expert_kind : std::uint8_t { real, null, copy, constant };

}  // namespace fanfold::inline FANFOLD_ABI::route
