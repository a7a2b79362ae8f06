// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the quantised formats differ in: elements of a block, bits of a code, the block's scale.
#pragma once

#include "common/types.cuh"
#include "nvfp4/four_over_six.cuh"
#include "nvfp4/mx_scale.cuh"
#include "nvfp4/scale.cuh"

namespace nibble {

template <int kFormat>
struct BlockFormat;

template <>
struct BlockFormat<kNvfp4> {
  static constexpr int kBlock = 16;
  static constexpr int kCodeBits = 4;
  static constexpr bool kHasTensorScale = true;
  static constexpr bool kChooses = false;  // a block's scale is chosen by errors, too
  using Tensor = TensorScale;

  __device__ static Tensor tensor(const float* amax) { return tensor_scale(*amax); }
  __device__ static uint32_t scale(float amax, const Tensor& tensor) {
    return ptx::cvt_rn_satfinite_e4m3x2_f32(0.0f, __fmul_rn(amax, tensor.block_step));
  }
  __device__ static float factor(uint8_t scale, const Tensor& tensor) {
    return encode_factor(scale, tensor);
  }
  // The scales of two blocks, one in each byte.
  __device__ static uint32_t scales(float amax0, float amax1, const Tensor& tensor) {
    return ptx::cvt_rn_satfinite_e4m3x2_f32(__fmul_rn(amax1, tensor.block_step),
                                            __fmul_rn(amax0, tensor.block_step));
  }
  // Those of four.
  __device__ static uint32_t scales(const float (&amax)[4], const Tensor& tensor) {
    float scaled[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) scaled[i] = __fmul_rn(amax[i], tensor.block_step);
    return ptx::cvt_rn_satfinite_e4m3x4_f32(scaled);
  }
};

template <>
struct BlockFormat<kFourOverSix> : BlockFormat<kNvfp4> {
  static constexpr bool kChooses = true;
  using Tensor = FourOverSixScale;
  using Choice = FourOverSixChoice;

  __device__ static Tensor tensor(const float* amax) { return four_over_six_scale(*amax); }
  __device__ static uint32_t scale(float amax, const Tensor& tensor) {
    return four_over_six_scales(amax, tensor) & 0xffu;
  }
  __device__ static uint32_t scales(float amax0, float amax1, const Tensor& tensor) {
    return scale(amax0, tensor) | scale(amax1, tensor) << 8;
  }
};

struct NoTensorScale {};

template <int kBits>
struct MxFormat {
  static constexpr int kBlock = 32;
  static constexpr int kCodeBits = kBits;
  static constexpr bool kHasTensorScale = false;
  static constexpr bool kChooses = false;
  using Tensor = NoTensorScale;

  __device__ static Tensor tensor(const float*) { return {}; }
  __device__ static uint32_t scale(float amax, const Tensor&) {
    return kBits == 4 ? mx_scale(amax) : mxfp8_scale(amax);
  }
  __device__ static float factor(uint8_t scale, const Tensor&) { return mx_encode_factor(scale); }
  __device__ static uint32_t scales(float amax0, float amax1, const Tensor& tensor) {
    return scale(amax0, tensor) | scale(amax1, tensor) << 8;
  }
  __device__ static uint32_t scales(const float (&amax)[4], const Tensor& tensor) {
    return scales(amax[0], amax[1], tensor) | scales(amax[2], amax[3], tensor) << 16;
  }
};

template <>
struct BlockFormat<kMxfp4> : MxFormat<4> {};
template <>
struct BlockFormat<kMxfp8> : MxFormat<8> {};

}  // namespace nibble
