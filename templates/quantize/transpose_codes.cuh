// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The transpose of eight rows of eight 4-bit codes.
#pragma once

#include "common/types.cuh"

namespace nibble {

// Bits 4i + 3 : 4i of word j go to bits 4j + 3 : 4j of word i.
__device__ inline void transpose_codes(uint32_t (&w)[8]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t a = w[i];
    const uint32_t b = w[i + 4];
    w[i] = __byte_perm(a, b, 0x5410);
    w[i + 4] = __byte_perm(a, b, 0x7632);
  }
#pragma unroll
  for (int i = 0; i < 8; i += i % 2 == 0 ? 1 : 3) {
    const uint32_t a = w[i];
    const uint32_t b = w[i + 2];
    w[i] = __byte_perm(a, b, 0x6240);
    w[i + 2] = __byte_perm(a, b, 0x7351);
  }
#pragma unroll
  for (int i = 0; i < 8; i += 2) {
    const uint32_t a = w[i];
    const uint32_t b = w[i + 1];
    w[i] = (a & 0x0f0f0f0fu) | (b << 4 & 0xf0f0f0f0u);
    w[i + 1] = (a >> 4 & 0x0f0f0f0fu) | (b & 0xf0f0f0f0u);
  }
}

}  // namespace nibble
