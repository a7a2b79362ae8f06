// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// hadamard: transforms of groups of kSize elements along the rows of a matrix.
#pragma once

#include "common/block_amax.cuh"
#include "common/elements.cuh"
#include "common/math.cuh"
#include "hadamard/amax.cuh"
#include "hadamard/base.cuh"
#include "hadamard/exchange.cuh"
#include "hadamard/signs.cuh"
#include "ptx/prefetch.cuh"

namespace nibble {

// kThreadsPerGroup neighbouring threads share a group; params/hadamard.h says who holds what.
template <class Config>
struct Group : Config {
  static constexpr int kElementBytes = Config::kElementType == kF32 ? 4 : 2;
  static constexpr HadamardTiling kTiling = {Config::kSize,        kElementBytes,
                                             Config::kVectorBytes, Config::kThreadsPerGroup,
                                             Config::kPasses,      Config::kNarrow};
  static_assert(hadamard_legal(kTiling),
                "kSize, kVectorBytes, kThreadsPerGroup, kPasses, kNarrow: see hadamard_legal()");
  static_assert(Config::kThreads % 32 == 0 && Config::kThreads % Config::kThreadsPerGroup == 0,
                "kThreads: a multiple of 32 and of kThreadsPerGroup");
  static_assert(Config::kPasses == 0 || Config::kGroupsPerThread == 1,
                "kGroupsPerThread: 1 with shared memory");
  static constexpr HadamardLayout kLayout = hadamard_layout(kTiling);
  static constexpr int kVector = kLayout.vector;
  static constexpr int kOutVector = kLayout.out_vector;
  static constexpr int kOutVectorBytes =
      Config::kVectorBytes >> Config::kNarrow >= 4 ? Config::kVectorBytes >> Config::kNarrow : 0;
  static constexpr int kGroupsPerBlock = Config::kThreads / Config::kThreadsPerGroup;
  static constexpr int kGroupsPerTile = kGroupsPerBlock * Config::kGroupsPerThread;
  using Vector = Elements<Config::kElementType, kVector>;
  using OutVector = Elements<Config::kElementType, kOutVector>;

  __device__ static int thread() { return threadIdx.x % Config::kThreadsPerGroup; }

  // The unscaled transform of the registers of one group; afterwards they hold out_vectors.
  __device__ static void transform(float (&t)[kLayout.elements], uint32_t shared) {
    constexpr int kBits = hadamard_log2(kVector < kLayout.power ? kVector : kLayout.power);
#pragma unroll
    for (int bit = 0; bit < kBits; ++bit) butterflies(t, 1 << bit);
#pragma unroll
    for (int bit = 0; bit < kLayout.lane_bits; ++bit) lane_butterflies(t, 1 << bit);
    if constexpr (Config::kPasses > 0) shared_butterflies<Group>(t, shared, thread());
    constexpr int kChunks = kLayout.out_chunks / kLayout.base;
#pragma unroll
    for (int chunks = 1; chunks < kChunks; chunks *= 2) butterflies(t, chunks * kOutVector);
    if constexpr (kLayout.base > 1) {
#pragma unroll
      for (int i = 0; i < kChunks * kOutVector; ++i) {
        multiply_base<kLayout.base, kChunks * kOutVector, Config::kInverse != 0>(t + i);
      }
    }
  }
};

// A unit of the matrix. Units are numbered along the rows, then down.
template <class Config>
struct UnitPlace {
  using G = Group<Config>;
  int64_t row;
  int64_t first;  // element of the row
  int64_t left;   // elements of the row from there on; <= 0: there is no such unit

  __device__ UnitPlace(int64_t unit, int64_t units, const HadamardParams& params) {
    row = params.rows > 1 ? divide(unit, units) : 0;
    first = (unit - row * units) * G::kLayout.unit;
    left = row < params.rows ? params.columns - first : 0;
  }
  __device__ bool present() const { return left > 0; }
  // Elements of a vector: all, but in the last unit of groups that are shorter than one.
  __device__ int count(int vector) const {
    if (G::kLayout.unit == Config::kSize || left >= vector) return vector;
    return static_cast<int>(left);
  }
  // Bytes from the start of a matrix with such rows to this thread's first vector of so many
  // elements.
  __device__ int64_t offset(int64_t row_stride, int vector) const {
    return (row * row_stride + first + G::thread() * vector) * G::kElementBytes;
  }
};

template <class Config>
struct GroupInput {
  using G = Group<Config>;
  typename G::Vector vector[G::kLayout.chunks];

  // One address for all of a thread's vectors: what is added to it is constant.
  __device__ void load(const UnitPlace<Config>& place, const HadamardParams& params) {
    constexpr int kStep = Config::kThreadsPerGroup * G::Vector::kBytes;
    if (place.present()) {
      const char* const x =
          static_cast<const char*>(params.x) + place.offset(params.x_row_stride, G::kVector);
#pragma unroll
      for (int c = 0; c < G::kLayout.chunks; ++c) {
        vector[c].template load<Config::kVectorBytes, false>(x + c * kStep,
                                                             place.count(G::kVector));
      }
    } else {
#pragma unroll
      for (int c = 0; c < G::kLayout.chunks; ++c) {
#pragma unroll
        for (uint32_t& word : vector[c].word) word = 0;
      }
    }
  }
};

// Scales, rounds and stores the registers of a unit.
template <class Config>
__device__ void store_unit(float (&t)[Group<Config>::kLayout.elements],
                           const UnitPlace<Config>& place, const HadamardParams& params) {
  using G = Group<Config>;
  constexpr bool kFlips = Config::kSigns != 0 && Config::kInverse != 0;
  constexpr int kOut = G::kOutVector;
  constexpr int kStep = Config::kThreadsPerGroup * G::OutVector::kBytes;
  if (!place.present()) return;
  char* const y = static_cast<char*>(params.y) + place.offset(params.y_row_stride, kOut);
#pragma unroll
  for (int c = 0; c < G::kLayout.out_chunks; ++c) {
    uint32_t signs = 0;
    if constexpr (kFlips) {
      const int at = (c * Config::kThreadsPerGroup + G::thread()) * kOut;
      signs = sign_bits<Config>(params, at);
    }
#pragma unroll
    for (int i = 0; i < kOut; ++i) {
      // The sign goes with the scale: a NaN stays as it is.
      const float factor = kFlips ? flipped(params.scale, signs, i) : params.scale;
      t[c * kOut + i] = __fmul_rn(t[c * kOut + i], factor);
    }
    typename G::OutVector out;
    out.set(t + c * kOut);
    out.template store<G::kOutVectorBytes>(y + c * kStep, place.count(kOut));
  }
}

// Transforms one unit in registers, stores it, and returns the largest magnitude before scaling.
template <class Config>
__device__ float transform_unit(GroupInput<Config>& x, uint32_t shared,
                                const UnitPlace<Config>& place, const HadamardParams& params) {
  using G = Group<Config>;
  float t[G::kLayout.elements];
#pragma unroll
  for (int c = 0; c < G::kLayout.chunks; ++c) {
    if constexpr (Config::kSigns != 0 && Config::kInverse == 0) {
      const int at = (c * Config::kThreadsPerGroup + G::thread()) * G::kVector;
      flip(x.vector[c], sign_bits<Config>(params, at));
    }
#pragma unroll
    for (int i = 0; i < G::kVector; ++i) t[c * G::kVector + i] = x.vector[c].value(i);
  }
  G::transform(t, shared);
  const float largest = Config::kAmax != 0 ? largest_magnitude(t) : 0.0f;
  if constexpr (Config::kWrite != 0) store_unit<Config>(t, place, params);
  return largest;
}

template <class Config>
__device__ void hadamard(const HadamardParams& params) {
  using G = Group<Config>;
  using Place = UnitPlace<Config>;
  constexpr int kCount = Config::kGroupsPerThread;
  extern __shared__ __align__(16) unsigned char shared[];

  const int group = threadIdx.x / Config::kThreadsPerGroup;
  const uint32_t own_shared = static_cast<uint32_t>(__cvta_generic_to_shared(shared)) +
                              group * hadamard_shared_bytes(Config::kSize, Config::kPasses);
  const int64_t units = ceil_div(params.columns, G::kLayout.unit);  // of a row
  const int64_t tiles = ceil_div(units * params.rows, G::kGroupsPerTile);
  float largest = 0.0f;
#pragma unroll 1
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t first = tile * G::kGroupsPerTile + group;
    GroupInput<Config> x[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i].load(Place(first + i * G::kGroupsPerBlock, units, params), params);
    }
    if constexpr (Config::kAhead != 0) {
      const Place next(first + gridDim.x * static_cast<int64_t>(G::kGroupsPerTile), units, params);
      if (next.present() && G::thread() == 0) {
        ptx::cp_async_bulk_prefetch_l2_global(
            static_cast<const char*>(params.x) + next.offset(params.x_row_stride, 0),
            G::kLayout.unit * G::kElementBytes);
      }
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const Place place(first + i * G::kGroupsPerBlock, units, params);
      largest = fmaxf(largest, transform_unit<Config>(x[i], own_shared, place, params));
    }
    if constexpr (Config::kPasses > 0) __syncthreads();  // shared memory is free again
  }
  if constexpr (Config::kAmax != 0) reduce_transformed<Config>(largest, params);
}

}  // namespace nibble
