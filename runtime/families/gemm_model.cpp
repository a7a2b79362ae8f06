// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_model.h"

#include <algorithm>
#include <cmath>

namespace nibble {

namespace {

double divide_up(double value, double divisor) { return std::ceil(value / divisor); }

double output_bits(OutputType type) {
  switch (type) {
    case OutputType::kF32:
      return 32;
    case OutputType::kF16:
    case OutputType::kBf16:
      return 16;
    case OutputType::kNvfp4:
      return 4 + 8.0 / 16;
    case OutputType::kMxfp4:
      return 4 + 8.0 / 32;
  }
  return 0;
}

// Bytes of D, C and the residual that belong to one element of the product.
double written_bytes(const GemmShape& shape) {
  return output_bits(shape.output) / 8 / (shape.gated ? 2 : 1);
}
double read_bytes(const GemmShape& shape) {
  return shape.c_bytes + static_cast<double>(shape.residual_bytes) / (shape.gated ? 2 : 1);
}

double microseconds(double cycles) { return cycles / (model::kClockGigahertz * 1e3); }
double cycles_of(double nanoseconds) { return nanoseconds * model::kClockGigahertz; }

// Bytes of one row of an operand with its scales.
double row_bytes(const GemmShape& shape) {
  const int format = static_cast<int>(shape.format);
  const double scales =
      gemm_scale_tiles(format) * 4.0 / double{kGemmAtomBytes};  // a byte of the row
  return static_cast<double>(shape.k) * gemm_element_bits(format) / 8 * (1 + scales);
}

double mma_cycles(const GemmConfig& config) {
  const double rows = double{kGemmTileRows} + static_cast<double>(config.tile_n) / config.cta_group;
  return std::max(config.tile_n / 2.0, rows * model::kMmaBytes / model::kSharedBytesPerClock);
}

void count_stage(const GemmConfig& config, GemmEstimate& result) {
  const GemmLayout& layout = result.layout;
  const double operands = layout.a_bytes + layout.b_bytes;
  result.copies = (layout.a_scale_bytes + layout.b_scale_bytes) / kGemmScaleTileBytes;
  result.mma_cycles = mma_cycles(config);
  result.shared_read_bytes = operands + layout.scale_bytes;
  result.shared_written_bytes = layout.loaded_bytes;
  // Rows beyond the edge are filled with zeros, not loaded. A
  // thread block loads its slice of what it shares: A and its scales along n, its half of B with
  // every second, and the scales of B with all thread blocks along m.
  const double there = static_cast<double>(result.tiles.columns) /
                       static_cast<double>(result.tiles.tiles_n * config.tile_n);
  result.l2_bytes =
      (layout.a_bytes + layout.a_scale_bytes) / static_cast<double>(config.cluster_n) +
      (layout.b_bytes * there * config.cta_group + layout.b_scale_bytes) / config.cluster_m;
}

double epilogue_cycles(const GemmShape& shape, const GemmConfig& config) {
  const double chunks = static_cast<double>(config.tile_n) / config.epilogue_columns;
  const double arithmetic =
      config.tile_n * epilogue_column_cycles(shape) + chunks * model::kEpilogueChunkCycles;
  const double bytes =
      double{kGemmTileRows} * config.tile_n * (written_bytes(shape) + read_bytes(shape));
  // Rows of 16 bytes fill half of what a store moves.
  return std::max(arithmetic, bytes * (shape.direct_store ? 2 : 1) / model::kStoreBytesPerClock);
}

// Of a part, without overlap: the last part of a tile reads the sums of all.
double split_cycles(const GemmConfig& config) {
  if (config.split == 1) return 0;
  const double bytes = static_cast<double>(kGemmTileRows) * config.tile_n * sizeof(float);
  return cycles_of(model::kArriveNanoseconds) + bytes / model::kStoreBytesPerClock +
         config.split * bytes / model::kL2BytesPerClock;
}

// The cycles of a stage: the slowest of what works at the same time.
double stage_cycles(const GemmConfig& config, const GemmEstimate& result) {
  const double mmas = static_cast<double>(config.tile_k) / model::kMmaBytes;
  const double tensor = mmas * result.mma_cycles;
  const double shared =
      std::max(result.shared_read_bytes, result.shared_written_bytes) / model::kSharedBytesPerClock;
  const double l2 = result.l2_bytes / model::kL2BytesPerClock;
  const double issue =
      model::kStageIssueCycles + (mmas + result.copies) * model::kInstructionIssueCycles;
  const double slowest = std::max({tensor, shared, l2, issue});
  const double beyond_pair =
      std::log2(static_cast<double>(config.cluster_m * config.cluster_n) / config.cta_group);
  return slowest * (1 + model::kClusterPenalty * beyond_pair);
}

// All waves, in cycles.
double kernel_cycles(const GemmConfig& config, const GemmEstimate& result) {
  const double mainloop = static_cast<double>(result.steps) * stage_cycles(config, result);
  const double epilogue = result.epilogue_cycles + split_cycles(config);
  double each = mainloop + epilogue;
  if (config.accumulators == 2) {
    const double shared = static_cast<double>(result.layout.overlap) / config.tile_n;
    each = std::max(mainloop + shared * epilogue, epilogue);
  }
  // The stages that are in flight arrive once a latency, across tiles too.
  const double waves = static_cast<double>(result.waves);
  const double loads = waves * static_cast<double>(result.steps) / config.stages - 1;
  return std::max(mainloop + (waves - 1) * each,
                  loads * cycles_of(model::kLoadedLatencyNanoseconds)) +
         epilogue;
}

}  // namespace

double epilogue_column_cycles(const GemmShape& shape) {
  // tanh, erf, sigmoid: instructions of their fp32 forms [assumed].
  constexpr double kActivationCycles[] = {0, 1, 2, 12, 24, 10};
  const double activation = kActivationCycles[static_cast<int>(shape.activation)];
  const double halves = shape.gated ? 0.5 : 1;
  double cycles = model::kEpilogueColumnCycles + activation * halves;
  if (shape.c_bytes != 0) cycles += model::kEpilogueOperandCycles;
  if (shape.residual_bytes != 0) cycles += model::kEpilogueOperandCycles * halves;
  if (gemm_output_bytes(static_cast<int>(shape.output)) == 0) {
    cycles += model::kEpilogueFp4Cycles * halves;
  }
  return cycles;
}

// A band of `raster` rows of clusters is walked over all columns, so A comes once as long as its
// band stays in half of the L2 cache, and B once a band, or once where all of it stays.
double hbm_bytes(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device) {
  const GemmTiles tiles = gemm_tiles(shape, config);
  const double row = row_bytes(shape);
  const double a = static_cast<double>(tiles.rows) * row;
  const double b = static_cast<double>(tiles.columns) * row;
  const double room = static_cast<double>(device.l2_bytes) / 2;
  const double elements = static_cast<double>(shape.m) * static_cast<double>(shape.n);
  const double others = elements * (written_bytes(shape) + read_bytes(shape));
  double operands = a + b;
  if (a + b > room) {
    const double band_rows = static_cast<double>(config.raster * tiles.tile_rows);
    const double at_once = device.multiprocessors / static_cast<double>(config.cta_group);
    const double sweeps =
        divide_up(static_cast<double>(tiles.tiles_n), std::max(1.0, at_once / config.raster));
    const double bands = divide_up(static_cast<double>(tiles.rows), band_rows);
    operands = a * (band_rows * row <= room ? 1 : sweeps) + b * (b <= room ? 1 : bands);
  }
  return static_cast<double>(shape.batch) * (operands + others);
}

double least_microseconds(const GemmShape& shape, const GemmConfig& config,
                          const GemmDevice& device) {
  const bool swapped = config.swapped == 1;
  const double rows = static_cast<double>(swapped ? shape.n : shape.m);
  const double columns = static_cast<double>(swapped ? shape.m : shape.n);
  const double tiles = divide_up(rows, kGemmTileRows * config.cta_group) *
                       divide_up(columns, config.tile_n) * static_cast<double>(shape.batch);
  const double bits =
      static_cast<double>(shape.k) * gemm_element_bits(static_cast<int>(shape.format));
  const double mmas = divide_up(bits / 8, config.tile_k) * config.tile_k / model::kMmaBytes;
  const double at_once = static_cast<double>(device.multiprocessors) / config.cta_group;
  return microseconds(tiles * mmas * mma_cycles(config) / at_once);
}

GemmEstimate estimate(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device) {
  GemmEstimate result;
  result.tiles = gemm_tiles(shape, config);
  result.layout = layout_of(shape, config);
  result.parts = result.tiles.count * config.split;
  const int cluster = config.cluster_m * config.cluster_n;
  result.at_once =
      std::max<int64_t>(1, device.multiprocessors / cluster) * cluster / config.cta_group;
  result.waves = std::max<int64_t>(1, (result.parts + result.at_once - 1) / result.at_once);
  result.steps = (result.tiles.k_steps + config.split - 1) / config.split;
  count_stage(config, result);
  result.epilogue_cycles = epilogue_cycles(shape, config);
  result.hbm_bytes = hbm_bytes(shape, config, device);

  const double waves = static_cast<double>(result.waves);
  const double stages = waves * static_cast<double>(result.steps);
  const double mmas = static_cast<double>(config.tile_k) / model::kMmaBytes;
  result.tensor = microseconds(stages * mmas * result.mma_cycles);
  result.shared =
      microseconds(stages * std::max(result.shared_read_bytes, result.shared_written_bytes) /
                   model::kSharedBytesPerClock);
  result.l2 = microseconds(stages * result.l2_bytes / model::kL2BytesPerClock);
  result.hbm = result.hbm_bytes / (model::kHbmGigabytesPerSecond * 1e3);
  result.epilogue = microseconds(waves * (result.epilogue_cycles + split_cycles(config)));
  result.issue = microseconds(stages * (model::kStageIssueCycles +
                                        (mmas + result.copies) * model::kInstructionIssueCycles));
  result.latency = model::kFirstLoadNanoseconds * 1e-3 + microseconds(model::kCommitCycles);
  const double tail = microseconds(result.epilogue_cycles + split_cycles(config));
  const double kernel = microseconds(kernel_cycles(config, result));
  const double memory = result.hbm + tail;
  result.total =
      result.latency + std::max(kernel, memory) + model::kDisturbance * std::min(kernel, memory);
  return result;
}

}  // namespace nibble
