// Products of matrices in rows, as a team computes them: in tiles, or for a few samples in one pass over the weights.
//
// Every product begins with a barrier. What came before it is then visible, and shared memory is free.
#include "activations.cuh"
#define THREADS 256
#define WARPS (THREADS / 32)
#define FEW 8            // samples up to which weights are streamed once, instead of multiplied in tiles
#define SPAN 128         // columns of a tile
#define DEEP 16          // terms of a sum that are in shared memory at once
#define SHARED_FLOATS (WARPS * FEW * SPAN)
#include "teams.cuh"

#if defined(TF32) || defined(BF16)
#include "tensor_cores.cuh"
#else
// `to[k * (WIDE + 4) + x]` from rows of k, or, FLIPPED, from rows of x; zero outside
template <int WIDE, bool FLIPPED>
__device__ __forceinline__ void stage(float* to, const float* from, int ld, int x0, int k0, int xs, int ks) {
  for (int t = threadIdx.x; t < DEEP * WIDE; t += THREADS) {
    const int k = FLIPPED ? t % DEEP : t / WIDE, x = FLIPPED ? t / DEEP : t % WIDE;
    const bool inside = x0 + x < xs && k0 + k < ks;
    const size_t at = FLIPPED ? (size_t)(x0 + x) * ld + k0 + k : (size_t)(k0 + k) * ld + x0 + x;
    to[k * (WIDE + 4) + x] = inside ? from[at] : 0.f;
  }
}

// done(row, column, sums of four columns) for sums[m][n] = sum over k of A[k][m] B[k][n]; FLIPPED: [m][k], [n][k].
// A thread has R rows and eight columns. finish(row, column) is called when its sums are where they belong: from one
// place, while what is long in done would be so sixteen times.
template <int R, bool FLIPPED_A, bool FLIPPED_B, class Done, class Finish>
__device__ void tiles(const Team team, float* shared, int M, int N, int K, const float* A, int lda, const float* B,
                      int ldb, Done done, Finish finish) {
  const int HIGH = 16 * R;
  float *as = shared, *bs = shared + DEEP * (HIGH + 4);
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int across = (N + SPAN - 1) / SPAN, all = (M + HIGH - 1) / HIGH * across;
  if (team.size > 1) meet(team);
  for (int tile = team.member; tile < all; tile += team.size) {
    const int m0 = tile / across * HIGH, n0 = tile % across * SPAN;
    float sum[R][8] = {};
    for (int k0 = 0; k0 < K; k0 += DEEP) {
      __syncthreads();
      stage<HIGH, FLIPPED_A>(as, A, lda, m0, k0, M, K);
      stage<SPAN, FLIPPED_B>(bs, B, ldb, n0, k0, N, K);
      __syncthreads();
      if (m0 + y * R >= M || n0 + 4 * x >= N) continue;
#pragma unroll 4
      for (int k = 0; k < DEEP; ++k) {
        const float4 low = *(const float4*)(bs + k * (SPAN + 4) + 4 * x);
        const float4 high = *(const float4*)(bs + k * (SPAN + 4) + SPAN / 2 + 4 * x);
        const float b[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < R; ++i) {
          const float a = as[k * (HIGH + 4) + y * R + i];
#pragma unroll
          for (int j = 0; j < 8; ++j) sum[i][j] = fmaf(a, b[j], sum[i][j]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = m0 + y * R + i, column = n0 + half * (SPAN / 2) + 4 * x;
        if (row < M && column < N) done(row, column, sum[i] + 4 * half);
      }
#pragma unroll 1
    for (int i = 0; i < 2 * R; ++i) {
      const int row = m0 + y * R + i / 2, column = n0 + i % 2 * (SPAN / 2) + 4 * x;
      if (row < M && column < N) finish(row, column);
    }
  }
}
#endif

template <bool FLIPPED_A, bool FLIPPED_B, class Done, class Finish>
__device__ void multiply(const Team team, float* shared, int M, int N, int K, const float* A, int lda, const float* B,
                         int ldb, Done done, Finish finish) {
  const int across = (N + SPAN - 1) / SPAN;  // and tiles as high as there are enough of for the team
  if (M <= 16 || (M + 63) / 64 * across < team.size)
    tiles<1, FLIPPED_A, FLIPPED_B>(team, shared, M, N, K, A, lda, B, ldb, done, finish);
  else if (M <= 64 || (M + 127) / 128 * across < team.size)
    tiles<4, FLIPPED_A, FLIPPED_B>(team, shared, M, N, K, A, lda, B, ldb, done, finish);
  else
    tiles<8, FLIPPED_A, FLIPPED_B>(team, shared, M, N, K, A, lda, B, ldb, done, finish);
}

// The same for up to R samples, A[m][k] and B[k][n]: every warp takes a slice of k, and the slices are summed in order.
template <int R, class Done, class Finish>
__device__ void multiply_few(const Team team, float* shared, int M, int N, int K, const float* A, int lda,
                             const float* B, int ldb, Done done, Finish finish) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = (K + WARPS - 1) / WARPS;
  const int first = warp * part, last = min(K, first + part);
  if (team.size > 1) meet(team);
  for (int n0 = SPAN * team.member; n0 < N; n0 += SPAN * team.size) {
    float sum[R][4] = {};
    __syncthreads();
    if (n0 + 4 * lane < N)
#pragma unroll 4
      for (int k = first; k < last; ++k) {
        const float4 b = *(const float4*)(B + (size_t)k * ldb + n0 + 4 * lane);
#pragma unroll
        for (int i = 0; i < R; ++i) {
          const float a = A[(size_t)min(i, M - 1) * lda + k];
          sum[i][0] = fmaf(a, b.x, sum[i][0]);
          sum[i][1] = fmaf(a, b.y, sum[i][1]);
          sum[i][2] = fmaf(a, b.z, sum[i][2]);
          sum[i][3] = fmaf(a, b.w, sum[i][3]);
        }
      }
#pragma unroll
    for (int i = 0; i < R; ++i)
      *(float4*)(shared + (warp * R + i) * SPAN + 4 * lane) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    __syncthreads();
    for (int t = threadIdx.x; t < M * 32; t += THREADS) {
      const int row = t / 32, column = 4 * (t % 32);
      float total[4] = {};
#pragma unroll
      for (int w = 0; w < WARPS; ++w)
#pragma unroll
        for (int j = 0; j < 4; ++j) total[j] += shared[(w * R + row) * SPAN + column + j];
      if (n0 + column >= N) continue;
      done(row, n0 + column, total);
      finish(row, n0 + column);
    }
  }
}

// The weights of a layer applied to samples: (rows, inputs) to (rows, outputs).
template <class Done, class Finish>
__device__ void multiply_weights(const Team team, float* shared, int rows, int outputs, int inputs, const float* h,
                                 int ldh, const float* W, Done done, Finish finish) {
  if (rows == 1) multiply_few<1>(team, shared, rows, outputs, inputs, h, ldh, W, outputs, done, finish);
  else if (rows <= FEW) multiply_few<FEW>(team, shared, rows, outputs, inputs, h, ldh, W, outputs, done, finish);
  else multiply<true, false>(team, shared, rows, outputs, inputs, h, ldh, W, outputs, done, finish);
}

// A row of weights in one go, for up to R samples: dL/dh below from the weights as they were, and their update.
template <int R>
__device__ void descend_few(const Team team, int rows, int inputs, int outputs, float* W, const float* h, int ldh,
                            const float* slope, const float* g, float* below, int ldb, int kind, float rate) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  meet(team);
  for (int q = team.member * WARPS + warp; q < inputs; q += team.size * WARPS) {
    float x[R], dot[R] = {};
    bool any = below != nullptr;
#pragma unroll
    for (int i = 0; i < R; ++i) {
      x[i] = i < rows ? h[(size_t)i * ldh + q] : 0.f;
      any = any || x[i] != 0.f;
    }
    if (!any) continue;  // half of the pixels are zero
    for (int c = 4 * lane; c < outputs; c += SPAN) {
      const float4 w = *(const float4*)(W + (size_t)q * outputs + c);
      float d[4] = {};
#pragma unroll
      for (int i = 0; i < R; ++i)
        if (i < rows) {
          const float4 v = *(const float4*)(g + (size_t)i * outputs + c);
          dot[i] = fmaf(v.w, w.w, fmaf(v.z, w.z, fmaf(v.y, w.y, fmaf(v.x, w.x, dot[i]))));
          d[0] = fmaf(x[i], v.x, d[0]);
          d[1] = fmaf(x[i], v.y, d[1]);
          d[2] = fmaf(x[i], v.z, d[2]);
          d[3] = fmaf(x[i], v.w, d[3]);
        }
      *(float4*)(W + (size_t)q * outputs + c) =
          make_float4(fmaf(-rate, d[0], w.x), fmaf(-rate, d[1], w.y), fmaf(-rate, d[2], w.z), fmaf(-rate, d[3], w.w));
    }
    if (below)
#pragma unroll
      for (int i = 0; i < R; ++i)
        if (i < rows) {  // all lanes alike
          for (int apart = 16; apart; apart /= 2) dot[i] += __shfl_xor_sync(0xffffffffu, dot[i], apart);
          if (lane == 0) below[(size_t)i * ldb + q] = descended(kind, dot[i], slope[(size_t)i * ldb + q]);
        }
  }
  if (below)
    for (int t = team.first(); t < rows * (ldb - inputs); t += team.stride())  // the layer below reads whole vectors
      below[(size_t)(t / (ldb - inputs)) * ldb + inputs + t % (ldb - inputs)] = 0.f;
}
