#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/rank/rank_vote.hpp"
#include "fanfold/aggregate/rank/sign_agreement.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using ids = std::vector<std::int32_t>;
using sums = std::vector<std::uint64_t>;

fanfold::matrix_view<std::int32_t const> matrix(ids const& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

ids const example{2, 3, 0, 5, 1, 4, 0, 2, 3, 5, 4, 1, 3, 0, 1, 2, 4, 5};

ids random_votes(std::int64_t clients, std::int32_t n, std::uint64_t seed) {
  support::lcg g(seed);
  ids all;
  for (std::int64_t u = 0; u < clients; ++u) {
    ids vote;
    for (std::int32_t i = 0; i < n; ++i) vote.insert(vote.begin() + g.below(i + 1), i);
    all.insert(all.end(), vote.begin(), vote.end());
  }
  return all;
}

}  // namespace

TEST_CASE("rank vote: the worked example") {
  sums a(6);
  ag::rank_sums(fanfold::serial, {}, matrix(example, 6), a);
  CHECK(a == sums{3, 11, 4, 3, 13, 11});
  auto const r = ag::order_of_sums(a);
  CHECK(r == ids{0, 3, 2, 1, 5, 4});
  CHECK(ag::rank_vote(matrix(example, 6)) == r);
  std::vector<std::uint8_t> mask(6);
  ag::supermask(r, 0.5, mask);
  CHECK(mask == std::vector<std::uint8_t>{0, 1, 0, 0, 1, 1});
}

TEST_CASE("votes: order of clients, shards, one client, unanimity, relabelling, the reach of one vote, threads") {
  std::int64_t const clients = 70, n = 50;
  ids const votes = random_votes(clients, n, 3);
  sums a(n), head(n), tail(n), changed(n);
  ag::rank_sums(fanfold::serial, {}, matrix(votes, n), a);
  ids turned;
  for (std::int64_t u = clients - 1; u >= 0; --u) turned.insert(turned.end(), votes.begin() + u * n, votes.begin() + (u + 1) * n);
  ag::rank_sums(fanfold::serial, {}, matrix(turned, n), changed);
  CHECK(changed == a);
  ag::rank_sums(fanfold::serial, {}, matrix(votes, n).sub_rows(0, 33), head);
  ag::rank_sums(fanfold::serial, {}, matrix(votes, n).sub_rows(33, clients - 33), tail);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(head[i] + tail[i] == a[i]);
  support::for_each_executor([&](char const*, auto const& ex) {
    sums again(n);
    ag::rank_sums(ex, {}, matrix(votes, n), again);
    CHECK(again == a);
  });
  ids const one(votes.begin(), votes.begin() + n);
  CHECK(ag::rank_vote(matrix(one, n)) == one);
  ids same;
  for (int u = 0; u < 5; ++u) same.insert(same.end(), one.begin(), one.end());
  CHECK(ag::rank_vote(matrix(same, n)) == one);
  ids attacked = votes;
  for (std::int64_t i = 0; i < n; ++i) attacked[static_cast<std::size_t>(i)] = votes[static_cast<std::size_t>(n - 1 - i)];
  ag::rank_sums(fanfold::serial, {}, matrix(attacked, n), changed);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK((changed[i] > a[i] ? changed[i] - a[i] : a[i] - changed[i]) <= n - 1);
  ids relabelled = votes;
  for (std::int32_t& id : relabelled) id = static_cast<std::int32_t>((id + 7) % n);
  ag::rank_sums(fanfold::serial, {}, matrix(relabelled, n), changed);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(changed[(i + 7) % n] == a[i]);
}

TEST_CASE("weighted and trimmed votes") {
  sums a(6), b(6);
  std::vector<std::uint32_t> const weight{2, 0, 1};
  ag::rank_sums(fanfold::serial, {.weight = weight}, matrix(example, 6), a);
  CHECK(a == sums{5, 10, 3, 2, 14, 11});
  ag::rank_sums(fanfold::serial, {.trim = 1}, matrix(example, 6), b);
  CHECK(b == sums{1, 4, 1, 1, 4, 3});  // the middle one of three
}

TEST_CASE("supermask rounds up what is not whole, and only that") {
  ids order(10);
  for (std::int32_t i = 0; i < 10; ++i) order[static_cast<std::size_t>(i)] = i;
  std::vector<int> mask(10);
  auto const ones = [&](double k) {
    ag::supermask(order, k, mask);
    int sum = 0;
    for (int m : mask) sum += m;
    return sum;
  };
  CHECK(ones(0) == 0);
  CHECK(ones(1) == 10);
  CHECK(ones(0.9) == 9);
  CHECK(ones(0.3) == 3);  // 0.3 * 10 is above 3 in double
  CHECK(ones(0.31) == 4);
  CHECK(ones(1e-6) == 1);
  CHECK(mask[9] == 1);
  std::vector<float> score{.5f, -.1f, .9f};
  ag::reassign_scores(ids{1, 2, 0}, fanfold::view<float>(score));
  CHECK(score == std::vector<float>{.9f, -.1f, .5f});
}

TEST_CASE("votes that are none are refused") {
  sums a(3);
  CHECK_THROWS_WITH_AS(ag::rank_sums(fanfold::serial, {}, matrix(ids{0, 1, 2, 0, 1, 1}, 3), a), doctest::Contains("place 2 of vote 1"),
                       fanfold::argument_error);
  CHECK_THROWS_AS(ag::rank_sums(fanfold::serial, {}, matrix(ids{0, 1, 3}, 3), a), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::rank_sums(fanfold::serial, {}, matrix(ids{}, 3), a), doctest::Contains("number of votes"),
                       fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::rank_sums(fanfold::serial, {.trim = 1}, matrix(ids{0, 1, 2, 0, 1, 2}, 3), a), doctest::Contains("trim"),
                       fanfold::argument_error);
  std::vector<int> mask(3);
  CHECK_THROWS_WITH_AS(ag::supermask(ids{0, 1, 2}, 1.5, mask), doctest::Contains("in [0, 1]"), fanfold::argument_error);
  CHECK(ag::rank_vote(matrix(ids{0}, 1)) == ids{0});
}

TEST_CASE("gradient signs: the worked example, batches, rescaling, NaN") {
  std::vector<float> const g{.1f, -.2f, 0, .3f, .5f, -.1f, -.4f, .6f, -.2f};
  std::vector<ag::sign_tally> tally(3), parts(3);
  fanfold::matrix_view<float const> const m(g.data(), 3, 3);
  ag::count_signs(fanfold::serial, m, tally);
  CHECK(tally[0].votes == 1);
  CHECK(tally[1].votes == 1);
  CHECK(tally[2].votes == -2);
  CHECK(ag::sign_agreement_score(fanfold::serial, tally).score == 4);
  ag::count_signs(fanfold::serial, m.sub_rows(2, 1), parts);
  ag::count_signs(fanfold::serial, m.sub_rows(0, 2), parts);
  for (std::size_t k = 0; k < 3; ++k) CHECK(parts[k].votes == tally[k].votes);
  CHECK(ag::sign_agreement_score(fanfold::serial, std::vector<ag::sign_tally>(3)).score == 0);

  std::int64_t const n = 100, p = 41;
  std::vector<float> x = support::reals(static_cast<std::size_t>(n * p), 3), scaled = x;
  x[5] = scaled[5] = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < x.size(); ++i) scaled[i] *= 0.25f * static_cast<float>(1 + i / p);
  std::vector<ag::sign_tally> a(p), b(p);
  ag::count_signs(fanfold::serial, fanfold::matrix_view<float>(x.data(), n, p), a);
  ag::count_signs(fanfold::serial, fanfold::matrix_view<float>(scaled.data(), n, p), b);
  auto const psi = ag::sign_agreement_score(fanfold::serial, a);
  CHECK(psi.score == ag::sign_agreement_score(fanfold::serial, b).score);
  CHECK(psi.missing == 1);
  CHECK(psi.score > 0);
  CHECK(psi.score <= n * p);
  support::for_each_executor([&](char const*, auto const& ex) {
    std::vector<ag::sign_tally> c(p);
    ag::count_signs(ex, fanfold::matrix_view<float>(x.data(), n, p), c);
    CHECK(ag::sign_agreement_score(ex, c).score == psi.score);
  });
  for (float& v : x) v = 1;
  std::vector<ag::sign_tally> all(p);
  ag::count_signs(fanfold::serial, fanfold::matrix_view<float>(x.data(), n, p), all);
  CHECK(ag::sign_agreement_score(fanfold::serial, all).score == n * p);
}
