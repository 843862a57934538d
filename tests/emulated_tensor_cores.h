// What tensor_cores.cuh asks of a GPU, for the fibers of emulator.cpp: the rounding, and a product by a warp.
//
// A thread lays down its fragments, waits for its warp, and takes the rows of A and columns of B that its sums need from
// the threads that have them: by the layout that the PTX ISA draws for mma.m16n8k8 (tf32) and mma.m16n8k16 (bf16).
static inline unsigned bits_of(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return bits;
}
static inline float float_of(unsigned bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

#ifdef BF16
enum { EACH = 2 };  // factors in a word
static inline unsigned half_word(float x) {  // cvt.rn.bf16.f32: ties to even
  const unsigned bits = bits_of(x);
  return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline unsigned packed(float low, float high) { return half_word(low) | half_word(high) << 16; }
static inline float factor(unsigned word, int i) { return float_of(i ? word & 0xffff0000u : word << 16); }
#else
enum { EACH = 1 };
static inline unsigned packed(float low, float) {  // cvt.rna.tf32.f32: ties away from zero; what is below it is not read
  return low != low ? 0x7fffffffu : std::isinf(low) ? bits_of(low) : bits_of(low) + 0x1000;
}
static inline float factor(unsigned word, int) { return float_of(word & ~0x1fffu); }
#endif

struct Fragments { unsigned a[4], b[2]; };
static Fragments fragments[1024][2];  // by thread of the block that runs, and by turn

static inline void emulated_mma(float* sum, const unsigned* a, const unsigned* b, int site) {
  const int thread = self->thread.x, turn = self->turn ^= 1, first = thread / 32 * 32, lane = thread % 32;
  Fragments& mine = fragments[thread][turn];
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  rest(AT_SHUFFLE, site);
  for (int c = 0; c < 4; ++c) {
    const int group = lane / 4, column = 2 * (lane % 4) + c % 2;  // row group or group + 8 of A, column of B
    for (int word = 0; word < 8; ++word) {
      const unsigned x = fragments[first + 4 * group + word % 4][turn].a[2 * (word / 4) + c / 2];
      const unsigned y = fragments[first + 4 * column + word % 4][turn].b[word / 4];
      for (int i = 0; i < EACH; ++i) sum[c] = __builtin_fmaf(factor(x, i), factor(y, i), sum[c]);
    }
  }
}
#define mma(sum, a, b) emulated_mma(sum, a, b, 2000000 + __LINE__)

extern "C" void round_factors(float* values, int count) {
  for (int i = 0; i < count; ++i) values[i] = factor(packed(values[i], 0.f), 0);
}
