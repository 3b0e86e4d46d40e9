#pragma once

/// \file
/// Forward declarations of the vocabulary types, for headers that only name them.

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <class T>
class view;
template <class T>
class matrix_view;
template <class T>
class rows_view;
template <class T>
struct csr_view;

class argument_error;
class workspace;
class thread_pool;
class thread_pool_ref;
struct serial_executor;

enum class law : unsigned;

namespace order {
struct fixed_t;
struct reproducible_t;
struct any_t;
}  // namespace order

}  // namespace fanfold::inline FANFOLD_ABI
