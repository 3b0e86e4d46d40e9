#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Moves data between ranks, and only that: sums across ranks are a gather and our own fold in ascending rank (fold/collective.hpp). One
/// process may hold several of the ranks, so every call takes a list with one buffer for each of them: all of them with `local_mesh`, one
/// with message passing. All ranks make the same calls in the same order, also with nothing to send.
/// - `size()` ranks in all, `local_ranks()` of them here; `rank(i)` is the number of the i-th of those.
/// - `all_gather(send, receive)`: receive[i] gets the send buffers of all ranks, one after the other; equally long ones.
/// - `all_to_all_v(send, send_counts, receive, receive_counts)`: send[i] holds chunks for ranks 0, 1, ..., of send_counts(i, q) elements;
///   receive[i] gets the chunks of ranks 0, 1, ..., of receive_counts(i, q). Counts are local_ranks() x size().
template <class C>
concept communicator = requires(C const& c, view<view<float const> const> send, view<view<float> const> receive, matrix_view<std::int64_t const> counts) {
  { c.size() } -> std::convertible_to<std::int64_t>;
  { c.local_ranks() } -> std::convertible_to<std::int64_t>;
  { c.rank(std::int64_t{}) } -> std::convertible_to<std::int64_t>;
  c.all_gather(send, receive);
  c.all_to_all_v(send, counts, receive, counts);
};

/// P ranks in one process: what tests and single machines run distributed algorithms on. Copies; nothing waits.
template <int P>
class local_mesh {
  static_assert(P >= 1);

 public:
  static constexpr std::int64_t size() { return P; }
  static constexpr std::int64_t local_ranks() { return P; }
  static constexpr std::int64_t rank(std::int64_t i) { return i; }

  template <class T>
  void all_gather(view<view<T const> const> send, view<view<std::type_identity_t<T>> const> receive) const {
    check_lists("all_gather", send.size(), receive.size());
    for (std::int64_t p = 0; p < P; ++p) {
      check_argument(send[p].size() == send[0].size(), "all_gather", "elements of a send buffer", send[p].size(), "those of rank 0");
      check_argument(receive[p].size() == P * send[0].size(), "all_gather", "elements of a receive buffer", receive[p].size(), "ranks * elements sent");
    }
    for (std::int64_t q = 0; q < P; ++q)
      for (std::int64_t p = 0; p < P; ++p) move(p, q, send[p].data(), receive[q].data() + p * send[p].size(), send[p].size());
  }

  template <class T>
  void all_to_all_v(view<view<T const> const> send, matrix_view<std::int64_t const> send_counts, view<view<std::type_identity_t<T>> const> receive,
                    matrix_view<std::int64_t const> receive_counts) const {
    check_lists("all_to_all_v", send.size(), receive.size());
    check_argument(send_counts.rows() == P && send_counts.cols() == P && receive_counts.rows() == P && receive_counts.cols() == P, "all_to_all_v",
                   "shape of the counts", "another", "local ranks x ranks");
    for (std::int64_t p = 0; p < P; ++p) {
      std::int64_t sent = 0, received = 0;
      for (std::int64_t q = 0; q < P; ++q) {
        check_argument(send_counts(p, q) >= 0 && send_counts(p, q) == receive_counts(q, p), "all_to_all_v", "a count", send_counts(p, q),
                       "0 or more, and what the other side expects");
        sent += send_counts(p, q);
        received += receive_counts(p, q);
      }
      check_argument(sent <= send[p].size(), "all_to_all_v", "elements of a send buffer", send[p].size(), "at least the sum of its counts");
      check_argument(received <= receive[p].size(), "all_to_all_v", "elements of a receive buffer", receive[p].size(), "at least the sum of its counts");
    }
    for (std::int64_t q = 0; q < P; ++q) {
      T* to = receive[q].data();
      for (std::int64_t p = 0; p < P; ++p) {
        std::int64_t skip = 0;
        for (std::int64_t before = 0; before < q; ++before) skip += send_counts(p, before);
        move(p, q, send[p].data() + skip, to, send_counts(p, q));
        to += send_counts(p, q);
      }
    }
  }

  /// Bytes that have passed between different ranks so far.
  std::int64_t bytes_moved() const { return moved_; }

 private:
  static void check_lists(char const* function, std::int64_t send, std::int64_t receive) {
    check_argument(send == P && receive == P, function, "number of buffers", send == P ? receive : send, "the local ranks");
  }
  template <class T>
  void move(std::int64_t from_rank, std::int64_t to_rank, T const* from, T* to, std::int64_t n) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (n > 0) std::memcpy(static_cast<void*>(to), from, static_cast<std::size_t>(n) * sizeof(T));
    if (from_rank != to_rank) moved_ += n * static_cast<std::int64_t>(sizeof(T));
  }

  mutable std::int64_t moved_ = 0;
};
static_assert(communicator<local_mesh<2>>);

}  // namespace fanfold::inline FANFOLD_ABI
