#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/io/file.hpp"
#include "fanfold/io/safetensors_header.hpp"
#include "fanfold/io/tensor_type.hpp"

namespace fanfold::inline FANFOLD_ABI::io {

namespace detail {

/// Positions of the tensors by name.
inline std::vector<std::size_t> index_by_name(std::vector<tensor_info> const& tensors) {
  return sorted_indices(tensors.size(), [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
}
inline tensor_info const* find_tensor(std::vector<tensor_info> const& tensors, std::vector<std::size_t> const& by_name, std::string_view name) {
  std::size_t low = 0, high = by_name.size();
  while (low < high) {
    std::size_t const middle = low + (high - low) / 2;
    if (tensors[by_name[middle]].name < name)
      low = middle + 1;
    else
      high = middle;
  }
  return low < by_name.size() && tensors[by_name[low]].name == name ? &tensors[by_name[low]] : nullptr;
}

}  // namespace detail

/// The bytes of a tensor in memory that somebody else keeps.
struct tensor_view {
  tensor_info const* info = nullptr;
  view<std::byte const> bytes{};

  /// Whether elements may be read where they lie; files do not promise it.
  bool aligned(std::size_t alignment) const { return reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0; }
};

/// A whole file in memory (read or mapped by the caller, who keeps it), checked once, without copies.
/// \throws argument_error for anything that breaks a rule of the format.
class safetensors_view {
 public:
  explicit safetensors_view(view<std::byte const> bytes, safetensors_limits const& limits = {}, std::string const& source = "memory") : bytes_(bytes) {
    detail::safetensors_checker const checker(limits, source);
    auto const size = static_cast<std::uint64_t>(bytes.size());
    std::uint64_t const length = checker.header_length(reinterpret_cast<unsigned char const*>(bytes.data()), size);
    header_ = checker.parse({reinterpret_cast<char const*>(bytes.data()) + 8, static_cast<std::size_t>(length)}, size);
    by_name_ = detail::index_by_name(header_.tensors);
  }

  safetensors_header const& header() const { return header_; }
  /// Null where there is no such tensor.
  tensor_info const* find(std::string_view name) const { return detail::find_tensor(header_.tensors, by_name_, name); }
  tensor_view tensor(tensor_info const& t) const {
    return {&t, bytes_.subview(static_cast<std::int64_t>(header_.data_offset + t.begin), static_cast<std::int64_t>(t.bytes()))};
  }

 private:
  view<std::byte const> bytes_;
  safetensors_header header_;
  std::vector<std::size_t> by_name_;
};

/// A file whose header is read and checked at once and whose tensors are read when asked for.
/// \throws argument_error naming the file and the rule that it breaks.
class safetensors_file {
 public:
  explicit safetensors_file(std::string path, safetensors_limits const& limits = {}) : path_(std::move(path)), file_(path_, "rb") {
    detail::safetensors_checker const checker(limits, path_);
    checker.require(file_.open(), "a file that can be opened");
    size_ = file_.size();
    checker.require(size_ >= 0, "a regular file");
    auto const size = static_cast<std::uint64_t>(size_);
    unsigned char head[8] = {};
    checker.require(file_.read(head, size < 8 ? static_cast<std::size_t>(size) : 8), "a regular file");
    std::string text(static_cast<std::size_t>(checker.header_length(head, size)), '\0');
    checker.require(file_.read(text.data(), text.size()), "readable to its end");
    header_ = checker.parse(text, size);
    by_name_ = detail::index_by_name(header_.tensors);
  }

  safetensors_header const& header() const { return header_; }
  /// Null where there is no such tensor.
  tensor_info const* find(std::string_view name) const { return detail::find_tensor(header_.tensors, by_name_, name); }

  /// The tensor's bytes into `to`, which must be as long.
  void read(tensor_info const& t, view<std::byte> to) {
    check_argument(static_cast<std::uint64_t>(to.size()) == t.bytes(), "io::safetensors_file::read", "bytes of the target", to.size(), "those of the tensor");
    check_argument(file_.seek(static_cast<std::int64_t>(header_.data_offset + t.begin)) && file_.read(to.data(), static_cast<std::size_t>(to.size())),
                   "io::safetensors_file::read", "file", path_, "readable to its end (it was shortened after it was opened)");
  }

  /// The elements of the tensor called `name`, which must exist and be of type T.
  template <class T>
  std::vector<T> read(std::string_view name) {
    static_assert(!std::is_same_v<T, bool>, "read booleans as unsigned bytes through read(info, bytes)");
    tensor_info const* const t = find(name);
    check_argument(t != nullptr, "io::safetensors_file::read", "tensor", std::string(name), "one of the file");
    check_argument(t->type == tensor_type_of<T>(), "io::safetensors_file::read", "element type", std::string(name_of(t->type)), name_of(tensor_type_of<T>()).data());
    std::vector<T> result(static_cast<std::size_t>(t->bytes()) / sizeof(T));
    read(*t, {reinterpret_cast<std::byte*>(result.data()), static_cast<std::int64_t>(t->bytes())});
    return result;
  }

 private:
  std::string path_;
  file file_;
  std::int64_t size_ = 0;
  safetensors_header header_;
  std::vector<std::size_t> by_name_;
};

/// Tensors to be written; the bytes stay the caller's until then. The order of adding does not matter.
class safetensors_writer {
 public:
  /// \throws argument_error for a name that is taken or reserved, and for bytes that do not fit shape and type.
  void add(std::string name, tensor_type type, std::vector<std::uint64_t> shape, view<std::byte const> bytes) {
    char const* const function = "io::safetensors_writer::add";
    check_argument(name != "__metadata__" && name.size() <= safetensors_limits{}.name_bytes && detail::is_utf8(name), function, "name", name,
                   "UTF-8, of at most 65535 bytes, not __metadata__");
    std::uint64_t elements = 1, bits = 0;
    bool fits = shape.size() <= safetensors_limits{}.rank;
    for (std::uint64_t n : shape) fits = fits && !__builtin_mul_overflow(elements, n, &elements);
    fits = fits && !__builtin_mul_overflow(elements, static_cast<std::uint64_t>(bits_of(type)), &bits) && bits % 8 == 0;
    check_argument(fits && bits / 8 == static_cast<std::uint64_t>(bytes.size()), function, "bytes", bytes.size(), "those of shape and type");
    entries_.push_back({{std::move(name), type, std::move(shape), 0, static_cast<std::uint64_t>(bytes.size())}, bytes});
  }
  /// Not of a temporary container: its elements would be gone before they are written.
  template <viewable X>
  void add(std::string name, X&& elements, std::vector<std::uint64_t> shape) {
    static_assert(std::is_lvalue_reference_v<X> || std::is_trivially_copyable_v<std::remove_reference_t<X>>,
                  "the writer keeps a view: a temporary container would be gone before write()");
    auto const v = as_const(as_view(elements));
    using T = typename decltype(v)::value_type;
    add(std::move(name), tensor_type_of<T>(), std::move(shape), {reinterpret_cast<std::byte const*>(v.data()), v.size() * static_cast<std::int64_t>(sizeof(T))});
  }
  template <viewable X>
  void add(std::string name, X&& elements) {
    auto const size = static_cast<std::uint64_t>(as_view(elements).size());
    add(std::move(name), std::forward<X>(elements), std::vector<std::uint64_t>{size});
  }
  /// A pair of strings for `__metadata__`.
  void add_metadata(std::string key, std::string value) {
    check_argument(detail::is_utf8(key) && detail::is_utf8(value), "io::safetensors_writer::add_metadata", "key and value", key, "UTF-8");
    keys_.push_back(std::move(key));
    values_.push_back(std::move(value));
  }
  /// The format cannot name the same bytes twice; this notes in the metadata that `name` is another name of `original`.
  void add_alias(std::string const& name, std::string const& original) { add_metadata("alias." + name, original); }

  std::size_t size() const { return entries_.size(); }

  /// Writes the file under a temporary name and renames it. The data begins at a multiple of `align` (8, 64, 256 or 4096). The same tensors and
  /// metadata give the same bytes: tensors by descending type, then by name, metadata by key.
  /// \throws argument_error for repeated names, a bad alignment or a file that cannot be written.
  void write(std::string const& path, std::uint64_t align = 8) const {
    check_argument(align == 8 || align == 64 || align == 256 || align == 4096, "io::safetensors_writer::write", "align", align, "8, 64, 256 or 4096");
    auto const order = detail::sorted_indices(entries_.size(), [&](std::size_t a, std::size_t b) {
      tensor_info const &x = entries_[a].info, &y = entries_[b].info;
      return x.type != y.type ? x.type > y.type : x.name < y.name;
    });
    check_names();
    std::string const head = header_text(order, align);
    replace_file("io::safetensors_writer::write", path, [&](file& to) {
      bool ok = to.write(head.data(), head.size());
      for (std::size_t i : order) ok = ok && to.write(entries_[i].bytes.data(), static_cast<std::size_t>(entries_[i].bytes.size()));
      return ok;
    });
  }

 private:
  struct entry {
    tensor_info info;
    view<std::byte const> bytes;
  };

  void check_names() const {
    auto const by_name = detail::sorted_indices(entries_.size(), [&](std::size_t a, std::size_t b) { return entries_[a].info.name < entries_[b].info.name; });
    for (std::size_t i = 1; i < by_name.size(); ++i)
      check_argument(entries_[by_name[i - 1]].info.name != entries_[by_name[i]].info.name, "io::safetensors_writer::write", "name of a tensor",
                     entries_[by_name[i]].info.name, "used once");
    check_argument(!detail::has_duplicates(keys_), "io::safetensors_writer::write", "metadata", "a repeated key", "of different keys");
  }

  std::string header_text(std::vector<std::size_t> const& order, std::uint64_t align) const {
    std::string text = "{";
    if (!keys_.empty()) {
      auto const by_key = detail::sorted_indices(keys_.size(), [&](std::size_t a, std::size_t b) { return keys_[a] < keys_[b]; });
      text += "\"__metadata__\":{";
      for (std::size_t i : by_key) {
        if (text.back() != '{') text += ',';
        text += detail::json_quoted(keys_[i]) + ':' + detail::json_quoted(values_[i]);
      }
      text += '}';
    }
    std::uint64_t at = 0;
    for (std::size_t i : order) {
      tensor_info const& t = entries_[i].info;
      if (text.size() > 1) text += ',';
      text += detail::json_quoted(t.name) + ":{\"dtype\":\"" + std::string(name_of(t.type)) + "\",\"shape\":[";
      for (std::size_t k = 0; k < t.shape.size(); ++k) {
        if (k > 0) text += ',';
        text += std::to_string(t.shape[k]);
      }
      text += "],\"data_offsets\":[" + std::to_string(at) + ',' + std::to_string(at + t.end) + "]}";
      at += t.end;
    }
    text += '}';
    text.append((align - (text.size() + 8) % align) % align, ' ');
    std::string head(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) head[i] = static_cast<char>(static_cast<std::uint64_t>(text.size()) >> 8 * i & 255);
    return head + text;
  }

  std::vector<entry> entries_;
  std::vector<std::string> keys_, values_;  // of the metadata
};

}  // namespace fanfold::inline FANFOLD_ABI::io
