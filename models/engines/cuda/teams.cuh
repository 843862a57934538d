// Blocks that train one network together. Each computes some of the tiles, columns or rows of every product, and every
// sum is one block's alone: whatever the size of the team, the bits are the same.
#pragma once

struct Team {
  int size, member;      // the blocks of a team lie side by side, and all blocks of a launch run at once
  int* arrived;          // how often one of them has come to a barrier, in this launch
  __device__ __forceinline__ int first() const { return member * THREADS + (int)threadIdx.x; }
  __device__ __forceinline__ int stride() const { return size * THREADS; }
};

#ifndef EMULATED
__device__ __forceinline__ int seen(const int* arrived) { return *(const volatile int*)arrived; }
#endif
#define PATIENCE (1 << 27)  // looks, a minute or more: a team that waits so long is an error, and no hang of the device

// A barrier of the whole team: what its blocks have written before, each may read afterwards. (In brackets, since the
// tests put a macro in its place.)
__device__ void (meet)(const Team team) {
  if (team.size == 1) {
    __syncthreads();
    return;
  }
  __syncthreads();  // what the other threads have written goes with the fence of the first one
  if (threadIdx.x == 0) {
    __threadfence();
    const int round = atomicAdd(team.arrived, 1) / team.size;
    for (int looks = 0; seen(team.arrived) < (round + 1) * team.size; ++looks)
      if (looks == PATIENCE) __trap();
    __threadfence();
  }
  __syncthreads();
}
