#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Chosen ids of a batch, kept for a later pass: two bytes an id up to 32,767 experts, else four. `write` gives them back for `replay`.
class routing_record {
 public:
  routing_record() = default;
  /// \throws argument_error for an id out of range or one that a row has twice: records may come from outside.
  template <class Id>
  routing_record(matrix_view<Id> id, std::int64_t experts) : rows_(id.rows()), slots_(id.cols()), experts_(experts), wide_(experts > 32767) {
    std::vector<std::int64_t> last(static_cast<std::size_t>(experts), -1);
    for (std::int64_t t = 0; t < rows_; ++t)
      for (std::int64_t j = 0; j < slots_; ++j) {
        auto const e = static_cast<std::int64_t>(id(t, j));
        check_argument(e >= -1 && e < experts, "route::routing_record", "an id", e, "-1 or in [0, experts)");
        if (e >= 0) check_argument(last[static_cast<std::size_t>(e)] != t, "route::routing_record", "an id of a row", e, "there once");
        if (e >= 0) last[static_cast<std::size_t>(e)] = t;
        if (wide_)
          four_.push_back(static_cast<std::int32_t>(e));
        else
          two_.push_back(static_cast<std::int16_t>(e));
      }
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t slots() const { return slots_; }
  std::int64_t experts() const { return experts_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(two_.size() * 2 + four_.size() * 4); }

  void write(matrix_view<std::int32_t> id) const {
    check_argument(id.rows() == rows_ && id.cols() == slots_, "route::routing_record::write", "shape of the ids", id.rows(), "that of the record");
    for (std::int64_t t = 0; t < rows_; ++t)
      for (std::int64_t j = 0; j < slots_; ++j) {
        auto const i = static_cast<std::size_t>(t * slots_ + j);
        id(t, j) = wide_ ? four_[i] : two_[i];
      }
  }

 private:
  std::int64_t rows_ = 0, slots_ = 0, experts_ = 0;
  bool wide_ = false;
  std::vector<std::int16_t> two_;
  std::vector<std::int32_t> four_;
};

}  // namespace fanfold::inline FANFOLD_ABI::route
