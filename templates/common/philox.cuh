// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Philox 4x32-10: random bits as a function of a key and a counter.
// Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
#pragma once

#include "common/types.cuh"

namespace nibble {

// counter becomes the random words. keys: the two words of the key, raised before each round but
// the first by 0x9E3779B9 and 0xBB67AE85.
__device__ inline void philox(const uint32_t (&keys)[10][2], uint32_t (&counter)[4]) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter[0] = static_cast<uint32_t>(b >> 32) ^ counter[1] ^ keys[round][0];
    counter[2] = static_cast<uint32_t>(a >> 32) ^ counter[3] ^ keys[round][1];
    counter[1] = static_cast<uint32_t>(b);
    counter[3] = static_cast<uint32_t>(a);
  }
}

}  // namespace nibble
