// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which tiles a thread block computes, and in which order: one scheduler a warp, all with the same
// answers. The unit of work is a tile of a whole cluster, or a part of its k.
//
// kScheduler 0: cluster i of g takes i, i + g, i + 2 g ...
// kScheduler 1: cluster launch control. There is a cluster for each tile; one that runs takes the
// tiles of those that have not been launched yet, so that fast ones take more. The scheduler warp
// of the cluster's first thread block asks, and the answer arrives in all of them. Two slots:
//   armed[slot]      (of rank 0) each scheduler warp: my thread block expects the answer
//   scheduled[slot]  the answer is here
//   taken[slot]      each warp that schedules has read it
#pragma once

#include "common/math.cuh"
#include "gemm/block.cuh"
#include "ptx/tma.cuh"

namespace nibble {

struct Work {
  int batch;
  int row, column;        // first of this thread block's tile
  int first_step, steps;  // of k, in stages
  int part;               // of kSplit
  int tile;               // of this thread block, among all: where its partial sums are
};

template <class Config>
class Scheduler {
 public:
  __device__ Scheduler(const Block<Config>& block, const GemmParams& params)
      : block_(block),
        params_(params),
        unit_(static_cast<int>(blockIdx.x) / Block<Config>::kClusterSize) {
    units_ = params.tiles_m * params.tiles_n * params.batch * Config::kSplit;
  }

  __device__ bool has_work() const { return unit_ >= 0 && unit_ < units_; }

  // Neighbouring units share operands: kRaster tiles along m are walked before the next along n.
  // The parts of a tile follow each other, so that they run at once.
  __device__ Work work() const {
    const int part = unit_ % Config::kSplit;
    const int tile = unit_ / Config::kSplit;
    const int tiles = params_.tiles_m * params_.tiles_n;
    const int batch = tile / tiles;
    const int in_batch = tile - batch * tiles;
    const int group_tiles = Config::kRaster * params_.tiles_n;
    const int group = in_batch / group_tiles;
    const int left = params_.tiles_m - group * Config::kRaster;
    const int rows = left < Config::kRaster ? left : Config::kRaster;
    const int in_group = in_batch - group * group_tiles;
    const int tile_m =
        (group * Config::kRaster + in_group % rows) * Config::kClusterM + block_.m_index;
    const int tile_n = in_group / rows * Config::kClusterN + block_.n_index;
    const auto first = static_cast<int>(int64_t{params_.k_steps} * part / Config::kSplit);
    const auto last = static_cast<int>(int64_t{params_.k_steps} * (part + 1) / Config::kSplit);
    return {batch,
            tile_m * kTileRows,
            tile_n * Config::kTileN,
            first,
            last - first,
            part,
            tile * Block<Config>::kClusterSize + block_.rank};
  }

  // By one thread, or by all of a warp (kWholeWarp), which then stay together.
  template <bool kWholeWarp>
  __device__ void advance() {
    if constexpr (Config::kScheduler == 0) {
      unit_ += static_cast<int>(gridDim.x) / Block<Config>::kClusterSize;
    } else {
      Block<Config>::wait(block_.scheduled(slot_.place), slot_.parity);
      const int first_block = ptx::clusterlaunchcontrol_query_cancel(block_.response(slot_.place));
      unit_ = first_block < 0 ? -1 : first_block / Block<Config>::kClusterSize;
      // The answer was written by the async proxy and read by ordinary loads; the next one goes to
      // the same place.
      ptx::fence_proxy_async_shared();
      if constexpr (kWholeWarp) {
        __syncwarp();
        if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(block_.taken(slot_.place));
      } else {
        ptx::mbarrier_arrive(block_.taken(slot_.place));
      }
      slot_.advance();
    }
  }

  // The scheduler warp: one thread of it.
  __device__ void run() {
    constexpr bool kMulticast = Block<Config>::kClusterSize > 1;
    Ring<2> slot;
    while (has_work()) {
      Block<Config>::wait(block_.taken(slot.place), slot.parity ^ 1);
      ptx::mbarrier_arrive_expect_tx(block_.scheduled(slot.place), 16);
      ptx::mbarrier_arrive_release_cluster(ptx::mapa_shared_cluster(block_.armed(slot.place), 0));
      if (block_.rank == 0) {
        Block<Config>::wait(block_.armed(slot.place), slot.parity);
        ptx::clusterlaunchcontrol_try_cancel<kMulticast>(block_.response(slot.place),
                                                         block_.scheduled(slot.place));
      }
      slot.advance();
      advance<false>();
    }
  }

 private:
  const Block<Config>& block_;
  const GemmParams& params_;
  int unit_;
  int units_;
  Ring<2> slot_;
};

}  // namespace nibble
