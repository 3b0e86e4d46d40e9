#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::io::detail {

/// A JSON value; numbers keep their text. Of an object, item i belongs to key i.
struct json_value {
  enum class kind : unsigned char { null, boolean, number, string, array, object };
  kind type = kind::null;
  std::string text{};
  std::vector<json_value> items{};
  std::vector<std::string> keys{};

  bool is(kind k) const { return type == k; }
};
/// Whether `s` is UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
inline bool is_utf8(std::string_view s) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  for (std::size_t i = 0; i < s.size();) {
    unsigned const lead = byte(i);
    std::size_t const length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0 || i + length > s.size()) return false;
    for (std::size_t k = 1; k < length; ++k)
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    if (length > 2) {
      unsigned const second = byte(i + 1);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return false;
    }
    i += length;
  }
  return true;
}

inline void append_utf8(std::string& to, std::uint32_t c) {
  auto const put = [&](std::uint32_t b) { to += static_cast<char>(b); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 63));
  if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
}

/// Whether a string occurs twice. O(n log n).
bool has_duplicates(std::vector<std::string> const& list);

/// Strict JSON (RFC 8259) in UTF-8: one value, blanks around it, no repeated keys, no raw control characters, no lone surrogates, nesting up
/// to `depth` objects and arrays. Errors are argument_errors of `function` about the file `source`.
class json_parser {
 public:
  json_parser(std::string_view text, int depth, char const* function, std::string const& source)
      : text_(text), depth_(depth), function_(function), source_(source) {}

  json_value parse() {
    require(is_utf8(text_), "valid UTF-8 in its header");
    json_value v = value(0);
    blanks();
    require(at_ == text_.size(), "without anything after its JSON");
    return v;
  }

 private:
  void require(bool ok, char const* limit) const { check_argument(ok, function_, "file", source_, limit); }
  bool more() const { return at_ < text_.size(); }
  void blanks() {
    while (more() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    blanks();
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  json_value value(int level) {
    blanks();
    require(more(), "complete JSON");
    using kind = json_value::kind;
    json_value v;
    char const c = text_[at_];
    if (c == '{' || c == '[') {
      require(level < depth_, "JSON of few levels");
      ++at_;
      v.type = c == '{' ? kind::object : kind::array;
      c == '{' ? object(v, level + 1) : array(v, level + 1);
    } else if (c == '"') {
      v.type = kind::string;
      v.text = string();
    } else if (take_word("true") || take_word("false")) {
      v.type = kind::boolean;
    } else if (!take_word("null")) {
      v.type = kind::number;
      v.text = number();
    }
    return v;
  }

  void array(json_value& v, int level) {
    if (take(']')) return;
    do v.items.push_back(value(level));
    while (take(','));
    require(take(']'), "JSON whose arrays are closed");
  }

  void object(json_value& v, int level) {
    if (take('}')) return;
    do {
      blanks();
      require(more() && text_[at_] == '"', "JSON whose keys are strings");
      v.keys.push_back(string());
      require(take(':'), "JSON with a value for each key");
      v.items.push_back(value(level));
    } while (take(','));
    require(take('}'), "JSON whose objects are closed");
    require(!has_duplicates(v.keys), "JSON without repeated keys");
  }

  std::string number() {
    std::size_t const first = at_;
    auto const digits = [&] {
      std::size_t const from = at_;
      while (more() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      return at_ - from;
    };
    if (more() && text_[at_] == '-') ++at_;
    bool const zero = more() && text_[at_] == '0';
    std::size_t const whole = digits();
    bool ok = whole > 0 && (!zero || whole == 1);
    if (more() && text_[at_] == '.') ++at_, ok = ok && digits() > 0;
    if (more() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (more() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      ok = ok && digits() > 0;
    }
    require(ok, "JSON with values that are strings, numbers, arrays, objects, true, false or null");
    return std::string(text_.substr(first, at_ - first));
  }

  std::uint32_t hex4() {
    std::uint32_t v = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      char const c = more() ? text_[at_] : ' ';
      bool const digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
      require(digit || lower || upper, "JSON with four hexadecimal digits after \\u");
      v = v * 16 + static_cast<std::uint32_t>(digit ? c - '0' : lower ? c - 'a' + 10 : c - 'A' + 10);
    }
    return v;
  }

  void escape(std::string& to) {
    require(more(), "JSON whose strings are closed");
    char const c = text_[at_++];
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (std::size_t const i = names.find(c); i != names.npos) {
      to += meanings[i];
      return;
    }
    require(c == 'u', "JSON with known escapes");
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00 && take_word("\\u")) {
      std::uint32_t const low = hex4();
      require(low >= 0xDC00 && low < 0xE000, "JSON without lone surrogates");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    require(code < 0xD800 || code >= 0xE000, "JSON without lone surrogates");
    append_utf8(to, code);
  }

  std::string string() {
    std::string s;
    ++at_;
    for (;;) {
      require(more(), "JSON whose strings are closed");
      char const c = text_[at_++];
      if (c == '"') return s;
      require(static_cast<unsigned char>(c) >= 0x20, "JSON without raw control characters in strings");
      if (c == '\\')
        escape(s);
      else
        s += c;
    }
  }

  std::string_view text_;
  int depth_;
  char const* function_;
  std::string const& source_;
  std::size_t at_ = 0;
};

/// Indices in the order of `less`, by heap sort: <algorithm> is too dear for a header, and the order of attackers must not matter.
template <class Less>
std::vector<std::size_t> sorted_indices(std::size_t n, Less less) {
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  auto const sift = [&](std::size_t root, std::size_t end) {
    for (std::size_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && less(order[child], order[child + 1])) ++child;
      if (!less(order[root], order[child])) return;
      std::swap(order[root], order[child]);
    }
  };
  for (std::size_t i = n / 2; i-- > 0;) sift(i, n);
  for (std::size_t end = n; end > 1; --end) {
    std::swap(order[0], order[end - 1]);
    sift(0, end - 1);
  }
  return order;
}

inline bool has_duplicates(std::vector<std::string> const& list) {
  auto const order = sorted_indices(list.size(), [&](std::size_t a, std::size_t b) { return list[a] < list[b]; });
  for (std::size_t i = 1; i < order.size(); ++i)
    if (list[order[i - 1]] == list[order[i]]) return true;
  return false;
}

/// The string as a JSON literal: raw UTF-8, only quotes, backslashes and control characters escaped.
inline std::string json_quoted(std::string_view s) {
  std::string r = "\"";
  constexpr char const* hex = "0123456789abcdef";
  for (char const c : s) {
    auto const u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      r += '\\', r += c;
    else if (u >= 0x20)
      r += c;
    else if (c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r')
      r += '\\', r += c == '\b' ? 'b' : c == '\t' ? 't' : c == '\n' ? 'n' : c == '\f' ? 'f' : 'r';
    else
      r += "\\u00", r += hex[u >> 4], r += hex[u & 15];
  }
  return r + '"';
}

}  // namespace fanfold::inline FANFOLD_ABI::io::detail
