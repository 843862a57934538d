// Trains and evaluates small networks, many in a launch: a block each, or a team of blocks. No team reads what another
// writes.
//
// Every matrix lies in rows: activations h, their slopes and dL/dz by sample, weights by input. Columns are padded to
// four floats. In the padding h is never read, so that it may hold anything; dL/dz is zero there, and so are weights.
//
// Sums run in one order: over inputs, outputs or samples, upwards from zero. A gradient is summed first and then
// rounded once into its weight. Products that are to be fused are written as fmaf: the compiler adds none of its own
// (-fmad=false), so that the emulated device gives the same bits but for exp, log and erf.
//
// The tests compile this file for the CPU too (tests/emulator.cpp), a thread as a fiber.
#include "products.cuh"
#define PIXELS 784
#define CLASSES 10
#define TOP 12           // classes, padded

struct Images {
  const void* pixels;    // (count, PIXELS), bytes or floats
  const int* labels;
  int count, bytes;
};

struct Job {
  Images train, test;
  const int* order;      // of the training images in this epoch
  float* weights;        // a layer after the other: (inputs, outputs padded), then the bias
  float* work;           // activations, slopes, gradients: see `Net`
  float* losses;         // (steps,)
  float* found;          // (2, test.count): losses, and 1 where an image is classified right
  long long nanoseconds; // that a launch may take; the step under way is finished
  int done;              // of steps, then of pieces of the evaluation
  int steps, batch, depth, width, padded, activation, rows;
  float rate;
  int team, member;      // blocks that share the network, and which of them this is; each has a job of its own
  int arrived, over;     // of a team, in the job of its first block: see `Team`, and whether time is over
};

struct Net {
  float *h, *slope;      // (rows, PIXELS) and a (rows, padded) for each layer; a (rows, padded) for each layer
  float *g, *other;      // (rows, padded or TOP) each: dL/dz of a layer and of the one below
  float* each;           // (rows,): losses of a batch
};

#ifndef EMULATED
#define SHARED extern __shared__ float shared[]
__device__ __forceinline__ long long now() {
  long long time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}
#endif

// From the images to the logits, which are left in g.
__device__ void forward(const Team team, const Job& job, const Net& net, int rows, float* shared) {
  const float *h = net.h, *W = job.weights;
  float *next = net.h + (size_t)job.rows * PIXELS, *slope = net.slope;
  int inputs = PIXELS, ldh = PIXELS;
  const int kind = job.activation;
  for (int layer = 0; layer <= job.depth; ++layer) {
    const bool top = layer == job.depth;
    const int outputs = top ? TOP : job.padded;
    const float* bias = W + (size_t)inputs * outputs;
    float *to = top ? net.g : next, *to_slope = slope;
    multiply_weights(
        team, shared, rows, outputs, inputs, h, ldh, W,
        [=](int row, int column, float* sum) {
          float* z = to + (size_t)row * outputs + column;
#pragma unroll
          for (int j = 0; j < 4; ++j) z[j] = sum[j] + bias[column + j];
        },
        [=](int row, int column) {
          const size_t at = (size_t)row * outputs + column;
          for (int j = 0; j < 4 && !top; ++j) activate(kind, to[at + j], to[at + j], to_slope[at + j]);
        });
    W = bias + outputs;
    h = next;
    inputs = job.width;
    ldh = job.padded;
    next += (size_t)job.rows * job.padded;
    slope += (size_t)job.rows * job.padded;
  }
}

// Losses of images from their logits, a thread an image; in training logits become dL/dlogits. As for argmax, nan is
// highest.
__device__ void score(const Team team, const Net& net, int rows, const int* labels, const int* order, bool training,
                      float* losses, float* right) {
  meet(team);
  for (int b = team.first(); b < rows; b += team.stride()) {
    float* z = net.g + b * TOP;
    float high = z[0], sum = 0.f;
    int best = 0;
    for (int k = 1; k < CLASSES; ++k) {
      high = fmaxf(high, z[k]);
      if (z[k] > z[best] || (z[k] != z[k] && z[best] == z[best])) best = k;
    }
    for (int k = 0; k < CLASSES; ++k) sum += expf(z[k] - high);
    const int label = labels[order ? order[b] : b];
    losses[b] = logf(sum) - (z[label] - high);
    if (!training) {
      right[b] = best == label ? 1.f : 0.f;
      continue;
    }
    for (int k = 0; k < TOP; ++k)
      z[k] = k < CLASSES ? (expf(z[k] - high) / sum - (k == label ? 1.f : 0.f)) / (float)rows : 0.f;
  }
}

// From dL/dlogits in g to the images; every layer's weights are updated when the layer below has its slopes.
__device__ void backward(const Team team, const Job& job, Net net, int step, int rows, float* shared) {
  const int padded = job.padded, kind = job.activation;
  float* W = job.weights;
  if (job.depth) W += (size_t)(PIXELS + 1) * padded + (size_t)(job.depth - 1) * (job.width + 1) * padded;
  const auto nothing = [](int, int) {};
  for (int layer = job.depth; layer >= 0; --layer) {
    const int inputs = layer ? job.width : PIXELS, outputs = layer < job.depth ? padded : TOP;
    const int ldh = layer ? padded : PIXELS;
    const float* h = net.h + (layer ? (size_t)job.rows * (PIXELS + (size_t)(layer - 1) * padded) : 0);
    const float* slope = net.slope + (layer ? (size_t)job.rows * (layer - 1) * padded : 0);
    float* below = layer ? net.other : nullptr;
    const float *g = net.g, rate = job.rate;
    if (rows == 1) {
      descend_few<1>(team, rows, inputs, outputs, W, h, ldh, slope, g, below, padded, kind, rate);
    } else if (rows <= FEW) {
      descend_few<FEW>(team, rows, inputs, outputs, W, h, ldh, slope, g, below, padded, kind, rate);
    } else {
      if (below)
        multiply<true, true>(team, shared, rows, inputs, outputs, g, outputs, W, outputs,
                             [=](int row, int q, float* sum) {
          const size_t at = (size_t)row * padded + q;
#pragma unroll
          for (int j = 0; j < 4; ++j) below[at + j] = descended(kind, sum[j], slope[at + j]);
        }, nothing);
      multiply<false, false>(team, shared, inputs, outputs, rows, h, ldh, g, outputs,
                             [=](int q, int column, float* sum) {
        float* w = W + (size_t)q * outputs + column;
#pragma unroll
        for (int j = 0; j < 4; ++j) w[j] = fmaf(-rate, sum[j], w[j]);
      }, nothing);
    }
    for (int c = team.first(); c < outputs; c += team.stride()) {
      float sum = 0.f, *bias = W + (size_t)inputs * outputs + c;
      for (int b = 0; b < rows; ++b) sum += g[(size_t)b * outputs + c];
      *bias = fmaf(-rate, sum, *bias);
    }
    if (layer == job.depth && team.first() == team.stride() - 1) {
      double sum = 0;
      for (int b = 0; b < rows; ++b) sum += net.each[b];
      job.losses[step] = (float)(sum / rows);
    }
    net.other = net.g;
    net.g = below;
    W -= (size_t)((layer > 1 ? job.width : PIXELS) + 1) * padded;
  }
}

__device__ void load(const Team team, const Images& images, const int* order, int first, int rows, float* h) {
  for (int t = team.first(); t < rows * PIXELS; t += team.stride()) {
    const int image = first + t / PIXELS;
    const size_t at = (size_t)(order ? order[image] : image) * PIXELS + t % PIXELS;
    h[t] = images.bytes ? (float)((const unsigned char*)images.pixels)[at] / 255.f : ((const float*)images.pixels)[at];
  }
}

// Takes every job on until it is done or its time is over: the steps of an epoch, then an evaluation in pieces.
extern "C" __global__ void __launch_bounds__(THREADS, 1) train(Job* jobs) {
  SHARED;
  const Job& job = jobs[blockIdx.x];
  Job& first_of_team = jobs[(int)blockIdx.x - job.member];
  const Team team = {job.team, job.member, &first_of_team.arrived};
  const bool leads = team.first() == 0;
  // one thread decides for the whole team
  volatile int* over = team.size > 1 ? &first_of_team.over : (volatile int*)(shared + SHARED_FLOATS);
  const size_t lanes = (size_t)job.rows * job.padded, top = (size_t)job.rows * (job.padded > TOP ? job.padded : TOP);
  Net net;
  net.h = job.work;
  net.slope = net.h + (size_t)job.rows * PIXELS + job.depth * lanes;
  net.g = net.slope + job.depth * lanes;
  net.other = net.g + top;
  net.each = net.other + top;
  const int end = job.steps + (job.test.count + job.rows - 1) / job.rows;
  const long long started = leads ? now() : 0;
  int done = first_of_team.done;
  if (leads) *over = 0;
  for (;; ++done) {
    meet(team);  // weights are updated, activations may be overwritten
    if (done >= end || *over) break;
    const bool training = done < job.steps;
    const Images& images = training ? job.train : job.test;
    const int* order = training ? job.order : nullptr;
    const int first = training ? done * job.batch : (done - job.steps) * job.rows;
    const int rows = min(training ? job.batch : job.rows, images.count - first);
    load(team, images, order, first, rows, net.h);
    forward(team, job, net, rows, shared);
    score(team, net, rows, order ? images.labels : images.labels + first, order ? order + first : nullptr, training,
          training ? net.each : job.found + first, job.found + images.count + first);
    if (leads) *over = now() - started > job.nanoseconds;
    if (training) backward(team, job, net, done, rows, shared);
  }
  if (leads) first_of_team.done = done;
}
