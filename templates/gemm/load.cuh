// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The TMA warp: operands and block scales into the ring of stages. In a cluster each thread block
// loads a slice of what it shares with others and multicasts it to all of them. Beyond the edges
// zeros arrive, and are counted, so that every stage has the same bytes.
#pragma once

#include "gemm/block.cuh"
#include "gemm/scheduler.cuh"
#include "ptx/tma.cuh"

namespace nibble {

// Whether other thread blocks of the cluster have the same rows of A, part of B, scales of B.
template <class Config>
constexpr bool kSharesA = Config::kClusterN > 1;
template <class Config>
constexpr bool kSharesB = Config::kClusterM > Config::kCtaGroup;
template <class Config>
constexpr bool kSharesBScales = Config::kClusterM > 1;

template <class Config>
class Loader {
  using Block = nibble::Block<Config>;
  enum : int {
    kPair = Config::kCtaGroup,
    kASlice = kTileRows / Config::kClusterN,  // rows
    kBSlice = Config::kTileN / Config::kClusterM,
  };
  static_assert(kASlice % 8 == 0 && kBSlice % 8 == 0, "slices are whole swizzle patterns");

 public:
  __device__ Loader(const Block& block, const GemmParams& params)
      : block_(block), params_(params) {}

  // One thread.
  __device__ void run() {
    Scheduler<Config> scheduler(block_, params_);
    for (; scheduler.has_work(); scheduler.template advance<false>()) {
      const Work work = scheduler.work();
      for (int step = work.first_step; step < work.first_step + work.steps; ++step)
        load(work, step);
    }
    ptx::griddepcontrol_launch_dependents();
    // No commit may be on its way to a thread block that has ended.
    for (int i = 0; i < Config::kStages; ++i, ring_.advance()) {
      Block::wait(block_.empty(ring_.place), ring_.parity ^ 1);
    }
  }

 private:
  __device__ void load(const Work& work, int step) {
    const int stage = ring_.place;
    Block::wait(block_.empty(stage), ring_.parity ^ 1);
    if (block_.leads) {
      ptx::mbarrier_arrive_expect_tx(block_.full(stage), kLayout<Config>.loaded_bytes * kPair);
    }
    // Bit 24 of a shared address is the lowest of the rank: cleared, it names the leader's barrier.
    const uint32_t full = kPair == 2 ? block_.full(stage) & 0xfeffffffu : block_.full(stage);
    const int b_column = work.column + block_.m_index % kPair * Block::kBRows;
    const int a_row = block_.n_index * kASlice;
    const int b_row = block_.m_index / kPair * kBSlice;
#pragma unroll
    for (int atom = 0; atom < Block::kAtoms; ++atom) {
      const int x = step * Config::kTileK + atom * kAtomBytes;
      ptx::cp_async_bulk_tensor_3d<kPair, kSharesA<Config>>(
          block_.a(stage) + (atom * kTileRows + a_row) * kAtomBytes, &params_.a, full, x,
          work.row + a_row, work.batch, block_.same_rows());
      ptx::cp_async_bulk_tensor_3d<kPair, kSharesB<Config>>(
          block_.b(stage) + (atom * Block::kBRows + b_row) * kAtomBytes, &params_.b, full, x,
          b_column + b_row, work.batch, block_.same_b());
    }
    if constexpr (kHasBlockScales<Config::kFormat>) {
      const int tile = step * kLayout<Config>.scale_tiles;
      if (!kSharesA<Config> || block_.n_index == 0) {
        ptx::cp_async_bulk_tensor_4d<kPair, kSharesA<Config>>(
            block_.a_scales(stage), &params_.a_scales, full, 0, tile, work.row / kTileRows,
            work.batch, block_.same_rows());
      }
      if (!kSharesBScales<Config> || block_.m_index == 0) {
        ptx::cp_async_bulk_tensor_4d<kPair, kSharesBScales<Config>>(
            block_.b_scales(stage), &params_.b_scales, full, 0, tile, work.column / kTileRows,
            work.batch, block_.same_columns());
      }
    }
    ring_.advance();
  }

  const Block& block_;
  const GemmParams& params_;
  Ring<Config::kStages> ring_;
};

}  // namespace nibble
