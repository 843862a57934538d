// The products in tiles of products.cuh by tensor cores (sm_80 and later): factors rounded to TF32 or bf16, sums float32.
//
// A word of shared memory is one factor in TF32, or two neighbours of a sum in bf16. With words the two are alike: a
// product of 16 rows, 8 words deep and 8 columns by a warp, in which the thread of `lane` has
//
//   of A, (16, 8) words    rows lane / 4 and lane / 4 + 8, words lane % 4 and lane % 4 + 4
//   of B, (8, 8) words     words lane % 4 and lane % 4 + 4, column lane / 4
//   of the sums, (16, 8)   rows lane / 4 and lane / 4 + 8, columns 2 * (lane % 4) and the next
//
// (PTX ISA, fragments of mma.m16n8k8 for tf32 and mma.m16n8k16 for bf16.) Which row and column of a tile these stand for
// is free: rows x and x + 8 are neighbours here, and so are column x of two products, so that a thread reads pairs and
// has four columns of a row in the end.
#pragma once
#ifdef BF16
#define FACTORS 2        // in a word
#else
#define FACTORS 1
#endif
#define WORDS 16         // of a sum that are in shared memory at once
#define GAP 8            // words behind a row of them: threads of a warp then meet in no bank

#ifndef EMULATED
// Rounded to nearest. TF32: ties away from zero, the one such rounding that sm_80 has; bf16: ties to even.
__device__ __forceinline__ unsigned packed(float low, float high) {
  unsigned word;
#ifdef BF16
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
#else
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(low));
#endif
  return word;
}

// Adds a product to the sums of a warp; all of its threads come here together.
__device__ __forceinline__ void mma(float* sum, const unsigned* a, const unsigned* b) {
#ifdef BF16
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// `to[w * (WIDE + GAP) + x]` from rows of k, or, FLIPPED, from rows of x; zero outside
template <int WIDE, bool FLIPPED>
__device__ __forceinline__ void stage(unsigned* to, const float* from, int ld, int x0, int k0, int xs, int ks) {
  for (int t = threadIdx.x; t < WORDS * WIDE; t += THREADS) {
    const int lane = t % 32, rest = t / 32;
    const int w = FLIPPED ? lane % 4 + rest % (WORDS / 4) * 4 : t / WIDE;
    const int x = FLIPPED ? lane / 4 + rest / (WORDS / 4) * 8 : t % WIDE;
    float found[2] = {};
#pragma unroll
    for (int i = 0; i < FACTORS; ++i) {
      const int k = k0 + w * FACTORS + i;
      if (x0 + x < xs && k < ks) found[i] = from[FLIPPED ? (size_t)(x0 + x) * ld + k : (size_t)k * ld + x0 + x];
    }
    to[w * (WIDE + GAP) + x] = packed(found[0], found[1]);
  }
}

// What the tiles of products.cuh do, with the same arguments. A warp has a part of the tile, of TALL x 16 rows and
// BROAD x 16 columns; a thread's sums[i][j][c] are two products with the same rows, whose columns take turns.
template <int R, bool FLIPPED_A, bool FLIPPED_B, class Done, class Finish>
__device__ void tiles(const Team team, float* shared, int M, int N, int K, const float* A, int lda, const float* B,
                      int ldb, Done done, Finish finish) {
  constexpr int HIGH = 16 * R, DOWN = R > 1 ? 2 : 1, ACROSS = WARPS / DOWN, TALL = R / DOWN, BROAD = SPAN / ACROSS / 16;
  unsigned *as = (unsigned*)shared, *bs = as + WORDS * (HIGH + GAP);
  const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, place = threadIdx.x % 4;
  const int top = warp / ACROSS * TALL * 16, left = warp % ACROSS * BROAD * 16;
  const int across = (N + SPAN - 1) / SPAN, all = (M + HIGH - 1) / HIGH * across;
  if (team.size > 1) meet(team);
  for (int tile = team.member; tile < all; tile += team.size) {
    const int m0 = tile / across * HIGH, n0 = tile % across * SPAN;
    float sums[TALL][BROAD][2][4] = {};
    for (int k0 = 0; k0 < K; k0 += WORDS * FACTORS) {
      __syncthreads();
      stage<HIGH, FLIPPED_A>(as, A, lda, m0, k0, M, K);
      stage<SPAN, FLIPPED_B>(bs, B, ldb, n0, k0, N, K);
      __syncthreads();
      if (m0 + top >= M || n0 + left >= N) continue;  // a whole warp
#pragma unroll
      for (int w = place; w < WORDS; w += 8) {
        unsigned a[TALL][4], b[BROAD][2][2];
#pragma unroll
        for (int later = 0; later < 2; ++later) {
#pragma unroll
          for (int i = 0; i < TALL; ++i) {
            const uint2 pair = *(const uint2*)(as + (w + 4 * later) * (HIGH + GAP) + top + 16 * i + 2 * group);
            a[i][2 * later] = pair.x;
            a[i][2 * later + 1] = pair.y;
          }
#pragma unroll
          for (int j = 0; j < BROAD; ++j) {
            const uint2 pair = *(const uint2*)(bs + (w + 4 * later) * (SPAN + GAP) + left + 16 * j + 2 * group);
            b[j][0][later] = pair.x;
            b[j][1][later] = pair.y;
          }
        }
#pragma unroll
        for (int i = 0; i < TALL; ++i)
#pragma unroll
          for (int j = 0; j < BROAD; ++j) {
            mma(sums[i][j][0], a[i], b[j][0]);
            mma(sums[i][j][1], a[i], b[j][1]);
          }
      }
    }
#pragma unroll
    for (int i = 0; i < TALL; ++i)
#pragma unroll
      for (int j = 0; j < BROAD; ++j)
#pragma unroll
        for (int next = 0; next < 2; ++next) {
          const int row = m0 + top + 16 * i + 2 * group + next, column = n0 + left + 16 * j + 4 * place;
          float(&c)[2][4] = sums[i][j];
          float four[4] = {c[0][2 * next], c[1][2 * next], c[0][2 * next + 1], c[1][2 * next + 1]};
          if (row < M && column < N) done(row, column, four);
        }
#pragma unroll 1
    for (int i = 0; i < 2 * TALL * BROAD; ++i) {
      const int row = m0 + top + 16 * (i / 2 / BROAD) + 2 * group + i % 2;
      const int column = n0 + left + 16 * (i / 2 % BROAD) + 4 * place;
      if (row < M && column < N) finish(row, column);
    }
  }
}
