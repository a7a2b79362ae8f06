// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The scale of one block, as the numerics contract says it for each format.
#pragma once

#include "trusted/numbers.cuh"

namespace nibble::trusted {

template <int kFormat>
class BlockScale;

// kMost: the largest magnitude of a code.
template <class CodeFormat, int kMost>
class MxBlockScale {
 public:
  static constexpr int kBlock = 32;
  using Code = CodeFormat;

  // amax: of the block.
  __device__ MxBlockScale(float amax, const float*)
      : byte_(e8m0_above(__fmul_rn(amax, 1.0f / kMost))) {}
  __device__ int byte() const { return byte_; }
  __device__ float factor() const { return static_cast<float>(power_of_two(127 - byte_)); }

 private:
  int byte_;
};
template <>
class BlockScale<kMxfp4> : public MxBlockScale<E2m1, 6> {
  using MxBlockScale::MxBlockScale;
};
template <>
class BlockScale<kMxfp8> : public MxBlockScale<E4m3, 448> {
  using MxBlockScale::MxBlockScale;
};

// S_enc and S_dec of the contract; `most`: what amax becomes, 6 times a scale.
struct TensorFactor {
  float encode, decode;

  __device__ TensorFactor(float amax, float most) {
    encode = fminf(__fdiv_rn(most, fabsf(amax)), kLargestFloat);
    if (amax == 0 || encode == 0) encode = 1;
    decode = __frcp_rn(encode);
  }
  // enc of a block of this scale.
  __device__ float factor(int byte) const {
    return fminf(__frcp_rn(__fmul_rn(E4m3::magnitude(byte), decode)), kLargestFloat);
  }
};

template <>
class BlockScale<kNvfp4> {
 public:
  static constexpr int kBlock = 16;
  using Code = E2m1;

  __device__ BlockScale(float amax, const float* tensor_amax) : tensor_(*tensor_amax, 2688.0f) {
    byte_ = E4m3::nearest(__fmul_rn(amax, __fmul_rn(tensor_.encode, 1.0f / 6.0f)));
  }
  __device__ int byte() const { return byte_; }
  __device__ float factor() const { return tensor_.factor(byte_); }

 private:
  TensorFactor tensor_;
  int byte_;
};

template <>
class BlockScale<kFourOverSix> {
 public:
  static constexpr int kBlock = 16;
  using Code = E2m1;

  __device__ BlockScale(float amax, const float* tensor_amax) : tensor_(*tensor_amax, 1536.0f) {
    const float base = __fmul_rn(__fdiv_rn(amax, 6.0f), tensor_.encode);
    six_ = E4m3::nearest(base);
    four_ = E4m3::nearest(__fmul_rn(base, 1.5f));
    // 2^(10 - e), where 2^e is the power of two in the larger scale; S_4 = 0: no error differs.
    int exponent = -9;
#pragma unroll 1
    while (exponent < 8 && E4m3::steps(four_) >> (exponent + 10) != 0) ++exponent;
    unit_ = static_cast<float>(power_of_two(10 - exponent));
  }
  __device__ void add_errors(float x) {
    error_of_six_ += error(x, six_);
    error_of_four_ += error(x, four_);
  }
  // After the errors of all elements of the block.
  __device__ void choose() { byte_ = error_of_four_ < error_of_six_ ? four_ : six_; }
  __device__ int byte() const { return byte_; }
  __device__ float factor() const { return tensor_.factor(byte_); }

 private:
  __device__ uint32_t error(float x, int byte) const {
    const float magnitude = fabsf(x);
    const float code = E2m1::magnitude(E2m1::nearest(__fmul_rn(magnitude, tensor_.factor(byte))));
    const float exact = __fmul_rn(magnitude, __fmul_rn(tensor_.encode, unit_));
    const float off = __fmaf_rn(code, __fmul_rn(E4m3::magnitude(byte), unit_), -exact);
    return __float2uint_rn(fminf(__fmul_rn(off, off), 8388607.0f));
  }

  TensorFactor tensor_;
  int six_, four_;
  int byte_ = 0;
  float unit_;  // of errors
  uint32_t error_of_six_ = 0, error_of_four_ = 0;
};

}  // namespace nibble::trusted
