// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The MMA warp: block scales from shared to tensor memory, products summed in tensor memory.
#pragma once

#include "gemm/block.cuh"
#include "gemm/scheduler.cuh"

namespace nibble {

// Accumulators take turns. Each has tile_n columns; where they overlap, the second begins before
// the first ends.
template <class Config>
struct Accumulator {
  enum : int { kOverlap = kLayout<Config>.overlap };
  Ring<Config::kAccumulators> ring;

  __device__ uint32_t column() const { return ring.place * (Config::kTileN - kOverlap); }
};

template <class Config>
class Summer {
  using Block = nibble::Block<Config>;
  enum : int {
    kFormat = Config::kFormat,
    kPair = Config::kCtaGroup,
  };
  enum : uint32_t {
    kDescriptor = instruction_descriptor<kFormat>(
        kTileRows * kPair, Config::kTileN,
        Config::kSwapped ? Config::kE5m2OfB != 0 : Config::kE5m2OfA != 0,
        Config::kSwapped ? Config::kE5m2OfA != 0 : Config::kE5m2OfB != 0)
  };

 public:
  __device__ Summer(const Block& block, const GemmParams& params, uint32_t tensor_memory)
      : block_(block), params_(params), tensor_memory_(tensor_memory) {}

  // One thread of the leader.
  __device__ void run() {
    Scheduler<Config> scheduler(block_, params_);
    for (; scheduler.has_work(); scheduler.template advance<false>()) {
      const Work work = scheduler.work();
      wait_for_accumulator();
      ptx::tcgen05_fence_after_thread_sync();
      // A tile of 32 or 64 columns may begin inside of a scale tile: 32 rows a column.
      const uint32_t b_shift = work.column % kTileRows / 32;
      for (int step = 0; step < work.steps; ++step) sum_stage(step > 0, b_shift);
      commit(block_.summed(accumulator_.ring.place),
             static_cast<uint16_t>((kPair == 2 ? 3u : 1u) << block_.rank));
      accumulator_.ring.advance();
    }
    // The last commits to this thread block's barriers arrive before it ends.
    for (int i = 0; i < Config::kAccumulators; ++i, accumulator_.ring.advance()) wait_for_release();
  }

 private:
  // The epilogue has read what this accumulator held, and, where they overlap, the columns that it
  // shares with the one before, which is the later of the two events.
  __device__ void wait_for_accumulator() {
    if constexpr (kLayout<Config>.overlap > 0) {
      if (!first_) {
        Block::wait(block_.released(accumulator_.ring.place ^ 1), accumulator_.ring.place == 0
                                                                      ? accumulator_.ring.parity ^ 1
                                                                      : accumulator_.ring.parity);
      }
      first_ = false;
    } else {
      wait_for_release();
    }
  }
  __device__ void wait_for_release() {
    Block::wait(block_.released(accumulator_.ring.place), accumulator_.ring.parity ^ 1);
  }

  __device__ void sum_stage(bool accumulate, uint32_t b_shift) {
    const int stage = ring_.place;
    Block::wait(block_.full(stage), ring_.parity);
    ptx::tcgen05_fence_after_thread_sync();
    const uint32_t scales = tensor_memory_ + kLayout<Config>.accumulator_columns +
                            slot_.place * kLayout<Config>.scale_columns_per_slot;
    if constexpr (kHasBlockScales<kFormat>) copy_scales(stage, scales);
    const uint32_t sum = tensor_memory_ + accumulator_.column();
    const uint64_t a = operand_descriptor(block_.a(stage));
    const uint64_t b = operand_descriptor(block_.b(stage));
#pragma unroll
    for (int i = 0; i < Block::kAtoms * kMmasPerAtom; ++i) {
      const int atom = i / kMmasPerAtom;
      const int bytes = i % kMmasPerAtom * kMmaBytes;
      const int tile = i * kScaleTilesPerAtom<kFormat> / kMmasPerAtom;
      multiply<kFormat, kPair>(
          sum, a + ((atom * kTileRows * kAtomBytes + bytes) >> 4),
          b + ((atom * Block::kBRows * kAtomBytes + bytes) >> 4),
          kDescriptor | scale_ids<kFormat>(i), scales + tile * kGemmScaleTileColumns,
          scales + kLayout<Config>.a_scale_columns +
              tile * kGemmScaleTileColumns * kLayout<Config>.b_row_blocks + b_shift,
          accumulate || i > 0);
    }
    commit(block_.empty(stage), block_.loaders());
    ring_.advance();
  }

  // Into the slot of this stage. That MMAs read a slot before a later copy writes it is not
  // promised: where there are fewer slots than stages, wait until the MMAs of the slot's last use
  // are complete. (Where there are as many, the TMA warp has waited for that.)
  __device__ void copy_scales(int stage, uint32_t scales) {
    if constexpr (kLayout<Config>.scale_slots < Config::kStages) {
      if (steps_ >= kLayout<Config>.scale_slots) {
        const int step = steps_ - kLayout<Config>.scale_slots;
        Block::wait(block_.empty(step % Config::kStages), step / Config::kStages & 1);
        ptx::tcgen05_fence_after_thread_sync();
      }
      ++steps_;
    }
#pragma unroll
    for (int tile = 0; tile < kLayout<Config>.scale_tiles; ++tile) {
      ptx::tcgen05_cp_32x128b_warpx4<kPair>(
          scales + tile * kGemmScaleTileColumns,
          scale_descriptor(block_.a_scales(stage) + tile * kGemmScaleTileBytes));
#pragma unroll
      for (int rows = 0; rows < kLayout<Config>.b_row_blocks; ++rows) {
        ptx::tcgen05_cp_32x128b_warpx4<kPair>(
            scales + kLayout<Config>.a_scale_columns +
                (tile * kLayout<Config>.b_row_blocks + rows) * kGemmScaleTileColumns,
            scale_descriptor(block_.b_scales(stage) +
                             (rows * kLayout<Config>.scale_tiles + tile) * kGemmScaleTileBytes));
      }
    }
    slot_.advance();
  }

  __device__ static void commit(uint32_t barrier, uint16_t mask) {
    if constexpr (Block::kClusterSize == 1) {
      ptx::tcgen05_commit<kPair>(barrier);
    } else {
      ptx::tcgen05_commit_multicast<kPair>(barrier, mask);
    }
  }

  const Block& block_;
  const GemmParams& params_;
  uint32_t tensor_memory_;
  Accumulator<Config> accumulator_;
  Ring<Config::kStages> ring_;
  Ring<kLayout<Config>.scale_slots == 0 ? 1 : kLayout<Config>.scale_slots> slot_;
  int steps_ = 0;
  bool first_ = true;
};

}  // namespace nibble
