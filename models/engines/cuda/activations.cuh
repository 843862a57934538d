// What a hidden layer makes of its sums, and of the slopes that come back to it: ReLU 0, Sigmoid 1, GELU 2.
#pragma once

__device__ __forceinline__ void activate(int kind, float z, float& h, float& slope) {
  if (kind == 0) {
    h = z > 0.f || z != z ? z : 0.f;
    slope = z > 0.f ? 1.f : 0.f;
  } else if (kind == 1) {
    h = 1.f / (1.f + expf(-z));
    slope = h * (1.f - h);
  } else {
    const float below = 0.5f * (1.f + erff(z * 0.70710678118654752f));
    h = z * below;
    slope = fmaf(z * 0.39894228040143268f, expf(-0.5f * z * z), below);
  }
}

// dL/dz from dL/dh. What ReLU has cut off is zero even where dL/dh is infinite, as it is for autograd.
__device__ __forceinline__ float descended(int kind, float g, float slope) {
  return kind == 0 && slope == 0.f ? 0.f : g * slope;
}
