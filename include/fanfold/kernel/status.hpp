#pragma once

#include <cstdint>
#include <string>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/kernel/block.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What a kernel can find wrong in the data: bits of the status word. The item is treated as degenerate, and the next `fetch` throws.
enum class data_fault : std::uint32_t {
  none = 0,
  id_out_of_range = 1,
  offsets_not_ascending = 2,
  not_finite = 4,
  negative_weight = 8,
  capacity_exceeded = 16,
  singular = 32,
  other = 1u << 31,
};

/// Sets the fault's bit; from any thread, any number of times.
template <block B>
FANFOLD_HD void raise(B& b, std::uint32_t* status, data_fault fault) {
  b.atomic_or(status, static_cast<std::uint32_t>(fault));
}

/// Throws argument_error that names the faults in `bits`, if any.
inline void throw_data_faults(std::uint32_t bits) {
  if (bits == 0) return;
  std::string text;
  auto const name = [&](data_fault fault, char const* what) {
    if ((bits & static_cast<std::uint32_t>(fault)) != 0) text += text.empty() ? what : std::string(", ") + what;
  };
  name(data_fault::id_out_of_range, "an id is out of range");
  name(data_fault::offsets_not_ascending, "offsets do not ascend");
  name(data_fault::not_finite, "a value is not finite");
  name(data_fault::negative_weight, "a weight is negative");
  name(data_fault::capacity_exceeded, "a capacity is exceeded");
  name(data_fault::singular, "a matrix is singular");
  name(data_fault::other, "invalid data");
  throw argument_error("fanfold: the device found faults in the data: " + text);
}

}  // namespace fanfold::inline FANFOLD_ABI
