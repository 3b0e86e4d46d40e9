// ptx: plain : ld\.global\.nc\.v4
// A kernel without vector loads: the check must refuse it.
__global__ void plain(float* x) { x[threadIdx.x] *= 2; }
