#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// The rows of a plan packed<block> as fused kernels of serving systems read them (vLLM, SGLang: moe_align_block_size).
struct block_list {
  view<std::int32_t> sorted_ids{};     ///< [row bound] assignment of each row, `pad` for padding and the unused tail
  view<std::int32_t> block_expert{};   ///< [row bound / block] expert of each block, `no_expert` in the unused tail
  view<std::int32_t> block_rows{};     ///< [row bound / block] rows of the block that are not padding
  view<std::int64_t> rows_post_pad{};  ///< [1] rows in use
  std::int64_t block = 1;
  std::int32_t pad = -1;
  std::int32_t no_expert = -1;
};

namespace detail {

struct list_block {
  plan_view plan{};
  block_list out{};

  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const rows = plan.offsets.data()[plan.experts()], first = i * out.block;
    if (i == 0) out.rows_post_pad.data()[0] = rows;
    bool const used = first < rows;
    std::int64_t const e = used ? expert_of_row(plan, first) : 0;
    std::int64_t const left = used ? plan.kept.data()[e] - (first - plan.offsets.data()[e]) : 0;
    std::int64_t const valid = left < 0 ? 0 : left < out.block ? left : out.block;
    out.block_expert.data()[i] = used ? static_cast<std::int32_t>(e) : out.no_expert;
    out.block_rows.data()[i] = static_cast<std::int32_t>(valid);
    for (std::int64_t r = 0; r < out.block; ++r) out.sorted_ids.data()[first + r] = r < valid ? plan.src_of.data()[first + r] : out.pad;
  }
};

struct no_rows {
  view<std::int64_t> rows{};
  FANFOLD_HD void operator()(std::int64_t) const { rows.data()[0] = 0; }
};

struct map_experts {
  matrix_view<std::int32_t const> id{};
  view<std::int32_t const> map{};
  view<std::int32_t> out{};

  FANFOLD_HD void operator()(std::int64_t a) const {
    std::int64_t const t = a / id.cols();
    std::int32_t const e = id.data()[t * id.stride() + (a - t * id.cols())];
    out.data()[a] = e >= 0 && e < map.size() ? map.data()[e] : e;
  }
};

}  // namespace detail

/// Fills `out` from a plan whose layout is packed{out.block}. \throws argument_error for sizes that do not match.
template <executor E>
void make_block_list(E const& ex, plan_view const& plan, block_list const& out) {
  static constexpr char function[] = "make_block_list";
  detail::check_plan_shape(function, plan);
  std::int64_t const bound = plan.row_bound();
  check_argument(out.block >= 1 && bound % out.block == 0, function, "block", out.block, "a divisor of the plan's row bound");
  check_argument(out.sorted_ids.size() == bound, function, "size of sorted_ids", out.sorted_ids.size(), "the plan's row bound");
  check_argument(out.block_expert.size() == bound / out.block && out.block_rows.size() == bound / out.block, function, "number of blocks",
                 out.block_expert.size(), "row bound / block");
  check_argument(out.rows_post_pad.size() == 1, function, "size of rows_post_pad", out.rows_post_pad.size(), "1");
  if (bound == 0) return for_each(ex, detail::no_rows{out.rows_post_pad}, 1);
  for_each(ex, detail::list_block{plan, out}, bound / out.block, 64);
}

/// ids of this rank's experts: out[a] = map[ids[a]], -1 for experts of other ranks (and unused slots), as `make_plan` reads them.
template <executor E>
void local_ids(E const& ex, matrix_view<std::int32_t const> ids, view<std::int32_t const> map, view<std::int32_t> out) {
  check_argument(out.size() == ids.rows() * ids.cols(), "local_ids", "size of out", out.size(), "the number of ids");
  for_each(ex, detail::map_experts{ids, map, out}, out.size());
}

/// The plan that a block list describes, with `counts` = `kept`; blocks must come by ascending expert. Host memory.
/// \throws argument_error where an id, an expert or the order of blocks is wrong.
inline void plan_from_blocks(block_list const& list, plan_view const& plan) {
  static constexpr char function[] = "plan_from_blocks";
  detail::check_plan_shape(function, plan);
  std::int64_t const rows = list.rows_post_pad[0];
  check_argument(rows >= 0 && rows <= plan.row_bound() && rows <= list.sorted_ids.size() && rows % list.block == 0, function, "rows_post_pad", rows,
                 "a multiple of the block, at most the row bound");
  for (std::int64_t e = 0; e < plan.experts(); ++e) plan.kept[e] = 0, plan.offsets[e + 1] = 0;
  for (std::int64_t a = 0; a < plan.assignments(); ++a) plan.row_of[a] = -1;
  for (std::int64_t b = 0, last = 0; b < rows / list.block; ++b) {
    std::int32_t const e = list.block_expert[b];
    check_argument(e >= last && e < plan.experts(), function, "expert of a block", e, "ascending and below the number of experts");
    last = e;
    plan.offsets[e + 1] += list.block;
    for (std::int64_t r = b * list.block; r < (b + 1) * list.block; ++r) {
      std::int32_t const a = list.sorted_ids[r];
      bool const used = a != list.pad && a >= 0 && a < plan.assignments();
      check_argument(used || a == list.pad, function, "an id", a, "an assignment or the padding id");
      plan.src_of[r] = used ? a : -1;
      if (!used) continue;
      plan.row_of[a] = static_cast<std::int32_t>(r);
      ++plan.kept[e];
    }
  }
  plan.offsets[0] = 0;
  for (std::int64_t e = 0; e < plan.experts(); ++e) plan.offsets[e + 1] += plan.offsets[e], plan.counts[e] = plan.kept[e];
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
