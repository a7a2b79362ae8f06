// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Four over six: NVFP4 whose blocks are scaled so that their amax becomes 6, or 4 where that makes
// the smaller sum of squared errors. Cook et al., arXiv 2512.02010; exactly: the numerics contract.
#pragma once

#include "nvfp4/scale.cuh"
#include "ptx/shuffle.cuh"

namespace nibble {

constexpr float kMaxScaledFourOverSix = 1536.0f;  // 6 * 256: a scale 1.5 times as large fits E4M3

struct FourOverSixScale : TensorScale {
  float encode;  // 1536 / amax
};

__device__ inline FourOverSixScale four_over_six_scale(float amax) {
  const float encode = encode_scale(amax, kMaxScaledFourOverSix);
  return {{__frcp_rn(encode), 0.0f}, encode};
}

// The scales of a block that map `amax` to 6 (byte 0) and to 4 (byte 1).
__device__ inline uint32_t four_over_six_scales(float amax, const FourOverSixScale& tensor) {
  const float base = __fmul_rn(__fdiv_rn(amax, 6.0f), tensor.encode);
  return ptx::cvt_rn_satfinite_e4m3x2_f32(__fmul_rn(base, 1.5f), base);
}

// Both scales of a block and the errors of its elements so far. Errors are whole numbers: their sum
// is the same in any order, so that threads can share a block.
class FourOverSixChoice {
 public:
  __device__ FourOverSixChoice(float amax, const FourOverSixScale& tensor)
      : scales_(four_over_six_scales(amax, tensor)) {
    const float six = e4m3_decode(static_cast<uint8_t>(scales_));
    const float four = e4m3_decode(static_cast<uint8_t>(scales_ >> 8));
    // 2^10 to the larger scale's power of two; errors do not differ where that is 0.
    const float unit = __uint_as_float((264u << 23) - (__float_as_uint(four) & 0x7f800000u));
    unit_ = __fmul_rn(tensor.encode, unit);
    candidate_[0] = {encode_factor(static_cast<uint8_t>(scales_), tensor), six * unit, 0};
    candidate_[1] = {encode_factor(static_cast<uint8_t>(scales_ >> 8), tensor), four * unit, 0};
  }

  __device__ void add(float x) {
    const float exact = __fmul_rn(fabsf(x), unit_);
#pragma unroll
    for (Candidate& some : candidate_) {
      const float code = nearest_e2m1(__fmul_rn(fabsf(x), some.factor));
      const float d = __fmaf_rn(code, some.scale, -exact);
      constexpr float kMost = 8388607.0f;  // NaN too
      const float error = __fadd_rn(fminf(__fmul_rn(d, d), kMost), kMost + 1.0f);
      some.error += __float_as_uint(error) - __float_as_uint(kMost + 1.0f);
    }
  }

  // Those of the other lanes that share the block: of lane ^ 1, 2 .. kLanes / 2.
  template <int kLanes>
  __device__ void add_lanes() {
#pragma unroll
    for (int mask = 1; mask < kLanes; mask *= 2) {
#pragma unroll
      for (Candidate& some : candidate_) some.error += ptx::shfl_sync_bfly_b32(some.error, mask);
    }
  }

  __device__ uint32_t scale() const {
    return candidate_[1].error < candidate_[0].error ? scales_ >> 8 : scales_ & 0xffu;
  }

 private:
  struct Candidate {
    float factor;  // of elements on their way to codes
    float scale;   // of codes, in units of errors
    uint32_t error;
  };

  // The magnitude of E2M1 nearest to a >= 0, ties to the even code, saturating; 6 for NaN.
  __device__ static float nearest_e2m1(float a) {
    // Adding it rounds to steps of 1/2, 1 or 2.
    const float round = a < 2.0f ? 0x1.8p22f : a < 4.0f ? 0x1.8p23f : 0x1.8p24f;
    return fminf(__fsub_rn(__fadd_rn(a, round), round), 6.0f);
  }

  const uint32_t scales_;
  float unit_;  // of elements
  Candidate candidate_[2];
};

}  // namespace nibble
