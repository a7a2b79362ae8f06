// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Transposes of what words hold.
#pragma once

#include "common/types.cuh"

namespace nibble {

// Byte i of word j goes to byte j of word i.
__device__ inline void transpose_bytes(uint32_t (&w)[4]) {
  const uint32_t low01 = __byte_perm(w[0], w[1], 0x5140);
  const uint32_t low23 = __byte_perm(w[2], w[3], 0x5140);
  const uint32_t high01 = __byte_perm(w[0], w[1], 0x7362);
  const uint32_t high23 = __byte_perm(w[2], w[3], 0x7362);
  w[0] = __byte_perm(low01, low23, 0x5410);
  w[1] = __byte_perm(low01, low23, 0x7632);
  w[2] = __byte_perm(high01, high23, 0x5410);
  w[3] = __byte_perm(high01, high23, 0x7632);
}

// Eight rows of eight codes: bits 4i + 3 : 4i of word j go to bits 4j + 3 : 4j of word i.
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
