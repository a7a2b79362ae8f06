// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What all warps of the gemm kernel agree on: where things lie in shared and tensor memory, which
// barriers there are, who arrives on them, and this thread block's place in its cluster.
//
//   full[stage]         1 arrival (TMA warp of the leader) and the bytes of a stage, of both thread
//                       blocks of a pair
//   empty[stage]        a commit of each MMA warp that reads what this thread block loads
//   summed[accumulator] a commit of the MMA warp of the leader
//   released[accumulator]  each epilogue warp (of both): the columns that the next tile's sums need
//   are read scheduled[slot], taken[slot], armed[slot]: scheduler.cuh
//
// The leader of a pair is its even thread block; without pairs every thread block leads itself.
#pragma once

#include "gemm/format.cuh"
#include "params/gemm.h"
#include "params/gemm_layout.h"
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"

namespace nibble {

enum : int {
  kEpilogueWarps =
      kGemmEpilogueWarps,  // 0 to 3: warp w reads lanes 32 w to 32 w + 31 of tensor memory
  kTmaWarp = 4,
  kMmaWarp = 5,
  kSchedulerWarp = 6,
  kTileRows = kGemmTileRows,  // of a thread block
  kAtomBytes = kGemmAtomBytes,
};

// Constants of integers are enumerators, those of other types variable templates: NVRTC puts every
// other constant into the binary, used or not.
template <class Config>
constexpr GemmLayout kLayout = gemm_layout({Config::kFormat, Config::kOutput, Config::kCtaGroup,
                                            Config::kTileN, Config::kTileK, Config::kStages,
                                            Config::kAccumulators, Config::kEpilogueColumns,
                                            Config::kDirectStore});
template <class Config>
constexpr bool kIsFp4Output = Config::kOutput >= 3;

template <class Config>
struct Block {
  enum : int {
    kFormat = Config::kFormat,
    kPair = Config::kCtaGroup,
    kClusterSize = Config::kClusterM * Config::kClusterN,
    kAtoms = Config::kTileK / kAtomBytes,
    kBRows = Config::kTileN / kPair,  // of B in this thread block
  };

  static_assert(kLayout<Config>.used_columns <= kGemmTensorColumns,
                "tensor memory has 512 columns");
  static_assert(Config::kClusterM % kPair == 0, "kClusterM: a multiple of kCtaGroup");
  static_assert(Config::kTileN % Config::kEpilogueColumns == 0,
                "kEpilogueColumns must divide kTileN");
  static_assert(Config::kScheduler == 0 || Config::kSplit == 1, "kScheduler 1 needs kSplit 1");

  // Addresses in the shared window.
  uint32_t stages;
  uint32_t staging;
  uint32_t barriers;

  int rank, m_index, n_index;  // in the cluster: rank = m_index + n_index * kClusterM
  bool leads;

  __device__ Block(uint32_t shared) {
    stages = shared;
    staging = shared + kLayout<Config>.staging_offset;
    barriers = shared + kLayout<Config>.barrier_offset;
    rank = kClusterSize == 1 ? 0 : static_cast<int>(ptx::cluster_ctarank());
    m_index = rank % Config::kClusterM;
    n_index = rank / Config::kClusterM;
    leads = kPair == 1 || rank % 2 == 0;
  }

  __device__ uint32_t full(int stage) const { return barriers + 8 * stage; }
  __device__ uint32_t empty(int stage) const { return barriers + 8 * (Config::kStages + stage); }
  __device__ uint32_t summed(int i) const { return barriers + 8 * (2 * Config::kStages + i); }
  __device__ uint32_t released(int i) const { return barriers + 8 * (2 * Config::kStages + 2 + i); }
  __device__ uint32_t scheduled(int i) const {
    return barriers + 8 * (2 * Config::kStages + 4 + i);
  }
  __device__ uint32_t taken(int i) const { return barriers + 8 * (2 * Config::kStages + 6 + i); }
  __device__ uint32_t armed(int i) const { return barriers + 8 * (2 * Config::kStages + 8 + i); }
  __device__ uint32_t response(int i) const {
    return barriers + 8 * (2 * Config::kStages + 10) + 16 * i;
  }
  __device__ uint32_t tensor_address() const {
    return barriers + 8 * (2 * Config::kStages + 10) + 32;
  }
  static_assert(8 * (2 * Config::kStages + 10) + 36 <= kLayout<Config>.barrier_bytes);

  __device__ uint32_t a(int stage) const { return stages + stage * kLayout<Config>.stage_bytes; }
  __device__ uint32_t b(int stage) const { return a(stage) + kLayout<Config>.a_bytes; }
  __device__ uint32_t a_scales(int stage) const { return b(stage) + kLayout<Config>.b_bytes; }
  __device__ uint32_t b_scales(int stage) const {
    return a_scales(stage) + kLayout<Config>.a_scale_bytes;
  }

  // Masks of thread blocks of the cluster, a bit a rank.
  // Those with this one's rows of A.
  __device__ uint16_t same_rows() const {
    uint32_t mask = 0;
#pragma unroll
    for (int n = 0; n < Config::kClusterN; ++n) mask |= 1u << (n * Config::kClusterM);
    return static_cast<uint16_t>(mask << m_index);
  }
  // Those with this one's columns of the product: they need the same scales of B.
  __device__ uint16_t same_columns() const {
    return static_cast<uint16_t>(((1u << Config::kClusterM) - 1) << (n_index * Config::kClusterM));
  }
  // Those with this one's part of B: of a pair, each has a half.
  __device__ uint16_t same_b() const {
    uint32_t mask = 0;
#pragma unroll
    for (int m = 0; m < Config::kClusterM; m += kPair) mask |= 1u << m;
    return static_cast<uint16_t>(mask << (n_index * Config::kClusterM + m_index % kPair));
  }
  // Those whose loads the MMAs of this leader read.
  __device__ uint16_t loaders() const {
    uint32_t mask = same_rows() | same_columns();
    if constexpr (kPair == 2) mask |= same_rows() << 1;
    return static_cast<uint16_t>(mask);
  }
  // How many leaders have this thread block among their loaders.
  enum : int { kReaders = Config::kClusterN + Config::kClusterM / kPair - 1 };

  __device__ void init_barriers() const {
    for (int i = 0; i < Config::kStages; ++i) {
      ptx::mbarrier_init(full(i), 1);
      ptx::mbarrier_init(empty(i), kReaders);
    }
    for (int i = 0; i < 2; ++i) {
      ptx::mbarrier_init(summed(i), 1);
      ptx::mbarrier_init(released(i), kEpilogueWarps * kPair);
      ptx::mbarrier_init(scheduled(i), 1);
      // The TMA, scheduler and epilogue warps, and the MMA warp of a leader.
      ptx::mbarrier_init(taken(i), kEpilogueWarps + 2 + (leads ? 1 : 0));
      ptx::mbarrier_init(armed(i), kClusterSize);
    }
    ptx::fence_mbarrier_init_release_cluster();
  }

  // Waits for the phase of that parity. Where a cluster's thread blocks arrive, acquires from all
  // of it.
  static __device__ void wait(uint32_t barrier, uint32_t parity) {
    if constexpr (kClusterSize == 1) {
      while (!ptx::mbarrier_try_wait_parity(barrier, parity)) {
      }
    } else {
      while (!ptx::mbarrier_try_wait_parity_acquire_cluster(barrier, parity)) {
      }
    }
  }

  // All threads of the cluster.
  static __device__ void synchronize_cluster() {
    if constexpr (kClusterSize == 1) {
      __syncthreads();
    } else {
      ptx::barrier_cluster_arrive_release();
      ptx::barrier_cluster_wait_acquire();
    }
  }
};

// A place in a ring of kSize and the parity of its round.
template <int kSize>
struct Ring {
  int place = 0;
  uint32_t parity = 0;

  __device__ void advance() {
    if (++place == kSize) {
      place = 0;
      parity ^= 1;
    }
  }
};

}  // namespace nibble
