// Whatever the bytes are, the reader either refuses them with argument_error or gives tensors that lie inside them, side by side, and whose
// sizes fit their shapes and types. libFuzzer and the sanitizers look for anything else.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/io/safetensors.hpp"

namespace {

namespace io = fanfold::io;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_tensor(io::safetensors_view const& file, io::tensor_info const& t, std::uint64_t& at) {
  require(t.begin == at && t.end >= t.begin);
  at = t.end;
  std::uint64_t constexpr most = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t elements = 1;
  for (std::uint64_t n : t.shape) require(n == 0 || elements <= most / n), elements *= n;
  auto const bits = static_cast<std::uint64_t>(io::bits_of(t.type));
  require(elements <= most / bits && t.bytes() <= most / 8 && elements * bits == 8 * t.bytes());
  require(file.find(t.name) != nullptr && file.find(t.name)->name == t.name);
  unsigned sum = 0;  // reads every byte, so that one outside the buffer would be found
  for (std::byte b : file.tensor(t).bytes) sum += static_cast<unsigned>(b);
  volatile unsigned sink = sum;
  static_cast<void>(sink);
}

void read(fanfold::view<std::byte const> bytes, io::safetensors_limits const& limits) {
  try {
    io::safetensors_view const file(bytes, limits);
    std::uint64_t at = 0;
    for (io::tensor_info const& t : file.header().tensors) check_tensor(file, t, at);
    auto const end = file.header().data_offset + at, size = static_cast<std::uint64_t>(bytes.size());
    require(limits.trailing_bytes ? end <= size : end == size);
  } catch (fanfold::argument_error const&) {
  }
}

/// The bytes as a header, with the length that the format wants before it: a fuzzer seldom guesses eight bytes.
std::vector<std::byte> with_length(std::byte const* data, std::size_t size, std::size_t payload) {
  std::vector<std::byte> file(8);
  std::size_t const header = size - payload;
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<std::byte>(static_cast<std::uint64_t>(header) >> 8 * i & 255);
  file.insert(file.end(), data, data + size);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const* const bytes = reinterpret_cast<std::byte const*>(data);
  io::safetensors_limits lenient;
  lenient.unknown_keys = lenient.trailing_bytes = true;
  fanfold::view<std::byte const> const raw(bytes, static_cast<std::int64_t>(size));
  read(raw, {});
  read(raw, lenient);
  if (size == 0) return 0;
  std::size_t const payload = data[0] < size ? data[0] : size - 1;  // the first byte says how many of the last are tensors' data
  std::vector<std::byte> const file = with_length(bytes + 1, size - 1, payload);
  read(fanfold::view<std::byte const>(file.data(), static_cast<std::int64_t>(file.size())), {});
  return 0;
}
