// The device of models/engines/cuda/kernels.cu on the CPU: a thread is a fiber, a barrier switches fibers.
//
// Between two barriers the threads run one after the other, each as far as it gets, in an order that the caller chooses,
// a warp after the other: what lacks a barrier comes to other bits, and threads that wait at different barriers, a hang on
// the device, are an error, and so are teams that wait for ever. Shared memory begins as nan.
//
// Compiled with -DKERNELS='"FILE"', with -DTF32 or -DBF16 for tensor cores (emulated_tensor_cores.h), with -DROUNDED to
// round what is multiplied to TF32's eleven digits.
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>
#define EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
using std::min;
struct float4 { float x, y, z, w; };
struct uint2 { unsigned x, y; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

enum { READY, AT_BARRIER, AT_SHUFFLE, LOOKING, ENDED };
struct Index { int x; };
struct Fiber {
  ucontext_t entry;
  jmp_buf place;
  bool begun;
  Index thread, block;
  int state, site;
  int turn;
  float values[2];
};
static Fiber* self;            // the one that runs
static jmp_buf scheduler;
static int dropped;            // the barrier that is left out; none below 0
static long long clock_now, clock_step;
static float* shared_of(int block);
static Fiber* fiber_of(int block, int thread);

__attribute__((noinline)) static void rest(int state, int site) {
  self->state = state;
  self->site = site;
  if (!_setjmp(self->place)) _longjmp(scheduler, 1);
}
static inline void barrier(int site) {
  if (site != dropped) rest(AT_BARRIER, site);
}
static inline float shuffle(float value, int apart, int site) {
  const int turn = self->turn ^= 1;  // what is read now is not written by the next one
  self->values[turn] = value;
  rest(AT_SHUFFLE, site);
  return fiber_of(self->block.x, self->thread.x ^ apart)->values[turn];
}
static inline int seen(const int* arrived) {  // after the other blocks had a turn
  rest(LOOKING, 0);
  return *arrived;
}
static inline int atomicAdd(int* at, int more) {
  const int before = *at;
  *at += more;
  return before;
}
#define __threadfence()  // a fiber sees at once what another has written
#define __trap() abort()
static inline long long now() { return clock_now += clock_step; }
#ifdef ROUNDED
static inline float rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x1000) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}
#define fmaf(a, b, c) __builtin_fmaf(rounded(a), rounded(b), c)
#endif
#if defined(TF32) || defined(BF16)
#include "emulated_tensor_cores.h"
#endif
enum { FIRST_SITE = __COUNTER__ };
#define __syncthreads() barrier(__COUNTER__ - FIRST_SITE - 1)
#define meet(team) (__COUNTER__ - FIRST_SITE - 1 == dropped ? (void)0 : (meet)(team))
#define __shfl_xor_sync(mask, value, apart) shuffle(value, apart, 1000000 + __LINE__)
#define threadIdx (self->thread)
#define blockIdx (self->block)
#define SHARED float* shared = shared_of(self->block.x)
#include KERNELS
enum { SITES = __COUNTER__ - FIRST_SITE - 1 };
#undef threadIdx
#undef blockIdx

static const size_t STACK = 64 * 1024;
static std::vector<Fiber> fibers;
static std::vector<std::vector<float>> shared_memory;
static char* stacks;
static size_t stacks_for;
static Job* the_jobs;
static float* shared_of(int block) { return shared_memory[(size_t)block].data(); }
static Fiber* fiber_of(int block, int thread) { return &fibers[(size_t)block * THREADS + (size_t)thread]; }

static void body() {
  train(the_jobs);
  self->state = ENDED;
  _longjmp(scheduler, 1);
}

__attribute__((noinline)) static void run(Fiber* fiber) {
  self = fiber;
  if (_setjmp(scheduler)) return;
  if (fiber->begun) _longjmp(fiber->place, 1);
  fiber->begun = true;
  setcontext(&fiber->entry);
}

enum { FORWARD, REVERSE, SHUFFLED };
static void arrange(std::vector<int>& order, int how, std::mt19937& random) {
  std::iota(order.begin(), order.end(), 0);
  if (how == REVERSE) std::reverse(order.begin(), order.end());
  if (how == SHUFFLED) std::shuffle(order.begin(), order.end(), random);
}

static bool alike(int block, int first, int count, int state) {
  const Fiber* one = fiber_of(block, first);
  return std::all_of(one, one + count, [=](const Fiber& f) { return f.state == state && f.site == one->site; });
}

enum { PARTED, WAITING, ADVANCED };

// Runs a block to its next barrier, or until a thread waits for the other blocks of its team, whatever its others have
// come to.
static int advance(int block, int how, std::mt19937& random) {
  std::vector<int> warps(WARPS), lanes(32);
  arrange(warps, how, random);
  for (int warp : warps)
    for (bool shuffling = true; shuffling;) {
      arrange(lanes, how, random);
      for (int lane : lanes) {
        Fiber* fiber = fiber_of(block, 32 * warp + lane);
        if (fiber->state == READY || fiber->state == LOOKING) run(fiber);
        if (fiber->state == LOOKING) return WAITING;
      }
      shuffling = alike(block, 32 * warp, 32, AT_SHUFFLE);
      if (shuffling)
        for (int lane : lanes) fiber_of(block, 32 * warp + lane)->state = READY;
    }
  if (alike(block, 0, THREADS, AT_BARRIER)) {
    for (int t = 0; t < THREADS; ++t) fiber_of(block, t)->state = READY;
    return ADVANCED;
  }
  for (int t = 0; t < THREADS; ++t) fiber_of(block, t)->site = 0;  // where it waited last
  return alike(block, 0, THREADS, ENDED) ? ADVANCED : PARTED;
}

static void prepare(int blocks) {
  if (stacks_for < (size_t)blocks * THREADS) {
    if (stacks) munmap(stacks, stacks_for * STACK);
    stacks_for = (size_t)blocks * THREADS;
    stacks = (char*)mmap(nullptr, stacks_for * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  shared_memory.assign((size_t)blocks, std::vector<float>(SHARED_FLOATS + 4, NAN));
  fibers.assign((size_t)blocks * THREADS, Fiber{});
  for (size_t i = 0; i < fibers.size(); ++i) {
    Fiber& fiber = fibers[i];
    fiber.block.x = (int)(i / THREADS);
    fiber.thread.x = (int)(i % THREADS);
    getcontext(&fiber.entry);
    fiber.entry.uc_stack.ss_sp = stacks + i * STACK;
    fiber.entry.uc_stack.ss_size = STACK;
    fiber.entry.uc_link = nullptr;
    makecontext(&fiber.entry, body, 0);
  }
}

// Runs all jobs. `how`: the order of blocks, warps and lanes; `ahead`: each block as far as it gets before the next
// begins, else all blocks from barrier to barrier. `nanoseconds` pass at every look at the clock. Returns 0, or 1 where
// threads part, 2 where teams wait for ever.
extern "C" int emulate(Job* jobs, int blocks, int how, int ahead, int seed, int without, long long nanoseconds) {
  static std::mutex one;  // launch at a time
  std::lock_guard<std::mutex> guard(one);
  the_jobs = jobs;
  dropped = without;
  clock_step = nanoseconds;
  prepare(blocks);
  std::mt19937 random((unsigned)seed);
  std::vector<int> order((size_t)blocks);
  for (bool going = true; going;) {
    going = false;
    bool are_waiting = false;
    arrange(order, how, random);
    for (int block : order)
      while (fiber_of(block, 0)->state != ENDED) {
        const bool has_waited = fiber_of(block, 0)->state == LOOKING;
        const int came = advance(block, how, random);
        if (came == PARTED) return 1;
        are_waiting = are_waiting || came == WAITING;
        going = going || came == ADVANCED || !has_waited;
        if (came == WAITING || !ahead) break;
      }
    if (are_waiting && !going) return 2;
  }
  return 0;
}

extern "C" int barriers() { return SITES; }
extern "C" int job_bytes() { return (int)sizeof(Job); }

// Memory that ends at a page that kills whoever touches it.
extern "C" void* guarded(size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (bytes + page - 1) / page * page;
  char* base = (char*)mmap(nullptr, inside + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  mprotect(base + inside, page, PROT_NONE);
  return base + inside - bytes;
}
extern "C" void release(void* at, size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (bytes + page - 1) / page * page;
  munmap((char*)at + bytes - inside, inside + page);
}
