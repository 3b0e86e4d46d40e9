#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/io/detail/json.hpp"
#include "fanfold/io/tensor_type.hpp"

namespace fanfold::inline FANFOLD_ABI::io {

/// A tensor of a file: its bytes are [begin, end) of the data buffer, row-major, packed, little-endian. Rank 0 is one element.
struct tensor_info {
  std::string name;
  tensor_type type = tensor_type::f32;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t bytes() const { return end - begin; }
};

/// What a reader puts up with.
struct safetensors_limits {
  std::uint64_t header_bytes = 100'000'000;
  std::uint64_t tensors = 1u << 20;
  std::uint64_t rank = 64;
  std::uint64_t name_bytes = 65'535;
  bool unknown_keys = false;    // ignore them, as some readers do
  bool trailing_bytes = false;  // a few old public files carry stray ones
};

/// The checked beginning of a file: tensors in the order of their bytes, and the metadata.
struct safetensors_header {
  std::vector<tensor_info> tensors;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::uint64_t data_offset = 0;  // where the data buffer begins in the file
};

namespace detail {

/// Checks the rules of the format in their order; every reader goes through it. Nothing is believed before it was checked.
class safetensors_checker {
 public:
  safetensors_checker(safetensors_limits const& limits, std::string const& source) : limits_(limits), source_(source) {}

  void require(bool ok, char const* limit) const { check_argument(ok, "io::read_safetensors", "file", source_, limit); }

  /// Length of the header, from the first 8 bytes of a file of `size` bytes.
  std::uint64_t header_length(unsigned char const* head, std::uint64_t size) const {
    require(size >= 8, "at least 8 bytes long (header_too_small)");
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | head[i];
    require(length <= limits_.header_bytes, "one whose header is within the limit (header_too_large)");
    require(length <= size - 8, "long enough for the header that it states (header_too_large)");
    return length;
  }

  safetensors_header parse(std::string_view text, std::uint64_t size) const {
    json_value const root = json_parser(text, 4, "io::read_safetensors", source_).parse();
    require(root.is(json_value::kind::object), "one whose header is a JSON object");
    safetensors_header header;
    header.data_offset = 8 + text.size();
    for (std::size_t i = 0; i < root.keys.size(); ++i) {
      if (root.keys[i] == "__metadata__") {
        read_metadata(root.items[i], header);
        continue;
      }
      require(header.tensors.size() < limits_.tensors, "one of fewer tensors");
      header.tensors.push_back(read_tensor(root.keys[i], root.items[i]));
    }
    order_and_tile(header, size - header.data_offset);
    return header;
  }

 private:
  void read_metadata(json_value const& v, safetensors_header& header) const {
    require(v.is(json_value::kind::object), "one whose __metadata__ is an object");
    for (std::size_t i = 0; i < v.keys.size(); ++i) {
      require(v.items[i].is(json_value::kind::string), "one whose __metadata__ holds strings only");
      header.metadata.emplace_back(v.keys[i], v.items[i].text);
    }
  }

  std::uint64_t natural(json_value const& v) const {
    require(v.is(json_value::kind::number), "one whose shapes and offsets are numbers");
    std::uint64_t n = 0;
    for (char const c : v.text)
      require(c >= '0' && c <= '9' && !__builtin_mul_overflow(n, std::uint64_t{10}, &n) && !__builtin_add_overflow(n, static_cast<std::uint64_t>(c - '0'), &n),
              "one whose shapes and offsets are plain whole numbers below 2^64");
    return n;
  }

  tensor_info read_tensor(std::string const& name, json_value const& v) const {
    require(name.size() <= limits_.name_bytes, "one of shorter tensor names");
    require(v.is(json_value::kind::object), "one whose tensors are objects");
    json_value const *type = nullptr, *shape = nullptr, *offsets = nullptr;
    for (std::size_t i = 0; i < v.keys.size(); ++i) {
      std::string const& key = v.keys[i];
      json_value const*& place = key == "dtype" ? type : key == "shape" ? shape : offsets;
      bool const known = key == "dtype" || key == "shape" || key == "data_offsets";
      require(known || limits_.unknown_keys, "one whose tensors have the keys dtype, shape and data_offsets only");
      if (known) place = &v.items[i];
    }
    require(type != nullptr && shape != nullptr && offsets != nullptr, "one whose tensors have dtype, shape and data_offsets");
    tensor_info t;
    t.name = name;
    require(type->is(json_value::kind::string) && find_tensor_type(type->text, t.type), "one of known element types");
    require(shape->is(json_value::kind::array) && shape->items.size() <= limits_.rank, "one whose shapes are arrays within the rank limit");
    for (json_value const& n : shape->items) t.shape.push_back(natural(n));
    require(offsets->is(json_value::kind::array) && offsets->items.size() == 2, "one with two data_offsets a tensor");
    t.begin = natural(offsets->items[0]);
    t.end = natural(offsets->items[1]);
    check_size(t);
    return t;
  }

  void check_size(tensor_info const& t) const {
    require(t.begin <= t.end, "one whose tensors begin before they end");
    // in the order of the axes, so that an overflow is one even if a later axis is 0
    std::uint64_t elements = 1, bits = 0;
    for (std::uint64_t n : t.shape) require(!__builtin_mul_overflow(elements, n, &elements), "one whose tensors have fewer than 2^64 elements");
    require(!__builtin_mul_overflow(elements, static_cast<std::uint64_t>(bits_of(t.type)), &bits), "one whose tensors have fewer than 2^64 bits");
    require(bits % 8 == 0, "one whose tensors end on a byte");
    require(t.bytes() == bits / 8, "one whose data_offsets fit shape and dtype");
  }

  // No holes, no overlaps, nothing after the last tensor.
  void order_and_tile(safetensors_header& header, std::uint64_t data_bytes) const {
    auto const& all = header.tensors;
    auto const order = sorted_indices(all.size(), [&](std::size_t a, std::size_t b) {
      return all[a].begin != all[b].begin ? all[a].begin < all[b].begin : all[a].end != all[b].end ? all[a].end < all[b].end : all[a].name < all[b].name;
    });
    std::vector<tensor_info> sorted;
    sorted.reserve(all.size());
    std::uint64_t at = 0;
    for (std::size_t i : order) {
      require(all[i].begin == at, "one whose tensors lie side by side, without holes or overlaps");
      at = all[i].end;
      sorted.push_back(std::move(header.tensors[i]));
    }
    require(at <= data_bytes, "complete: it ends before its last tensor");
    require(at == data_bytes || limits_.trailing_bytes, "without bytes after its last tensor");
    header.tensors = std::move(sorted);
  }

  safetensors_limits const& limits_;
  std::string const& source_;
};

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::io
