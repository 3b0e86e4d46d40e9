#pragma once

#include <cstdint>

namespace support {

/// How often this process asked the heap for memory (operator new in all its forms) since it started.
std::int64_t allocations();

/// Counts the allocations of a scope.
class allocation_count {
 public:
  std::int64_t get() const { return allocations() - before_; }

 private:
  std::int64_t before_ = allocations();
};

}  // namespace support
