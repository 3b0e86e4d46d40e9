// regs: too_much : 200
// A kernel that keeps an array in local memory: the check must refuse it.
__global__ void too_much(float* x, int n) {
  float local[64];
  for (int i = 0; i < 64; ++i) local[i] = x[i] * 2;
  for (int i = 0; i < n; ++i) x[i] = local[static_cast<int>(x[64 + i])];
}
