// Ensembles: combine what several models say, and measure it with mergeable metrics.

// [ensemble]
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/ensemble/metrics/calibration.hpp"
#include "fanfold/ensemble/metrics/quality.hpp"
#include "fanfold/ensemble/output.hpp"

namespace ff = fanfold;

int main() {
  // logits of three models for four samples of three classes, and the truth
  constexpr std::int64_t models = 3, samples = 4, classes = 3;
  std::vector<float> const logits{2.0f, 0.0f, 0.0f,  0.0f, 2.0f, 0.0f,   0.0f, 0.5f, 0.0f,  1.0f, 0.0f, 0.0f,   // model 0
                                  1.0f, 0.5f, 0.0f,  0.5f, 0.0f, 0.0f,   0.0f, 0.0f, 3.0f,  0.0f, 0.0f, 1.0f,   // model 1
                                  0.0f, 1.0f, 0.0f,  0.0f, 1.0f, 0.0f,   0.0f, 0.0f, 1.0f,  2.0f, 0.0f, 0.0f};  // model 2
  std::vector<std::int32_t> const labels{0, 1, 2, 0};
  auto const members = ff::ensemble::stacked_members(ff::matrix_view<float const>(logits.data(), models * samples, classes), models);

  std::vector<float> memory(samples * classes);
  ff::matrix_view<float> const out(memory.data(), samples, classes);
  auto const report = [&](char const* name) {
    std::printf("%-20s accuracy %.2f, log loss %.4f, Brier %.4f, calibration error %.4f\n", name, ff::ensemble::evaluate(ff::ensemble::accuracy{}, out, labels),
                ff::ensemble::evaluate(ff::ensemble::negative_log_likelihood{}, out, labels), ff::ensemble::evaluate(ff::ensemble::brier_score{}, out, labels),
                ff::ensemble::evaluate(ff::ensemble::calibration<float, 10>{}, out, labels).expected);
  };
  std::vector<float> const alone{1, 0, 0}, trust{0.2f, 0.3f, 0.5f};
  ff::ensemble::output(ff::ensemble::mean_probability{}, members, alone, out);
  report("model 0 alone");
  ff::ensemble::output(ff::ensemble::mean_probability{}, members, ff::view<float const>(), out);
  report("mean probability");
  ff::ensemble::output(ff::ensemble::mean_logit{}, members, trust, out);
  report("mean logit, weighted");
  ff::ensemble::output(ff::ensemble::majority_vote{}, members, trust, out);
  report("weighted vote");
}
// [/ensemble]

// output:
// model 0 alone        accuracy 0.75, log loss 0.5812, Brier 0.3030, calibration error 0.3254
// mean probability     accuracy 1.00, log loss 0.6183, Brier 0.3252, calibration error 0.4602
// mean logit, weighted accuracy 1.00, log loss 0.6198, Brier 0.3264, calibration error 0.4539
// weighted vote        accuracy 1.00, log loss 0.0000, Brier 0.0000, calibration error 0.0000
