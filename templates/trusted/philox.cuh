// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The random bits of stochastic rounding: Philox 4x32-10, by seed and place alone.
#pragma once

#include "common/types.cuh"

namespace nibble::trusted {

// Of elements 16 * run to 16 * run + 15 of a row of a copy.
class RandomWords {
 public:
  __device__ RandomWords(const unsigned (&seed)[2], int64_t run, int64_t row, int copy)
      : word0_(static_cast<uint32_t>(run)),
        word1_(static_cast<uint32_t>(row)),
        word2_(static_cast<uint32_t>(row >> 32)),
        word3_(static_cast<uint32_t>(copy)) {
    uint32_t low = seed[0];
    uint32_t high = seed[1];
#pragma unroll 1
    for (int round = 0; round < 10; ++round) {
      const uint64_t first = uint64_t{0xd2511f53u} * word0_;
      const uint64_t second = uint64_t{0xcd9e8d57u} * word2_;
      word0_ = static_cast<uint32_t>(second >> 32) ^ word1_ ^ low;
      word1_ = static_cast<uint32_t>(second);
      word2_ = static_cast<uint32_t>(first >> 32) ^ word3_ ^ high;
      word3_ = static_cast<uint32_t>(first);
      low += 0x9e3779b9u;
      high += 0xbb67ae85u;
    }
  }

  // The 16 bits of element i < 16 as E2M1 takes them, or E4M3.
  template <bool kE4m3>
  __device__ uint32_t bits(int i) const {
    const uint32_t word = i < 4 ? word0_ : i < 8 ? word1_ : i < 12 ? word2_ : word3_;
    const bool second_pair = i % 4 >= 2;
    uint32_t bits = 0;
    if constexpr (kE4m3) {
      bits = second_pair ? word >> 16 : word & 0xffffu;
    } else {
      const uint32_t high = second_pair ? word >> 24 : word >> 16;
      const uint32_t low = second_pair ? word >> 8 : word;
      bits = (high & 0xffu) << 8 | (low & 0xffu);
    }
    return i % 2 == 0 ? bits : __brev(bits) >> 16;
  }

 private:
  uint32_t word0_, word1_, word2_, word3_;
};

}  // namespace nibble::trusted
