#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/io/file.hpp"

namespace fanfold::inline FANFOLD_ABI::io {

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fanfold/io/npy.hpp reads and writes little-endian arrays without conversion: it needs a little-endian machine."
#endif

/// What an array file may hold here: little-endian floats of 4 or 8 bytes, signed integers of 4 or 8 bytes, unsigned bytes.
template <class T>
concept npy_element = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t> ||
                      std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint8_t>;

/// An array in C order (last axis fastest) with its shape; no axes = one element.
template <npy_element T>
struct npy_array {
  std::vector<std::int64_t> shape;
  std::vector<T> data;
};

/// The beginning of an array file: element type in numpy's notation ("<f4"), shape, and where the elements start.
struct npy_header {
  std::string descr;
  std::vector<std::int64_t> shape;
  std::int64_t data_offset = 0;
};

namespace detail {

template <class T>
constexpr char const* npy_descr() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, double>) return "<f8";
  if constexpr (std::is_same_v<T, std::int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, std::int64_t>) return "<i8";
  if constexpr (std::is_same_v<T, std::uint8_t>) return "|u1";
}

inline constexpr std::int64_t npy_prefix = 10;  // magic, version, header length

/// Product of the shape times `element` bytes; -1 where it passes 63 bits, also if a later axis is 0.
inline std::int64_t npy_bytes(view<std::int64_t const> shape, std::int64_t element) {
  std::int64_t bytes = element;
  for (std::int64_t n : shape)
    if (n < 0 || __builtin_mul_overflow(bytes, n, &bytes)) return -1;
  return bytes;
}

inline std::string npy_shape_text(view<std::int64_t const> shape) {
  std::string text = "(";
  for (std::int64_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// Magic, version 1.0, length and dictionary, padded so that the elements start at a multiple of 64 bytes.
inline std::string npy_header_bytes(char const* descr, view<std::int64_t const> shape) {
  std::string dict = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': " + npy_shape_text(shape) + ", }";
  std::size_t const total = (static_cast<std::size_t>(npy_prefix) + dict.size() + 1 + 63) / 64 * 64;
  dict.resize(total - static_cast<std::size_t>(npy_prefix) - 1, ' ');
  dict += '\n';
  check_argument(dict.size() <= 65535, "io::write_npy", "length of the header", dict.size(), "at most 65535 (fewer axes)");
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(dict.size() & 255);
  head += static_cast<char>(dict.size() >> 8);
  return head + dict;
}

/// Reads the dictionary literal of a header. Only the three known keys, each once, in any order, with plain values.
class npy_dict_parser {
 public:
  npy_dict_parser(std::string_view text, std::string const& source) : text_(text), source_(source) {}

  npy_header parse() {
    npy_header result;
    bool seen[3] = {};
    expect('{');
    while (!take('}')) {
      std::string const key = quoted();
      expect(':');
      if (key == "descr") {
        once(seen[0]);
        result.descr = quoted();
      } else if (key == "fortran_order") {
        once(seen[1]);
        require(word() == "False", "an array in C order ('fortran_order': False)");
      } else if (key == "shape") {
        once(seen[2]);
        result.shape = tuple();
      } else {
        require(false, "a header with the keys descr, fortran_order and shape only");
      }
      if (take('}')) break;
      expect(',');
    }
    require(seen[0] && seen[1] && seen[2], "a header with the keys descr, fortran_order and shape");
    blanks();
    require(at_ + 1 == text_.size() && text_[at_] == '\n', "a header that ends with one newline after its dictionary");
    return result;
  }

 private:
  void require(bool ok, char const* limit) const { check_argument(ok, "io::read_npy", "file", source_, limit); }
  void once(bool& seen) const {
    require(!seen, "a header without repeated keys");
    seen = true;
  }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) { require(take(c), "a header that is a dictionary literal"); }

  std::string quoted() {
    blanks();
    require(at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"'), "a header whose keys and element type are quoted");
    char const quote = text_[at_++];
    std::size_t const first = at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\\' && text_[at_] != '\n') ++at_;
    require(at_ < text_.size() && text_[at_] == quote, "a header whose strings are closed and plain");
    return std::string(text_.substr(first, at_++ - first));
  }
  std::string_view word() {
    blanks();
    std::size_t const first = at_;
    while (at_ < text_.size() && ((text_[at_] | 32) >= 'a' && (text_[at_] | 32) <= 'z')) ++at_;
    return text_.substr(first, at_ - first);
  }
  std::int64_t number() {
    blanks();
    std::size_t const first = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      require(!__builtin_mul_overflow(value, std::int64_t{10}, &value) && !__builtin_add_overflow(value, text_[at_] - '0', &value),
              "a header whose lengths fit 63 bits");
    require(at_ > first && (text_[first] != '0' || at_ == first + 1), "a header whose lengths are plain decimal numbers");
    return value;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> result;
    expect('(');
    if (take(')')) return result;
    for (bool comma = false;;) {
      result.push_back(number());
      comma = take(',');
      bool const closed = take(')');
      require(closed || comma, "a header whose shape is a tuple");
      if (!closed) continue;
      require(comma || result.size() > 1, "a header whose shape is a tuple");  // "(3)" is a number
      return result;
    }
  }

  std::string_view text_;
  std::string const& source_;
  std::size_t at_ = 0;
};

/// Length of the dictionary in a file of `size` bytes that begins with `head`.
inline std::int64_t npy_dict_length(unsigned char const* head, std::int64_t size, std::string const& source) {
  auto const require = [&](bool ok, char const* limit) { check_argument(ok, "io::read_npy", "file", source, limit); };
  require(size >= npy_prefix && std::memcmp(head, "\x93NUMPY", 6) == 0, "an array file (it begins with the bytes 93 'NUMPY')");
  require(head[6] == 1 && head[7] == 0, "of format version 1.0");
  std::int64_t const length = head[8] + 256 * head[9];
  require(length >= 1 && length <= size - npy_prefix, "long enough for the header length that it states");
  return length;
}

/// Element type, shape and size must fit `size` bytes in all, not one less or more.
template <class T>
npy_header npy_checked_header(std::string_view dict, std::int64_t size, std::string const& source) {
  npy_header header = npy_dict_parser(dict, source).parse();
  header.data_offset = npy_prefix + static_cast<std::int64_t>(dict.size());
  auto const require = [&](bool ok, std::string const& limit) { check_argument(ok, "io::read_npy", "file", source, limit.c_str()); };
  require(header.descr == npy_descr<T>(), std::string("of element type ") + npy_descr<T>() + ", not '" + header.descr + "'");
  std::int64_t const bytes = npy_bytes(header.shape, sizeof(T));
  require(bytes >= 0, "of a shape whose size in bytes fits 63 bits");
  require(bytes <= size - header.data_offset, "complete: it ends before its last element");
  require(bytes == size - header.data_offset, "without bytes after its last element");
  return header;
}

}  // namespace detail

/// The array in the file image `bytes`. \throws argument_error for anything but a complete array of T in C order, format version 1.0.
template <npy_element T, viewable Bytes>
npy_array<T> decode_npy(Bytes const& bytes) {
  auto const all = as_const(as_view(bytes));
  static_assert(sizeof(*all.data()) == 1);
  static std::string const source = "memory";
  std::int64_t const length = detail::npy_dict_length(reinterpret_cast<unsigned char const*>(all.data()), all.size(), source);
  std::string_view const dict(reinterpret_cast<char const*>(all.data()) + detail::npy_prefix, static_cast<std::size_t>(length));
  npy_header header = detail::npy_checked_header<T>(dict, all.size(), source);
  npy_array<T> result{std::move(header.shape), std::vector<T>(static_cast<std::size_t>(all.size() - header.data_offset) / sizeof(T))};
  if (!result.data.empty()) std::memcpy(result.data.data(), all.data() + header.data_offset, result.data.size() * sizeof(T));
  return result;
}

/// Reads an array file (.npy, format version 1.0, C order, little endian, elements T).
/// \throws argument_error that names the file and what is wrong with it; sizes are checked before anything is allocated.
template <npy_element T>
npy_array<T> read_npy(std::string const& path) {
  auto const require = [&](bool ok, char const* limit) { check_argument(ok, "io::read_npy", "file", path, limit); };
  io::file from(path, "rb");
  require(from.open(), "a file that can be opened");
  std::int64_t const size = from.size();
  unsigned char head[detail::npy_prefix] = {};
  std::int64_t const prefix = size < detail::npy_prefix ? size : detail::npy_prefix;
  require(size >= 0 && from.read(head, static_cast<std::size_t>(prefix)), "a regular file");
  std::string dict(static_cast<std::size_t>(detail::npy_dict_length(head, size, path)), '\0');
  require(from.read(dict.data(), dict.size()), "readable to its end");
  npy_header header = detail::npy_checked_header<T>(dict, size, path);
  npy_array<T> result{std::move(header.shape), std::vector<T>(static_cast<std::size_t>(size - header.data_offset) / sizeof(T))};
  require(from.read(result.data.data(), result.data.size() * sizeof(T)), "readable to its end");
  return result;
}

/// Writes `data` with the given shape (its product must be the number of elements) as an array file: first under a temporary name in
/// the same folder, then renamed, so that a failed write leaves an older file as it was. The same array gives the same bytes.
template <viewable X>
  requires npy_element<typename decltype(as_view(std::declval<X const&>()))::value_type>
void write_npy(std::string const& path, X const& data, std::vector<std::int64_t> const& shape) {
  auto const v = as_const(as_view(data));
  using value = typename decltype(v)::value_type;
  auto const element = static_cast<std::int64_t>(sizeof(value));
  check_argument(detail::npy_bytes(shape, element) == v.size() * element, "io::write_npy", "shape",
                 detail::npy_shape_text(shape), "a shape with as many elements as the data");
  std::string const head = detail::npy_header_bytes(detail::npy_descr<value>(), shape);
  replace_file("io::write_npy", path, [&](file& to) {
    return to.write(head.data(), head.size()) && to.write(v.data(), static_cast<std::size_t>(v.size()) * sizeof(value));
  });
}

/// One axis.
template <viewable X>
void write_npy(std::string const& path, X const& data) {
  write_npy(path, data, {as_view(data).size()});
}

}  // namespace fanfold::inline FANFOLD_ABI::io
