// regs: plain : 1
// No kernel has one register: the check must refuse it.
__global__ void plain(float* x) { x[threadIdx.x] *= 2; }
