// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// hadamard: transforms of groups of kSize elements along the rows of a matrix.
#pragma once

#include "hadamard/ahead.cuh"
#include "hadamard/amax.cuh"
#include "hadamard/signs.cuh"
#include "hadamard/unit.cuh"

namespace nibble {

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
template <class Config, class Begun>
__device__ float transform_unit(UnitInput<Config>& x, uint32_t shared,
                                const UnitPlace<Config>& place, const HadamardParams& params,
                                const Begun& begun) {
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
  G::transform(t, shared, begun);
  const float largest = Config::kAmax != 0 ? largest_magnitude(t) : 0.0f;
  if constexpr (Config::kWrite != 0) store_unit<Config>(t, place, params);
  return largest;
}

// A thread block's way through the tiles.
template <class Config>
struct Tiles {
  using G = Group<Config>;
  using Place = UnitPlace<Config>;
  static constexpr int kCount = Config::kGroupsPerThread;

  const HadamardParams& params;
  int64_t units;  // of a row
  int64_t tiles;
  int64_t group = threadIdx.x / Config::kThreadsPerGroup;

  __device__ explicit Tiles(const HadamardParams& p)
      : params(p),
        units(ceil_div(p.columns, G::kLayout.unit)),
        tiles(ceil_div(units * p.rows, G::kGroupsPerTile)) {}

  // The i-th group of this thread in a tile.
  __device__ Place place(int64_t tile, int i) const {
    return {tile * G::kGroupsPerTile + group + i * G::kGroupsPerBlock, units, params};
  }

  // Returns the largest magnitude before scaling.
  __device__ float run(uint32_t shared) const {
    float largest = 0.0f;
#pragma unroll 1
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      UnitInput<Config> x[kCount];
#pragma unroll
      for (int i = 0; i < kCount; ++i) x[i].load(place(tile, i), params);
      if constexpr (Config::kAhead == 1) prefetch_unit<Config>(place(tile + gridDim.x, 0), params);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        largest =
            fmaxf(largest, transform_unit<Config>(x[i], shared, place(tile, i), params, [] {}));
      }
      end_tile();
    }
    return largest;
  }

  // The same with slots behind the shared memory of the transform.
  __device__ float run_with_slots(uint32_t shared, uint32_t slots, uint32_t barrier) const {
    float largest = 0.0f;
    Slots<Config> input(slots, barrier);
    if (blockIdx.x < tiles) input.fill(place(blockIdx.x, 0), params);
#pragma unroll 1
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      UnitInput<Config> x;
      input.load(x, place(tile, 0));
      const auto fill_next = [&] {
        if (tile + gridDim.x < tiles) input.fill(place(tile + gridDim.x, 0), params);
      };
      largest =
          fmaxf(largest, transform_unit<Config>(x, shared, place(tile, 0), params, fill_next));
      end_tile();
    }
    return largest;
  }

 private:
  // Shared memory is free again. Without kNarrow a thread gets back what it put there, and what it
  // puts next lies there too.
  __device__ static void end_tile() {
    if constexpr (Config::kPasses > 0 && Config::kNarrow > 0) __syncthreads();
  }
};

template <class Config>
__device__ void hadamard(const HadamardParams& params) {
  constexpr int kOwnShared = hadamard_shared_bytes(Config::kSize, Config::kPasses);
  extern __shared__ __align__(16) unsigned char dynamic_shared[];
  const Tiles<Config> tiles(params);
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(dynamic_shared));
  const uint32_t own_shared = shared + static_cast<uint32_t>(tiles.group) * kOwnShared;
  float largest = 0.0f;
  if constexpr (Config::kAhead == 2) {
    __shared__ uint64_t full;
    largest = tiles.run_with_slots(own_shared, shared + Group<Config>::kGroupsPerBlock * kOwnShared,
                                   static_cast<uint32_t>(__cvta_generic_to_shared(&full)));
  } else {
    largest = tiles.run(own_shared);
  }
  if constexpr (Config::kAmax != 0) reduce_transformed<Config>(largest, params);
}

}  // namespace nibble
