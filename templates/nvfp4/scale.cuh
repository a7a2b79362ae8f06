// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The two levels of NVFP4 scales. Every line is one correctly rounded fp32 operation; the order is
// the numerics contract of templates/README.md.
#pragma once

#include "common/types.cuh"
#include "ptx/convert.cuh"

namespace nibble {

template <class = void>
constexpr float kMaxFloat = 0x1.fffffep127f;
template <class = void>
constexpr float kMaxScaled = 2688.0f;  // largest E2M1 (6) times largest E4M3 (448)

struct TensorScale {
  float decode;      // of the encode scale 2688 / amax: its inverse
  float block_step;  // encode scale / 6: an amax of a block times this is the block's scale
};

// What maps the tensor's amax to `most`.
__device__ inline float encode_scale(float amax, float most) {
  const float encode = fminf(__fdiv_rn(most, fabsf(amax)), kMaxFloat<>);
  return amax == 0.0f || encode == 0.0f ? 1.0f : encode;
}

__device__ inline TensorScale tensor_scale(float amax) {
  const float encode = encode_scale(amax, kMaxScaled<>);
  return {__frcp_rn(encode), __fmul_rn(encode, 1.0f / 6.0f)};
}

// amax of the block to its E4M3 scale.
__device__ inline uint8_t block_scale(float amax, const TensorScale& tensor) {
  return static_cast<uint8_t>(
      ptx::cvt_rn_satfinite_e4m3x2_f32(0.0f, __fmul_rn(amax, tensor.block_step)));
}

__device__ inline float e4m3_decode(uint8_t scale) {
  return ptx::cvt_f32_f16(static_cast<uint16_t>(ptx::cvt_rn_f16x2_e4m3x2(scale)));
}

// What the elements of a block are multiplied by before they are rounded to E2M1.
__device__ inline float encode_factor(uint8_t scale, const TensorScale& tensor) {
  return fminf(__frcp_rn(__fmul_rn(e4m3_decode(scale), tensor.decode)), kMaxFloat<>);
}

// What the values of a block's codes are multiplied by; most: what the tensor's amax was mapped to.
__device__ inline float decode_factor(uint8_t scale, float amax, float most = kMaxScaled<>) {
  return __fmul_rn(__fmul_rn(e4m3_decode(scale), fabsf(amax)), 1.0f / most);
}

}  // namespace nibble
