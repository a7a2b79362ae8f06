// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// hadamard: transforms of groups of kSize elements along the rows of a matrix.
#pragma once

#include "common/block_amax.cuh"
#include "common/elements.cuh"
#include "common/math.cuh"
#include "hadamard/base.cuh"
#include "hadamard/exchange.cuh"
#include "hadamard/signs.cuh"

namespace nibble {

// kThreadsPerGroup neighbouring threads share a group; params/hadamard.h says who holds what.
template <class Config>
struct Group : Config {
  static constexpr int kElementBytes = Config::kElementType == kF32 ? 4 : 2;
  static_assert(hadamard_legal(Config::kSize, kElementBytes, Config::kVectorBytes,
                               Config::kThreadsPerGroup, Config::kPasses),
                "kSize, kVectorBytes, kThreadsPerGroup, kPasses: see hadamard_legal()");
  static_assert(Config::kThreads % 32 == 0 && Config::kThreads % Config::kThreadsPerGroup == 0,
                "kThreads: a multiple of 32 and of kThreadsPerGroup");
  static_assert(Config::kPasses == 0 || Config::kGroupsPerThread == 1,
                "kGroupsPerThread: 1 with shared memory");
  static constexpr HadamardLayout kLayout =
      hadamard_layout(Config::kSize, kElementBytes, Config::kVectorBytes, Config::kThreadsPerGroup,
                      Config::kPasses);
  static constexpr int kVector = kLayout.vector;
  static constexpr int kGroupsPerBlock = Config::kThreads / Config::kThreadsPerGroup;
  static constexpr int kGroupsPerTile = kGroupsPerBlock * Config::kGroupsPerThread;
  using Vector = Elements<Config::kElementType, kVector>;

  // The unscaled transform of the registers of one group.
  __device__ static void transform(float (&t)[kLayout.elements], uint32_t shared, int thread) {
    constexpr int kBits = hadamard_log2(kLayout.vector < kLayout.power ? kVector : kLayout.power);
#pragma unroll
    for (int bit = 0; bit < kBits; ++bit) butterflies(t, 1 << bit);
#pragma unroll
    for (int bit = 0; bit < kLayout.lane_bits; ++bit) lane_butterflies(t, 1 << bit);
    if constexpr (kLayout.shared_bits > 0 && Config::kPasses > 0) {
      shared_butterflies<Group>(t, shared, thread);
    }
    constexpr int kChunks = kLayout.chunks / kLayout.base;
#pragma unroll
    for (int chunks = 1; chunks < kChunks; chunks *= 2) butterflies(t, chunks * kVector);
    if constexpr (kLayout.base > 1) {
#pragma unroll
      for (int i = 0; i < kChunks * kVector; ++i) {
        multiply_base<kLayout.base, kChunks * kVector, Config::kInverse != 0>(t + i);
      }
    }
  }
};

// Where this thread's vectors of a unit lie. Units are numbered along the rows, then down.
template <class Config>
struct UnitPlace {
  using G = Group<Config>;
  int64_t row;
  int64_t first;  // element of the row
  int64_t left;   // elements of the row from there on; <= 0: there is no such unit

  __device__ UnitPlace(int64_t unit, int64_t units, const HadamardParams& params) {
    row = 0;
    if (params.rows > 1) {
      const bool narrow = ((unit | units) >> 32) == 0;  // the usual case, and the faster division
      row = narrow ? static_cast<uint32_t>(unit) / static_cast<uint32_t>(units) : unit / units;
    }
    first = (unit - row * units) * G::kLayout.unit +
            threadIdx.x % Config::kThreadsPerGroup * G::kVector;
    left = row < params.rows ? params.columns - first : 0;
  }
  __device__ bool present() const { return left > 0; }
  // Elements of a vector: all, but in the last unit of groups that are shorter than one.
  __device__ int count() const {
    if (G::kLayout.unit == Config::kSize || left >= G::kVector) return G::kVector;
    return static_cast<int>(left);
  }
  // Bytes from the start of a matrix with such rows.
  __device__ int64_t offset(int64_t row_stride, int chunk) const {
    return (row * row_stride + first + chunk * kChunkElements) * G::kElementBytes;
  }
  static constexpr int kChunkElements = Config::kThreadsPerGroup * G::kVector;
};

// Transforms one unit in registers, stores it, and returns the largest magnitude stored.
template <class Config>
__device__ float transform_unit(typename Group<Config>::Vector* x,
                                const uint32_t (&signs)[Group<Config>::kLayout.chunks],
                                uint32_t shared, const UnitPlace<Config>& place,
                                const HadamardParams& params) {
  using G = Group<Config>;
  float t[G::kLayout.elements];
#pragma unroll
  for (int c = 0; c < G::kLayout.chunks; ++c) {
    if constexpr (Config::kSigns != 0 && Config::kInverse == 0) flip(x[c], signs[c]);
#pragma unroll
    for (int i = 0; i < G::kVector; ++i) t[c * G::kVector + i] = x[c].value(i);
  }
  G::transform(t, shared, threadIdx.x % Config::kThreadsPerGroup);
  float largest = 0.0f;
#pragma unroll
  for (int c = 0; c < G::kLayout.chunks; ++c) {
#pragma unroll
    for (int i = 0; i < G::kVector; ++i) {
      // The sign goes with the scale: a NaN stays as it is.
      const bool flips = Config::kSigns != 0 && Config::kInverse != 0;
      const float factor = flips ? flipped(params.scale, signs[c], i) : params.scale;
      t[c * G::kVector + i] = __fmul_rn(t[c * G::kVector + i], factor);
    }
    typename G::Vector out;
    out.set(t + c * G::kVector);
    if constexpr (Config::kAmax != 0) largest = fmaxf(largest, out.amax());
    if constexpr (Config::kWrite != 0) {
      if (place.present()) {
        out.template store<Config::kVectorBytes>(
            static_cast<char*>(params.y) + place.offset(params.y_row_stride, c), place.count());
      }
    }
  }
  return largest;
}

template <class Config>
__device__ void hadamard(const HadamardParams& params) {
  using G = Group<Config>;
  using Vector = typename G::Vector;
  using Place = UnitPlace<Config>;
  constexpr int kCount = Config::kGroupsPerThread;
  extern __shared__ __align__(16) unsigned char shared[];

  const int group = threadIdx.x / Config::kThreadsPerGroup;
  const int thread = threadIdx.x % Config::kThreadsPerGroup;
  const uint32_t own_shared = static_cast<uint32_t>(__cvta_generic_to_shared(shared)) +
                              group * hadamard_shared_bytes(Config::kSize, Config::kPasses);
  uint32_t signs[G::kLayout.chunks];
#pragma unroll
  for (int c = 0; c < G::kLayout.chunks; ++c) {
    signs[c] = sign_bits<Config>(params, c * Place::kChunkElements + thread * G::kVector);
  }
  const int64_t units = ceil_div(params.columns, G::kLayout.unit);  // of a row
  const int64_t tiles = ceil_div(units * params.rows, G::kGroupsPerTile);
  float largest = 0.0f;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t first = tile * G::kGroupsPerTile + group;
    Vector block[kCount][G::kLayout.chunks];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const Place place(first + i * G::kGroupsPerBlock, units, params);
#pragma unroll
      for (int c = 0; c < G::kLayout.chunks; ++c) {
        if (place.present()) {
          block[i][c].template load<Config::kVectorBytes, false>(
              static_cast<const char*>(params.x) + place.offset(params.x_row_stride, c),
              place.count());
        } else {
#pragma unroll
          for (uint32_t& word : block[i][c].word) word = 0;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const Place place(first + i * G::kGroupsPerBlock, units, params);
      largest = fmaxf(largest, transform_unit<Config>(block[i], signs, own_shared, place, params));
    }
    if constexpr (Config::kPasses > 0) __syncthreads();  // shared memory is free again
  }
  if constexpr (Config::kAmax != 0) reduce_amax<Config::kThreads>(largest, params.amax);
}

}  // namespace nibble
