// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// fp32 arithmetic on two values at once: one instruction from sm_100 on, two before.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#floating-point-instructions-mul
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// x *= factor, y *= factor; each rounded to nearest even.
__device__ inline void mul_rn_f32x2(float& x, float& y, float factor) {
#if __CUDA_ARCH__ >= 1000
  asm("{\n\t"
      ".reg .b64 a, b;\n\t"
      "mov.b64 a, {%0, %1};\n\t"
      "mov.b64 b, {%2, %2};\n\t"
      "mul.rn.f32x2 a, a, b;\n\t"
      "mov.b64 {%0, %1}, a;\n\t"
      "}"
      : "+f"(x), "+f"(y)
      : "f"(factor));
#else
  x = __fmul_rn(x, factor);
  y = __fmul_rn(y, factor);
#endif
}

}  // namespace nibble::ptx
