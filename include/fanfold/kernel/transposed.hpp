#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/route/transposed.hpp"

/// \file
/// What experts picked, row by row, on a device: `bin` by token, experts ascending.

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// The places of expert e, whose keys are their tokens.
struct token_places {
  struct run_type {
    std::int32_t const* token;
    std::int64_t first;
    FANFOLD_HD std::int32_t key(std::int64_t i) const { return token[i]; }
    FANFOLD_HD std::int64_t item(std::int64_t i) const { return first + i; }
  };
  matrix_view<std::int32_t const> token;

  FANFOLD_HD std::int64_t runs() const { return token.rows(); }
  FANFOLD_HD std::int64_t run_length() const { return token.cols(); }
  FANFOLD_HD run_type run(std::int64_t e) const { return {token.data() + e * token.stride(), e * token.cols()}; }
};

struct ragged_entries_body {
  template <block B, class W>
  FANFOLD_HD void operator()(B& b, expert_assignment<W> a, bin_view placed, ragged_assignment<W> out) const {
    std::int64_t const places = a.token.cols();
    for (std::int64_t i = grid_thread(b); i < placed.offsets.size(); i += grid_threads(b)) out.row_ptr.data()[i] = placed.offsets.data()[i];
    for (std::int64_t i = grid_thread(b); i < placed.row_of.size(); i += grid_threads(b)) {
      std::int32_t const row = placed.row_of.data()[i];
      if (row < 0) continue;
      out.id.data()[row] = static_cast<std::int32_t>(i / places);
      out.weight.data()[row] = a.weight.data()[i / places * a.weight.stride() + i % places];
    }
  }
};

/// A thread a slot of a token.
struct slot_entries_body {
  std::uint32_t* status;

  template <block B, class W>
  FANFOLD_HD void operator()(B& b, expert_assignment<W> a, bin_view placed, assignment<W> out) const {
    std::int64_t const places = a.token.cols(), slots = out.slots();
    for (std::int64_t i = grid_thread(b); i < out.rows() * slots; i += grid_threads(b)) {
      std::int64_t const t = i / slots, j = i % slots;
      bool const taken = j < placed.kept.data()[t];  // tokens come expert by expert, so entries ascend
      if (j == 0 && placed.counts.data()[t] > slots) raise(b, status, data_fault::capacity_exceeded);
      std::int64_t const from = taken ? placed.src_of.data()[placed.offsets.data()[t] + j] : 0;
      out.id.data()[t * out.id.stride() + j] = taken ? static_cast<std::int32_t>(from / places) : -1;
      out.weight.data()[t * out.weight.stride() + j] =
          taken ? a.weight.data()[from / places * a.weight.stride() + from % places] : from_arithmetic<W>(0);
    }
  }
};

template <device_executor E>
bin_view bin_tokens(E const& ex, matrix_view<std::int32_t const> token, std::int64_t tokens, workspace::frame& frame, workspace& ws) {
  std::int64_t const choices = token.rows() * token.cols();
  check_argument(choices <= 0x7fffffff, "route::transpose", "experts times places", choices, "below 2^31 on a device");
  bin_view const placed{frame.take<std::int64_t>(tokens + 1), frame.take<std::int32_t>(tokens), frame.take<std::int32_t>(tokens),
                        frame.take<std::int32_t>(choices), frame.take<std::int32_t>(choices)};
  run_loop(ex, bin_loop<dense_rows, token_places>{{}, {token}}, placed, ws);
  return placed;
}

}  // namespace detail

/// The same choices row by row, in device memory; tokens out of range are reported and left out.
template <device_executor E, class W>
void transpose(E const& ex, expert_assignment<W> const& a, std::int64_t tokens, ragged_assignment<W> out) {
  static constexpr char function[] = "route::transpose";
  check_argument(out.row_ptr.size() == tokens + 1, function, "size of row_ptr", out.row_ptr.size(), "tokens + 1");
  std::int64_t const most = a.experts() * a.places();
  check_argument(out.id.size() >= most && out.weight.size() >= most, function, "size of the ids", out.id.size(), "at least experts times places");
  workspace::frame frame(ex.scratch());
  bin_view const placed = detail::bin_tokens(ex, as_const(a.token), tokens, frame, ex.scratch());
  launch_threads(ex, detail::ragged_entries_body{}, most > tokens ? most : tokens + 1, a, placed, out);
}

/// The same choices as an assignment of K slots, experts ascending, for dispatch, in device memory; choices past K are reported and left out.
template <device_executor E, class W>
void transpose(E const& ex, expert_assignment<W> const& a, assignment<W> out) {
  workspace::frame frame(ex.scratch());
  bin_view const placed = detail::bin_tokens(ex, as_const(a.token), out.rows(), frame, ex.scratch());
  launch_threads(ex, detail::slot_entries_body{ex.status()}, out.rows() * out.slots(), a, placed, out);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
