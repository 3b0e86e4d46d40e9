#include <cstdio>
#include <vector>

#include <fanfold/fanfold.hpp>

float second_sum(std::vector<float> const& x);

int main() {
  std::vector<float> x(10'000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);

  fanfold::thread_pool pool(2);
  float const alone = fanfold::fold(fanfold::plus<float>{}, x);
  float const together = fanfold::fold(pool.ref(), fanfold::plus<float>{}, x);
  bool const same = alone == together && alone == second_sum(x) && alone > 9.78f && alone < 9.79f;
  std::printf("Fanfold %d.%d.%d: %.9g %.9g, %s\n", FANFOLD_VERSION_MAJOR, FANFOLD_VERSION_MINOR, FANFOLD_VERSION_PATCH,
              static_cast<double>(alone), static_cast<double>(together), same ? "the same" : "DIFFERENT");
  return same ? 0 : 1;
}
