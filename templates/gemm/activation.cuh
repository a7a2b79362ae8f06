// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Config::kActivation. The numerics contract of templates/README.md has the operations.
#pragma once

#include "common/types.cuh"

namespace nibble {

enum : int {
  kRelu = 1,
  kSquaredRelu = 2,
  kGeluTanh = 3,
  kGeluErf = 4,
  kSilu = 5,
};

// A NaN stays one.
__device__ inline float relu(float v) { return v < 0.0f ? 0.0f : v; }

// v / (1 + exp(-x)).
__device__ inline float times_sigmoid(float v, float x) {
  return __fdividef(v, __fadd_rn(1.0f, expf(-x)));
}

template <int kActivation>
__device__ float activate(float v) {
  static_assert(kActivation >= 0 && kActivation <= 5, "kActivation: 0 to 5, as enum Activation");
  if constexpr (kActivation == kRelu) {
    return relu(v);
  } else if constexpr (kActivation == kSquaredRelu) {
    return __fmul_rn(relu(v), relu(v));
  } else if constexpr (kActivation == kGeluTanh) {
    // (v / 2) (1 + tanh u) = v / (1 + exp(-2u)), and u = sqrt(2 / pi) (v + 0.044715 v^3)
    constexpr float kLinear = 1.5957691216057308f;           // 2 sqrt(2 / pi)
    constexpr float kCubic = 1.5957691216057308 * 0.044715;  // rounded once
    return times_sigmoid(v, __fmul_rn(v, __fmaf_rn(kCubic, __fmul_rn(v, v), kLinear)));
  } else if constexpr (kActivation == kGeluErf) {
    const float half = __fmul_rn(0.5f, v);
    return __fmaf_rn(half, erff(__fmul_rn(v, 0.70710678118654752f)), half);
  } else if constexpr (kActivation == kSilu) {
    return times_sigmoid(v, v);
  } else {
    return v;
  }
}

}  // namespace nibble
