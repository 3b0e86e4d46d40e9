#include <chrono>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "support/bench.hpp"

namespace {

bool smoke_run = false, cpu_clock = false;

std::string peers() {
  std::string names;
#ifdef BENCH_OPENBLAS
  names += "OpenBLAS ";
#endif
#ifdef BENCH_TBB
  names += "oneTBB ";
#endif
#ifdef BENCH_THRUST
  names += "Thrust-OMP ";
#endif
#ifdef BENCH_TORCH
  names += "libtorch ";
#endif
#ifdef BENCH_RANDOM123
  names += "Random123 ";
#endif
  return names.empty() ? "none found; cases that need them are skipped" : names + "(others were not found, their cases are skipped)";
}

}  // namespace

bool bench::smoke() { return smoke_run; }

double bench::now() {
  if (cpu_clock) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char** argv) {
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0)
      smoke_run = true;
    else if (std::strcmp(argv[i], "--cpu") == 0)
      cpu_clock = true;
    else
      rest.push_back(argv[i]);
  }
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  benchmark::AddCustomContext("optional peers", peers());
  bench::register_cases();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
