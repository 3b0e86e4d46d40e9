#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::io {

/// A C stream that closes itself.
class file {
 public:
  file(std::string const& path, char const* mode) : file_(std::fopen(path.c_str(), mode)) {}
  file(file const&) = delete;
  file& operator=(file const&) = delete;
  ~file() { close(); }

  bool open() const { return file_ != nullptr; }
  bool read(void* to, std::size_t bytes) { return bytes == 0 || std::fread(to, 1, bytes, file_) == bytes; }
  bool write(void const* from, std::size_t bytes) { return bytes == 0 || std::fwrite(from, 1, bytes, file_) == bytes; }
  bool seek(std::int64_t offset) { return std::fseek(file_, static_cast<long>(offset), SEEK_SET) == 0; }
  /// -1 where the file has no size (a pipe, a directory).
  std::int64_t size() {
    if (std::fseek(file_, 0, SEEK_END) != 0) return -1;
    long const end = std::ftell(file_);
    return std::fseek(file_, 0, SEEK_SET) == 0 ? end : -1;
  }
  bool close() {
    bool const ok = file_ == nullptr || std::fclose(file_) == 0;
    file_ = nullptr;
    return ok;
  }

 private:
  std::FILE* file_;
};

/// Lets `fill(file&) -> bool` write a new file under a temporary name in the same folder, then gives it the name `path`: a failed write
/// leaves an older file as it was. \throws argument_error naming `function` and the file.
template <class Fill>
void replace_file(char const* function, std::string const& path, Fill&& fill) {
  for (int attempt = 0;; ++attempt) {
    std::string const partial = path + ".partial" + std::to_string(attempt);
    file to(partial, "wbx");  // never over a file of somebody else
    if (!to.open()) {
      check_argument(attempt < 99, function, "file", path, "in a folder that can be written");
      continue;
    }
    bool done = false;
    try {
      done = fill(to);
    } catch (...) {
      to.close();
      std::remove(partial.c_str());
      throw;
    }
    if (to.close() && done && std::rename(partial.c_str(), path.c_str()) == 0) return;
    std::remove(partial.c_str());
    check_argument(false, function, "file", path, "a name that can be written (space, permissions)");
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::io
