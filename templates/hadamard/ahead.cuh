// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Input that is on its way while the tile before it is worked on: kAhead 1, to the L2 cache;
// kAhead 2, to shared memory, where there is a slot of a group for each of the thread block's.
#pragma once

#include "hadamard/unit.cuh"
#include "ptx/bulk.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/prefetch.cuh"

namespace nibble {

// One thread of the group asks for it.
template <class Config>
__device__ void prefetch_unit(const UnitPlace<Config>& place, const HadamardParams& params) {
  using G = Group<Config>;
  if (!place.present() || G::thread() != 0) return;
  ptx::cp_async_bulk_prefetch_l2_global(
      static_cast<const char*>(params.x) + place.offset(params.x_row_stride, 0), G::kUnitBytes);
}

template <class Config>
struct Slots {
  using G = Group<Config>;
  static_assert(Config::kAligned >= 16 && G::kUnitBytes % 16 == 0 && G::Vector::kBytes >= 8,
                "kAhead: bulk copies are of multiples of 16 bytes");
  uint32_t slot;     // of this thread's group
  uint32_t barrier;  // its phases: the slots are full. A thread of each group arrives.
  uint32_t parity = 0;

  // All threads of the thread block.
  __device__ Slots(uint32_t slots, uint32_t full)
      : slot(slots + threadIdx.x / Config::kThreadsPerGroup * G::kUnitBytes), barrier(full) {
    if (threadIdx.x == 0) {
      ptx::mbarrier_init(barrier, G::kGroupsPerBlock);
      ptx::fence_mbarrier_init_release_cluster();
    }
    __syncthreads();
  }

  // Once no thread reads what is in the slots.
  __device__ void fill(const UnitPlace<Config>& place, const HadamardParams& params) const {
    if (G::thread() != 0) return;
    if (place.present()) {
      const char* const x =
          static_cast<const char*>(params.x) + place.offset(params.x_row_stride, 0);
      ptx::mbarrier_arrive_expect_tx(barrier, G::kUnitBytes);
      ptx::cp_async_bulk_shared_global(slot, x, G::kUnitBytes, barrier);
    } else {
      ptx::mbarrier_arrive(barrier);
    }
  }

  // Waits for what fill() began.
  __device__ void load(UnitInput<Config>& x, const UnitPlace<Config>& place) {
    while (!ptx::mbarrier_try_wait_parity(barrier, parity)) {
    }
    parity ^= 1;
    if (!place.present()) return x.clear();
    const uint32_t from = slot + G::thread() * G::Vector::kBytes;
    constexpr int kWords = G::Vector::kWords < 4 ? G::Vector::kWords : 4;  // of one access
#pragma unroll
    for (int c = 0; c < G::kLayout.chunks; ++c) {
      const uint32_t vector = from + c * Config::kThreadsPerGroup * G::Vector::kBytes;
#pragma unroll
      for (int w = 0; w < G::Vector::kWords; w += kWords) {
        if constexpr (kWords == 4) {
          ptx::ld_shared_v4_b32(vector + w * 4, x.vector[c].word + w);
        } else {
          ptx::ld_shared_v2_b32(vector + w * 4, x.vector[c].word + w);
        }
      }
    }
  }
};

}  // namespace nibble
