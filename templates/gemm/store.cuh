// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The epilogue warps: sums from tensor memory, each thread a row of 32 lanes' part of the tile,
// kEpilogueColumns at a time, through the epilogue to D. The warps do not wait for each other: each
// has its own staging buffers and stores its own 32 rows.
#pragma once

#include "gemm/block.cuh"
#include "gemm/group.cuh"
#include "gemm/output_fp4.cuh"
#include "gemm/sum.cuh"
#include "ptx/atomic.cuh"
#include "ptx/shared.cuh"

namespace nibble {

// Runs go down a column of D where operands are swapped.
template <class Config>
constexpr bool kDown = Config::kSwapped != 0;

template <class Config>
class Storer {
  using Block = nibble::Block<Config>;
  enum : int {
    kColumns = Config::kEpilogueColumns,
    kChunks = Config::kTileN / kColumns,
    kOut = kFinished<Config, kColumns>,  // columns of D of a chunk
    kGroup = kGroupColumns<Config>,      // of a chunk, that are finished at a time
  };
  enum : int { kElement = kElementBytes<Config::kOutput> };
  // After so many chunks the next tile's sums may begin: those that both accumulators contain come
  // first.
  enum : int {
    kReleasingChunk =
        kLayout<Config>.overlap > 0 ? kLayout<Config>.overlap / kColumns - 1 : kChunks - 1
  };

 public:
  __device__ Storer(const Block& block, const GemmParams& params, uint32_t tensor_memory)
      : block_(block),
        params_(params),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32),
        tensor_memory_(tensor_memory + (static_cast<uint32_t>(warp_) << 21)) {}

  // All threads of the four warps.
  __device__ void run() {
    alpha_ = gemm_alpha<Config>(params_.epilogue);
    if constexpr (kIsFp4Output<Config>) output_scale_ = output_scale<Config>(params_.epilogue);
    Scheduler<Config> scheduler(block_, params_);
    for (; scheduler.has_work(); scheduler.template advance<true>()) {
      const Work work = scheduler.work();
      Block::wait(block_.summed(accumulator_.ring.place), accumulator_.ring.parity);
      ptx::tcgen05_fence_after_thread_sync();
      if constexpr (Config::kSplit > 1) {
        keep_partial_sums(work);
        if (all_parts_are_here(work)) add_partial_sums(work);
      } else {
        for_each_chunk([&](int chunk, const TensorSums& sums) { store(work, chunk, sums); });
      }
      accumulator_.ring.advance();
    }
    if constexpr (Config::kAmax) warp_amax(amax_, params_.epilogue.d_amax);
    if (lane_ == 0) ptx::cp_async_bulk_wait_group();
  }

 private:
  // The sums of a chunk in tensor memory: those of each group are read once, in order. Tells the
  // MMA warp when its next tile may begin.
  struct TensorSums {
    Storer& storer;
    int chunk;
    bool releases;

    __device__ void operator()(int column, float (&value)[kGroup]) const {
      uint32_t bits[kGroup];
      ptx::tcgen05_ld_32x32b(
          storer.tensor_memory_ + storer.accumulator_.column() + chunk * kColumns + column, bits);
      ptx::tcgen05_wait_ld(bits);
      if (releases && column == kColumns - kGroup) storer.release();
#pragma unroll
      for (int i = 0; i < kGroup; ++i) value[i] = __uint_as_float(bits[i]);
    }
  };

  // use(chunk, its sums)
  template <class Use>
  __device__ void for_each_chunk(Use use) {
    const bool last_first = kLayout<Config>.overlap > 0 && accumulator_.ring.place == 0;
#pragma unroll 1
    for (int i = 0; i < kChunks; ++i) {
      const int chunk = last_first ? kChunks - 1 - i : i;
      use(chunk, TensorSums{*this, chunk, i == kReleasingChunk});
    }
  }

  __device__ void release() {
    ptx::tcgen05_fence_before_thread_sync();
    __syncwarp();
    if (lane_ != 0) return;
    const uint32_t released = block_.released(accumulator_.ring.place);
    if constexpr (Config::kCtaGroup == 2) {
      ptx::mbarrier_arrive_release_cluster(ptx::mapa_shared_cluster(released, block_.rank & ~1));
    } else {
      ptx::mbarrier_arrive(released);
    }
  }

  // Sums of this thread's row, of a part of k: [chunk][kColumns / 4][row][4], so that a warp writes
  // 512 bytes next to each other. The next four of a row are kNextSums further.
  __device__ float* partial_sums(const Work& work, int part, int chunk) const {
    const int64_t tile = int64_t{work.tile} * Config::kSplit + part;
    return params_.partial_sums + (tile * kChunks + chunk) * (kColumns * kTileRows) +
           (warp_ * 32 + lane_) * 4;
  }
  enum : int { kNextSums = kTileRows * 4 };

  __device__ void keep_partial_sums(const Work& work) {
    for_each_chunk([&](int chunk, const TensorSums& sums) {
      float* to = partial_sums(work, work.part, chunk);
#pragma unroll 1
      for (int column = 0; column < kColumns; column += kGroup) {
        float value[kGroup];
        sums(column, value);
#pragma unroll
        for (int i = 0; i < kGroup; i += 4) {
          const uint32_t words[4] = {__float_as_uint(value[i]), __float_as_uint(value[i + 1]),
                                     __float_as_uint(value[i + 2]), __float_as_uint(value[i + 3])};
          ptx::st_global_v4_b32(to + (column + i) / 4 * kNextSums, words);
        }
      }
    });
  }

  // True in the warp that is the last of this tile's parts to arrive, with the sums of all visible.
  __device__ bool all_parts_are_here(const Work& work) {
    unsigned* arrived = params_.arrived_parts + work.tile * kEpilogueWarps + warp_;
    __syncwarp();
    uint32_t before = 0;
    if (lane_ == 0) before = ptx::atom_add_acq_rel_gpu_global_u32(arrived, 1);
    before = __shfl_sync(0xffffffffu, before, 0);
    if (before != Config::kSplit - 1) return false;
    if (lane_ == 0) *arrived = 0;  // for the next launch
    return true;
  }

  // In the order of the parts, whichever came last.
  __device__ void add_partial_sums(const Work& work) {
#pragma unroll 1
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      store(work, chunk, [&](int column, float(&value)[kGroup]) {
#pragma unroll
        for (int i = 0; i < kGroup; ++i) value[i] = -0.0f;  // the first sum is unchanged by it
#pragma unroll 1
        for (int part = 0; part < Config::kSplit; ++part) {
          const float* from = partial_sums(work, part, chunk) + column / 4 * kNextSums;
#pragma unroll
          for (int i = 0; i < kGroup; i += 4) {
            float sums[4];
            ptx::ld_relaxed_gpu_global_v4_f32(from + i / 4 * kNextSums, sums);
#pragma unroll
            for (int j = 0; j < 4; ++j) value[i + j] = __fadd_rn(value[i + j], sums[j]);
          }
        }
      });
    }
  }

  // The finished values of this thread's row of the chunk; sums: as of for_each_chunk.
  template <class Sums>
  __device__ void finish_chunk(const Work& work, int row, int column, Sums sums,
                               float (&value)[kOut]) {
    constexpr int kStep = kFinished<Config, kGroup>;
    const GemmEpilogueParams& params = params_.epilogue;
#pragma unroll 1
    for (int first = 0; first < kColumns; first += kGroup) {
      const int64_t group_row = row + (kDown<Config> ? first : 0);
      const int64_t group_column = column + (kDown<Config> ? 0 : first);
      float group[kGroup];
      sums(first, group);
      finish<Config, kGroup, kDown<Config>>(params, alpha_, work.batch, group_row, group_column,
                                            group);
      if constexpr (kIsFp4Output<Config>) {
        const int64_t d_first = d_column<Config>(group_column);
        cut_run<Config, kStep>(count_in_d<Config, kStep, false>(params, row, d_first), group,
                               amax_);
      }
      // Registers have no index: groups come in at the end, and the earlier ones move on.
#pragma unroll
      for (int i = 0; i < kOut; ++i) {
        value[i] = i + kStep < kOut ? value[i + kStep] : group[i + kStep - kOut];
      }
    }
  }

  // This thread's row of the chunk. With kSwapped the MMA's rows are columns of D.
  template <class Sums>
  __device__ void store(const Work& work, int chunk, Sums sums) {
    const GemmEpilogueParams& params = params_.epilogue;
    const int first = work.column + chunk * kColumns;
    const int row = kDown<Config> ? first : work.row + warp_ * 32 + lane_;
    const int column = kDown<Config> ? work.row + warp_ * 32 + lane_ : first;
    float value[kOut];
    finish_chunk(work, row, column, sums, value);
    const int64_t d_first = d_column<Config>(column);
    if constexpr (kIsFp4Output<Config>) {
      store_fp4_row<Config, kOut>(params, output_scale_, work.batch, row, d_first, value);
    } else {
      uint32_t word[kPackedWords<Config, kOut>];
      pack<Config, kOut>(value, word);
      const int count = count_in_d<Config, kOut, kDown<Config>>(params, row, d_first);
      if constexpr (Config::kAmax) track_amax<Config, kOut>(word, count, amax_);
      if constexpr (Config::kDirectStore) {
        store_direct<Config, kOut, kDown<Config>>(params, work.batch, row, d_first, count, word);
      } else {
        store_staged(work, static_cast<int>(kDown<Config> ? row : d_first), word);
      }
    }
  }

  // Through the warp's staging buffer. `first`: column of D, kSwapped: row.
  __device__ void store_staged(const Work& work, int first,
                               const uint32_t (&word)[kPackedWords<Config, kOut>]) {
    const uint32_t buffer = block_.staging + (warp_ * kGemmStagingBuffers + buffer_) *
                                                 kLayout<Config>.staging_buffer_bytes;
    buffer_ ^= 1;
    // The store before the last has read this buffer.
    if (lane_ == 0) ptx::cp_async_bulk_wait_group_read<kGemmStagingBuffers - 1>();
    __syncwarp();
    if constexpr (kDown<Config>) {
      write_columns(buffer, word);
    } else {
      write_row(buffer, word);
    }
    ptx::fence_proxy_async_shared();
    __syncwarp();
    if (lane_ != 0) return;
    const int lanes = work.row + warp_ * 32;
    ptx::cp_async_bulk_tensor_3d_store(&params_.d, buffer, kDown<Config> ? lanes : first,
                                       kDown<Config> ? first : lanes, work.batch);
    ptx::cp_async_bulk_commit_group();
  }

  // [32 rows][kOut], swizzled as the tensor map says, so that eight rows' pieces of 16 bytes lie in
  // different banks.
  __device__ void write_row(uint32_t buffer, const uint32_t (&word)[kPackedWords<Config, kOut>]) {
    constexpr int kRowBytes = kOut * kElement;
    static_assert(kRowBytes >= 16 && kRowBytes <= 128, "a row of a box of the swizzle");
    constexpr uint32_t kMask = kRowBytes / 16 - 1;
    const uint32_t row = lane_ * kRowBytes;
#pragma unroll
    for (uint32_t i = 0; i < kRowBytes / 16; ++i) {
      const uint32_t offset = row + 16 * i;
      ptx::st_shared_v4_b32(buffer + (offset ^ (offset >> 7 & kMask) << 4), word[4 * i],
                            word[4 * i + 1], word[4 * i + 2], word[4 * i + 3]);
    }
  }

  // [kOut rows of D][32]: this lane's column.
  __device__ void write_columns(uint32_t buffer,
                                const uint32_t (&word)[kPackedWords<Config, kOut>]) {
#pragma unroll
    for (int i = 0; i < kOut; ++i) {
      const uint32_t to = buffer + (i * 32 + lane_) * kElement;
      if constexpr (kElement == 4) {
        ptx::st_shared_b32(to, word[i]);
      } else {
        ptx::st_shared_b16(to, static_cast<uint16_t>(word[i / 2] >> 16 * (i % 2)));
      }
    }
  }

  const Block& block_;
  const GemmParams& params_;
  int warp_, lane_;
  uint32_t tensor_memory_;  // of this warp's lanes
  float alpha_ = 0;
  TensorScale output_scale_{};
  float amax_ = 0;
  int buffer_ = 0;
  Accumulator<Config> accumulator_;
};

}  // namespace nibble
