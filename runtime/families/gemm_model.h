// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// An analytic model of the gemm family's kernel on a B200 or B300: what it must do at least, and
// about how long that takes. Its figures are published ones or assumptions, each marked; nothing
// here was measured on such a GPU.
#pragma once

#include "runtime/families/gemm_config.h"

namespace nibble {

// [published]: reported by others for a B200. [derived]: computed from published figures.
// [assumed]: neither, chosen so that configurations rank sensibly.
namespace model {

// 1000 W board: 32,768 NVFP4 operations a clock and SM x 148 SMs x 1.856 GHz = 9.0 PFLOP/s
// [published: 9 PFLOP/s].
inline constexpr double kClockGigahertz = 1.856;
// An MMA takes 32 bytes of k: N / 2 cycles for 128 rows an SM [published: 128.2 at N = 256, 64.2 at
// N = 128].
inline constexpr int kMmaBytes = 32;
// Shared memory, bytes a clock and SM [published]: 48.2 cycles for 128 x 64 are (4096 + 2048) /
// 128. Reads and writes are counted apart: together they would forbid the 94 % of the peak that are
// reported for NVFP4 [derived].
inline constexpr double kSharedBytesPerClock = 128;
// L2 to an SM, bytes a clock: tiles of 256 x 256 need 76, and 94 % of the peak are reported with
// them [derived: a lower bound; no published figure].
inline constexpr double kL2BytesPerClock = 72;
// 7.7 to 8 TB/s [published].
inline constexpr double kHbmGigabytesPerSecond = 7700;
// 7.2 TB/s with 64 KB in flight on each of 148 SMs [published] are 1.35 us for a byte under load
// [derived].
inline constexpr double kLoadedLatencyNanoseconds = 1350;
inline constexpr double kFirstLoadNanoseconds =
    800;  // from a cold start to the first operand [assumed]
// From an MMA to its commit, in cycles: 298 at N = 256 for a pair [published].
inline constexpr double kCommitCycles = 298;
// cuLaunchKernel, on the host, in microseconds [published].
inline constexpr double kLaunchMicroseconds = 1.3;
// The MMA warp's own work a stage: waiting for it, and each copy of scales and MMA [assumed].
inline constexpr double kStageIssueCycles = 60;
inline constexpr double kInstructionIssueCycles = 6;
// The epilogue's four warps, one a scheduler: cycles for a column of 128 rows [assumed; 3.9 PTX
// instructions of a warp, counted with all that is not a step of k].
inline constexpr double kEpilogueColumnCycles = 4;
inline constexpr double kEpilogueFp4Cycles = 8;
inline constexpr double kEpilogueOperandCycles = 3;  // C or residual
inline constexpr double kEpilogueChunkCycles = 120;  // epilogue_columns: loads, barrier, store
// Stores from an SM, bytes a clock [assumed].
inline constexpr double kStoreBytesPerClock = 64;
// Waiting for the slowest of a cluster beyond a pair, for each doubling of it [assumed].
inline constexpr double kClusterPenalty = 0.03;
// What the faster of multiplying and loading costs the slower [assumed].
inline constexpr double kDisturbance = 0.05;
// Counting the parts of a split k in global memory, in nanoseconds [assumed].
inline constexpr double kArriveNanoseconds = 1000;

}  // namespace model

// Of the whole problem under one configuration. Times in microseconds.
struct GemmEstimate {
  GemmTiles tiles;
  GemmLayout layout;
  int64_t parts = 0;      // tiles x split
  int64_t at_once = 0;    // parts that the GPU works on at a time
  int64_t waves = 0;      // ceil(parts / at_once)
  int64_t steps = 0;      // stages of a part
  int copies = 0;         // of scale tiles to tensor memory, a stage
  double mma_cycles = 0;  // of one MMA

  // Bytes that one thread block moves for a stage
  double shared_read_bytes = 0, shared_written_bytes = 0, l2_bytes = 0;
  double epilogue_cycles = 0;  // of one tile
  double hbm_bytes = 0;        // of the whole problem

  // What each resource alone would need for all waves
  double tensor = 0, shared = 0, l2 = 0, hbm = 0, epilogue = 0, issue = 0;
  double latency = 0;  // the first stage's way in, and the last tile's way out
  double total = 0;    // with the overlap that the configuration has; without the launch
};

GemmEstimate estimate(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);

// No configuration with this cta_group, tile_n, tile_k and swapped is faster.
double least_microseconds(const GemmShape& shape, const GemmConfig& config,
                          const GemmDevice& device);

// hbm_bytes for a raster.
double hbm_bytes(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);

// Cycles of the epilogue's arithmetic for a column of a tile.
double epilogue_column_cycles(const GemmShape& shape);

}  // namespace nibble
