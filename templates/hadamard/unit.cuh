// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Groups along the rows of a matrix: who holds what, where it lies, and its transform in registers.
#pragma once

#include "common/elements.cuh"
#include "common/math.cuh"
#include "hadamard/base.cuh"
#include "hadamard/exchange.cuh"

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
  static constexpr int kUnitBytes = kLayout.unit * kElementBytes;
  using Vector = Elements<Config::kElementType, kVector>;
  using OutVector = Elements<Config::kElementType, kOutVector>;

  __device__ static int thread() { return threadIdx.x % Config::kThreadsPerGroup; }

  // The unscaled transform of the registers of one group; afterwards they hold out_vectors. Where
  // shared memory is used, `begun` is called once all threads have come here.
  template <class Begun>
  __device__ static void transform(float (&t)[kLayout.elements], uint32_t shared,
                                   const Begun& begun) {
    constexpr int kBits = hadamard_log2(kVector < kLayout.power ? kVector : kLayout.power);
#pragma unroll
    for (int bit = 0; bit < kBits; ++bit) butterflies(t, 1 << bit);
#pragma unroll
    for (int bit = 0; bit < kLayout.lane_bits; ++bit) lane_butterflies(t, 1 << bit);
    if constexpr (Config::kPasses > 0) shared_butterflies<Group>(t, shared, thread(), begun);
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

// The kernel's __launch_bounds__: beside a base thread blocks of 256 threads in all are to fit a
// multiprocessor at least. Left alone, ptxas takes a few registers more than let a third thread
// block of 128 there (168), or spills for the sake of one. 0: ptxas is not told anything.
template <class Config>
struct HadamardBounds {
  static constexpr int kMost = Config::kThreads < 256 ? 256 / Config::kThreads : 1;
  static constexpr int kBlocks = hadamard_base(Config::kSize) > 1 ? kMost : 0;
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
struct UnitInput {
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
      clear();
    }
  }
  __device__ void clear() {
#pragma unroll
    for (typename G::Vector& each : vector) {
#pragma unroll
      for (uint32_t& word : each.word) word = 0;
    }
  }
};

}  // namespace nibble
