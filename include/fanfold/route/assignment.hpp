#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// What a router decides, what dispatch carries out: T rows of K slots. `id(t, j)` is the expert of slot j or -1 for an empty slot,
/// `weight(t, j)` its combine weight, exactly 0 where the slot is empty. Ids of a row are distinct. Not owning.
template <class W = float, class Id = std::int32_t>
struct assignment {
  using weight_type = W;
  using id_type = Id;

  matrix_view<Id> id{};
  matrix_view<W> weight{};

  FANFOLD_HD constexpr std::int64_t rows() const { return id.rows(); }
  FANFOLD_HD constexpr std::int64_t slots() const { return id.cols(); }
};

template <matrix_viewable Id, matrix_viewable Weight>
assignment(Id const&, Weight const&)
    -> assignment<typename std::remove_cvref_t<Weight>::element_type, typename std::remove_cvref_t<Id>::element_type>;

/// The same assignment, read only.
template <class W, class Id>
FANFOLD_HD constexpr assignment<W const, Id const> as_const(assignment<W, Id> a) {
  return {matrix_view<Id const>(a.id.data(), a.id.rows(), a.id.cols(), a.id.stride()),
          matrix_view<W const>(a.weight.data(), a.weight.rows(), a.weight.cols(), a.weight.stride())};
}

/// Row of the first slot whose id is neither -1 nor in [0, experts), or whose slot is empty with a weight other than 0; -1: none.
/// Reads the data, so host memory only.
template <class W, class Id>
std::int64_t validate_assignment(assignment<W, Id> a, std::int64_t experts) {
  using weight_t = std::remove_const_t<W>;
  for (std::int64_t t = 0; t < a.rows(); ++t)
    for (std::int64_t j = 0; j < a.slots(); ++j) {
      auto const id = static_cast<std::int64_t>(a.id(t, j));
      if (id < -1 || id >= experts) return t;
      if (id == -1 && a.weight.data() != nullptr && !(a.weight(t, j) == weight_t(0))) return t;
    }
  return -1;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
