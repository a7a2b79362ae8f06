// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Butterflies over bits of the thread's number: by way of shared memory the elements of those bits
// come into one thread, and go back.
#pragma once

#include "hadamard/butterfly.cuh"
#include "params/hadamard.h"
#include "ptx/shared.cuh"

namespace nibble {

// kCount = 1, 2 or 4 words, at a multiple of as many.
template <int kCount>
__device__ void load_shared(uint32_t from, float* to) {
  uint32_t word[4];
  if constexpr (kCount == 4) {
    ptx::ld_shared_v4_b32(from, word);
  } else if constexpr (kCount == 2) {
    ptx::ld_shared_v2_b32(from, word);
  } else {
    word[0] = ptx::ld_shared_b32(from);
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = __uint_as_float(word[i]);
}
template <int kCount>
__device__ void store_shared(uint32_t to, const float* from) {
  if constexpr (kCount == 4) {
    ptx::st_shared_v4_b32(to, __float_as_uint(from[0]), __float_as_uint(from[1]),
                          __float_as_uint(from[2]), __float_as_uint(from[3]));
  } else if constexpr (kCount == 2) {
    ptx::st_shared_v2_b32(to, __float_as_uint(from[0]), __float_as_uint(from[1]));
  } else {
    ptx::st_shared_b32(to, __float_as_uint(from[0]));
  }
}

// The number of a register in a slice is w = 4 o + w % 4. Register w of thread t lies at word
//   (o * threads + (t ^ swizzle(o))) * 4 + w % 4
// of its slice's shared memory. The banks of these differ among the lanes that go together:
//   put    thread t, its registers four at a time
//   work   thread t has registers own * together .. + together - 1 of the threads
//          rest_high | j << lane_bits | rest_low for all j: own is t's low shared_bits, rest above
//   get    thread t has elements of vectors 2^narrow times shorter, as the layout says for those
template <class Config>
struct Exchange {
  static constexpr HadamardLayout kLayout = Config::kLayout;
  static constexpr int kThreads = Config::kThreadsPerGroup;
  static constexpr int kNarrow = Config::kNarrow;
  static constexpr int kBits = hadamard_log2(kThreads);
  static constexpr int kUnits = kLayout.slice / 4;
  static constexpr int kTogether = kLayout.together();
  static constexpr int kSliceBytes = kLayout.slice * kThreads * 4;

  uint32_t shared;  // address of the slice
  int thread;

  __device__ static int swizzle(int o) { return (o & 1) << 2 | (o & 2) | (o >> 2 & 1); }
  __device__ uint32_t at(int o, int of_thread) const {
    return shared + o * (kThreads * 16) + (of_thread ^ swizzle(o)) * 16;
  }

  __device__ void put(const float* t) const {
#pragma unroll
    for (int o = 0; o < kUnits; ++o) store_shared<4>(at(o, thread), t + 4 * o);
  }

  __device__ void work() const {
    const int own = (thread & ((1 << kLayout.shared_bits) - 1)) * kTogether;
    const int rest = thread >> kLayout.shared_bits;
    const int rest_low = rest & ((1 << kLayout.lane_bits) - 1);
    const int rest_high = rest >> kLayout.lane_bits << (kBits - kNarrow);
    const uint32_t base = shared + (own >> 2) * (kThreads * 16) + (own & 3) * 4;
    const uint32_t other = ((rest_low | rest_high) ^ swizzle(own >> 2)) * 16;
    const auto at_j = [&](int j) {
      // The low three bits meet the swizzle; those above only add.
      const uint32_t bytes = static_cast<uint32_t>(j << kLayout.lane_bits) * 16;
      return base + (other ^ (bytes & 0x7f)) + (bytes & ~0x7fu);
    };
    float t[kLayout.slice];
#pragma unroll
    for (int j = 0; j < 1 << kLayout.shared_bits; ++j) {
      load_shared<kTogether>(at_j(j), t + j * kTogether);
    }
#pragma unroll
    for (int distance = kTogether; distance < kLayout.slice; distance *= 2) {
      butterflies(t, distance);
    }
#pragma unroll
    for (int j = 0; j < 1 << kLayout.shared_bits; ++j) {
      store_shared<kTogether>(at_j(j), t + j * kTogether);
    }
  }

  __device__ void get(float* t) const {
    constexpr int kOut = kLayout.out_vector;
    constexpr int kStep = kOut < 4 ? kOut : 4;
    constexpr int kChunks = kLayout.slice / kOut;
    const int high = (thread & ((1 << kNarrow) - 1)) * kOut;  // place in a vector
    // What the thread's number decides is apart from what is constant: no bit is of both, and the
    // swizzle of a number is that of its bits.
    const uint32_t base = shared + (high >> 2) * (kThreads * 16) + (high & 3) * 4;
    const uint32_t other = ((thread >> kNarrow) ^ swizzle(high >> 2)) * 16;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const int of_thread = (chunk & ((1 << kNarrow) - 1)) << (kBits - kNarrow);
#pragma unroll
      for (int i = 0; i < kOut; i += kStep) {
        const int w = (chunk >> kNarrow) * kLayout.vector + i;
        const int offset = (w >> 2) * (kThreads * 16) + of_thread * 16 + (w & 3) * 4;
        load_shared<kStep>(base + (other ^ swizzle(w >> 2) * 16) + offset, t + chunk * kOut + i);
      }
    }
  }
};

// Over the shared_bits of the thread's number, lowest first. All threads of the thread block take
// part; before the next call they must have met if kNarrow is not 0, for then a thread gets what
// others put. t is then as the narrower vectors say. Calls `begun` once all have come here.
template <class Config, class Begun>
__device__ void shared_butterflies(float (&t)[Config::kLayout.elements], uint32_t shared,
                                   int thread, const Begun& begun) {
  using E = Exchange<Config>;
  constexpr int kSlice = Config::kLayout.slice;
  constexpr int kAtATime = Config::kLayout.slices / Config::kPasses;
#pragma unroll
  for (int pass = 0; pass < Config::kPasses; ++pass) {
    float* const from = t + pass * kAtATime * kSlice;
    if (pass > 0 && Config::kNarrow > 0) __syncthreads();
#pragma unroll
    for (int s = 0; s < kAtATime; ++s) {
      E{shared + s * E::kSliceBytes, thread}.put(from + s * kSlice);
    }
    __syncthreads();
    if (pass == 0) begun();
#pragma unroll
    for (int s = 0; s < kAtATime; ++s) E{shared + s * E::kSliceBytes, thread}.work();
    __syncthreads();
#pragma unroll
    for (int s = 0; s < kAtATime; ++s) {
      E{shared + s * E::kSliceBytes, thread}.get(from + s * kSlice);
    }
  }
}

}  // namespace nibble
