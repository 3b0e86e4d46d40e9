// arch: 75 80 90 100 120
// ptx: bin_counts_body : ld.global
// ptx: bin_place_body : st.global.u32
// ptx-not: bin_.*_body : fma|ld.local|st.local|call
// regs: bin_keys_body : 48
// regs: bin_counts_body : 48
// regs: bin_place_body : 64
// regs: bin_padding_body : 48
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/bin.hpp"

namespace ff = fanfold;

// The kernels around the sort, which is the toolkit's.
void bin_around_sort(ff::cuda::executor const& ex, ff::view<std::int32_t const> keys, ff::view<std::uint32_t> sortable, ff::view<std::int32_t> items,
                     ff::view<std::int64_t> first, ff::view<std::int64_t> rows, ff::bin_view const& out) {
  using order = ff::key_sequence;
  ex.launch(ff::detail::bin_keys_body<order>{order{keys}, ex.status()}, 8, 256, 64u, sortable, items);
  ex.launch(ff::detail::bin_counts_body<ff::dense_rows>{}, 8, 256, ff::as_const(sortable), out.counts, out.kept, first, rows);
  ex.launch(ff::detail::bin_padding_body{}, 8, 256, out);
  ex.launch(ff::detail::bin_place_body{ex.status()}, 8, 256, ff::as_const(sortable), ff::as_const(items), ff::as_const(first), out);
}
