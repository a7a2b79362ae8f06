// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Butterflies over bits of the thread's number: by way of shared memory the elements of those bits
// come into one thread, and go back.
#pragma once

#include "hadamard/butterfly.cuh"
#include "params/hadamard.h"
#include "ptx/shared.cuh"

namespace nibble {

// Registers of a slice are numbered w = 4 o + (w % 4). Register w of thread t lies at word
//   ((slice * units + o) * threads + (t ^ swizzle(o))) * 4 + w % 4
// of the group's shared memory. Threads write and read their own registers 16 bytes at a time. For
// the butterflies thread t holds the elements of registers w = own * together + l, l < together,
// of the threads j << lane_bits | low: own is its low shared_bits, low the bits above. `swizzle`
// makes the banks of both differ.
template <class Config>
struct Exchange {
  static constexpr HadamardLayout kLayout = Config::kLayout;
  static constexpr int kThreads = Config::kThreadsPerGroup;
  static constexpr int kUnits = kLayout.slice / 4;
  static constexpr int kShift = kUnits >= 8 ? 0 : kUnits == 4 ? 1 : 2;
  static constexpr int kTogether = kLayout.together();
  static constexpr int kSliceBytes = kLayout.slice * kThreads * 4;
  static constexpr int kSlicesAtATime = kLayout.slices / (Config::kPasses ? Config::kPasses : 1);

  __device__ static int swizzle(int o) { return o << kShift & 7; }

  uint32_t own;   // address of this thread's registers in unit 0, without swizzle
  uint32_t base;  // address of its elements for the butterflies of thread 0
  uint32_t low;   // its low thread bits, swizzled, in bytes

  __device__ Exchange(uint32_t shared, int thread) {
    const int register_of = (thread & ((1 << kLayout.shared_bits) - 1)) * kTogether;
    const int o = register_of / 4;
    own = shared;
    base = shared + (o * kThreads * 4 + register_of % 4) * 4;
    low = ((thread >> kLayout.shared_bits) ^ swizzle(o)) * 16;
    this->thread = thread;
  }
  int thread;

  __device__ uint32_t own_at(int o) const {
    return own + ((thread ^ swizzle(o)) * 16) + o * kThreads * 16;
  }
  __device__ uint32_t pair_at(int j) const {
    const uint32_t other = static_cast<uint32_t>(j << kLayout.lane_bits) * 16;
    return base + ((low ^ (other & 0x7f)) + (other & ~0x7fu));
  }

  __device__ void put(const float* t) const {
#pragma unroll
    for (int o = 0; o < kUnits; ++o) {
      ptx::st_shared_v4_b32(own_at(o), __float_as_uint(t[4 * o]), __float_as_uint(t[4 * o + 1]),
                            __float_as_uint(t[4 * o + 2]), __float_as_uint(t[4 * o + 3]));
    }
  }
  __device__ void get(float* t) const {
#pragma unroll
    for (int o = 0; o < kUnits; ++o) {
      uint32_t word[4];
      ptx::ld_shared_v4_b32(own_at(o), word);
#pragma unroll
      for (int i = 0; i < 4; ++i) t[4 * o + i] = __uint_as_float(word[i]);
    }
  }
  __device__ void work() const {
    float t[kLayout.slice];
#pragma unroll
    for (int j = 0; j < 1 << kLayout.shared_bits; ++j) {
      uint32_t word[4];
      if constexpr (kTogether == 4) {
        ptx::ld_shared_v4_b32(pair_at(j), word);
      } else if constexpr (kTogether == 2) {
        ptx::ld_shared_v2_b32(pair_at(j), word);
      } else {
        word[0] = ptx::ld_shared_b32(pair_at(j));
      }
#pragma unroll
      for (int l = 0; l < kTogether; ++l) t[j * kTogether + l] = __uint_as_float(word[l]);
    }
#pragma unroll
    for (int distance = kTogether; distance < kLayout.slice; distance *= 2) {
      butterflies(t, distance);
    }
#pragma unroll
    for (int j = 0; j < 1 << kLayout.shared_bits; ++j) {
      const float* const from = t + j * kTogether;
      if constexpr (kTogether == 4) {
        ptx::st_shared_v4_b32(pair_at(j), __float_as_uint(from[0]), __float_as_uint(from[1]),
                              __float_as_uint(from[2]), __float_as_uint(from[3]));
      } else if constexpr (kTogether == 2) {
        ptx::st_shared_v2_b32(pair_at(j), __float_as_uint(from[0]), __float_as_uint(from[1]));
      } else {
        ptx::st_shared_b32(pair_at(j), __float_as_uint(from[0]));
      }
    }
  }
};

// Over the shared_bits of the thread's number, lowest first. All threads of the thread block take
// part. Before the next call they must have met.
template <class Config>
__device__ void shared_butterflies(float (&t)[Config::kLayout.elements], uint32_t shared,
                                   int thread) {
  using E = Exchange<Config>;
  constexpr HadamardLayout kLayout = Config::kLayout;
  const E exchange(shared, thread);
#pragma unroll
  for (int pass = 0; pass < Config::kPasses; ++pass) {
    if (pass > 0) __syncthreads();
#pragma unroll
    for (int s = 0; s < E::kSlicesAtATime; ++s) {
      E at = exchange;
      at.own += s * E::kSliceBytes;
      at.put(t + (pass * E::kSlicesAtATime + s) * kLayout.slice);
    }
    __syncthreads();
#pragma unroll
    for (int s = 0; s < E::kSlicesAtATime; ++s) {
      E at = exchange;
      at.base += s * E::kSliceBytes;
      at.work();
    }
    __syncthreads();
#pragma unroll
    for (int s = 0; s < E::kSlicesAtATime; ++s) {
      E at = exchange;
      at.own += s * E::kSliceBytes;
      at.get(t + (pass * E::kSlicesAtATime + s) * kLayout.slice);
    }
  }
}

}  // namespace nibble
