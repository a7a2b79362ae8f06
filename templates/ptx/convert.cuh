// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Conversions between fp32 and the 16-, 8- and 4-bit formats.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cvt
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// Four pairs to a word: x[0] in bits 3:0 .. x[7] in bits 31:28. sm_100a, sm_103a, sm_120a.
__device__ inline uint32_t cvt_rn_satfinite_e2m1x2_f32(const float (&x)[8]) {
  uint32_t d;
  asm("{\n\t"
      ".reg .b8 b<4>;\n\t"
      "cvt.rn.satfinite.e2m1x2.f32 b0, %2, %1;\n\t"
      "cvt.rn.satfinite.e2m1x2.f32 b1, %4, %3;\n\t"
      "cvt.rn.satfinite.e2m1x2.f32 b2, %6, %5;\n\t"
      "cvt.rn.satfinite.e2m1x2.f32 b3, %8, %7;\n\t"
      "mov.b32 %0, {b0, b1, b2, b3};\n\t"
      "}"
      : "=r"(d)
      : "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3]), "f"(x[4]), "f"(x[5]), "f"(x[6]), "f"(x[7]));
  return d;
}

// The inverse: d[i] holds elements 2i (low half) and 2i + 1 as f16. sm_100a, sm_103a, sm_120a.
__device__ inline void cvt_rn_f16x2_e2m1x2(uint32_t a, uint32_t (&d)[4]) {
  asm("{\n\t"
      ".reg .b8 b<4>;\n\t"
      "mov.b32 {b0, b1, b2, b3}, %4;\n\t"
      "cvt.rn.f16x2.e2m1x2 %0, b0;\n\t"
      "cvt.rn.f16x2.e2m1x2 %1, b1;\n\t"
      "cvt.rn.f16x2.e2m1x2 %2, b2;\n\t"
      "cvt.rn.f16x2.e2m1x2 %3, b3;\n\t"
      "}"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a));
}

// Bits 15:8 from high, 7:0 from low. sm_89.
__device__ inline uint16_t cvt_rn_satfinite_e4m3x2_f32(float high, float low) {
  uint16_t d;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(d) : "f"(high), "f"(low));
  return d;
}

// x[0] in bits 7:0 .. x[3] in bits 31:24. sm_89.
__device__ inline uint32_t cvt_rn_satfinite_e4m3x4_f32(const float (&x)[4]) {
  uint32_t d;
  asm("{\n\t"
      ".reg .b16 h<2>;\n\t"
      "cvt.rn.satfinite.e4m3x2.f32 h0, %2, %1;\n\t"
      "cvt.rn.satfinite.e4m3x2.f32 h1, %4, %3;\n\t"
      "mov.b32 %0, {h0, h1};\n\t"
      "}"
      : "=r"(d)
      : "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3]));
  return d;
}

// Stochastic rounding of four elements with 32 random bits: x[0] in bits 3:0 .. x[3] in bits 15:12.
// sm_100a, sm_103a.
__device__ inline uint16_t cvt_rs_satfinite_e2m1x4_f32(const float* x, uint32_t random) {
  uint16_t d;
  asm("cvt.rs.satfinite.e2m1x4.f32 %0, {%1, %2, %3, %4}, %5;"
      : "=h"(d)
      : "f"(x[3]), "f"(x[2]), "f"(x[1]), "f"(x[0]), "r"(random));
  return d;
}

// The same to E4M3: x[0] in bits 7:0 .. x[3] in bits 31:24. sm_100a, sm_103a.
__device__ inline uint32_t cvt_rs_satfinite_e4m3x4_f32(const float* x, uint32_t random) {
  uint32_t d;
  asm("cvt.rs.satfinite.e4m3x4.f32 %0, {%1, %2, %3, %4}, %5;"
      : "=r"(d)
      : "f"(x[3]), "f"(x[2]), "f"(x[1]), "f"(x[0]), "r"(random));
  return d;
}

// Exact. Low half from bits 7:0. sm_89.
__device__ inline uint32_t cvt_rn_f16x2_e4m3x2(uint16_t a) {
  uint32_t d;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(d) : "h"(a));
  return d;
}

// Exact.
__device__ inline float cvt_f32_f16(uint16_t a) {
  float d;
  asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(a));
  return d;
}

// sm_80.
__device__ inline uint32_t cvt_rn_f16x2_f32(float high, float low) {
  uint32_t d;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

// Towards zero: too large becomes the largest number. sm_80.
__device__ inline uint32_t cvt_rz_f16x2_f32(float high, float low) {
  uint32_t d;
  asm("cvt.rz.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

// sm_80.
__device__ inline uint32_t cvt_rn_bf16x2_f32(float high, float low) {
  uint32_t d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

}  // namespace nibble::ptx
