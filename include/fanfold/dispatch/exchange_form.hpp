#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What travels between ranks: a row for every assignment (and back, in the storage type); one row for every token and rank that holds experts
/// of it (and one partial result back, in the arithmetic type); or every token to every rank, for as many slots as ranks or more. All give the
/// same bits.
enum class exchange_form : unsigned char { row_an_assignment, row_a_token_and_rank, every_token };

/// Two levels: one row for every token and node that holds experts of it, to the rank of the sender's own number there, which passes it on
/// inside its node; one partial result a node comes back. Ranks n * ranks_a_node ... (n + 1) * ranks_a_node - 1 are node n. The bracket is
/// another one: ranks are folded in each node first, then nodes.
struct row_a_token_and_node {
  std::int64_t ranks_a_node = 1;
};

/// Drop and pad: every rank sends `places_an_expert` rows to every expert. Of its assignments to an expert the first ones stay, token by
/// token, the others are dropped, and what is missing is rows of zeros. So chunks are equally long, nobody tells counts, and shapes depend on
/// the problem's sizes alone. Results are those of the routes that are left.
struct row_a_place {
  std::int64_t places_an_expert = 0;
};

/// A rank's tokens: x (T x D), routes over all experts (id -1: unused or dropped), optional init, and y. Ranks may hold different numbers of
/// tokens, also none.
template <class T, class Y = T>
struct rank_batch {
  using arithmetic = arithmetic_t<T>;
  matrix_view<T const> x{};
  route::assignment<arithmetic const, std::int32_t const> routes{};
  matrix_view<arithmetic const> init{};
  matrix_view<Y> y{};
};

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
