// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "runtime/families/gemm_rules.h"

namespace nibble {

namespace {

std::string number(int64_t value) { return std::to_string(value); }

// "tile_n = 48: must be 8, 16 or 32".
std::string not_among(const char* name, int value, std::span<const int> legal_values) {
  std::vector<int> values(legal_values.begin(), legal_values.end());
  std::sort(values.begin(), values.end());
  std::string text = std::string(name) + " = " + number(value) + ": must be ";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " or " : ", ";
    text += number(values[i]);
  }
  return text;
}

std::string value_text(GemmRule rule, const GemmConfig& config) {
  switch (rule) {
    case GemmRule::kCtaGroup:
      return not_among("cta_group", config.cta_group, kGemmCtaGroupValues);
    case GemmRule::kTileN:
      return not_among("tile_n", config.tile_n, kGemmTileNValues);
    case GemmRule::kTileK:
      return not_among("tile_k", config.tile_k, kGemmTileKValues);
    case GemmRule::kClusterM:
      return not_among("cluster_m", config.cluster_m, kGemmClusterMValues);
    case GemmRule::kClusterN:
      return not_among("cluster_n", config.cluster_n, kGemmClusterNValues);
    case GemmRule::kStages:
      return not_among("stages", config.stages, kGemmStagesValues);
    case GemmRule::kAccumulators:
      return not_among("accumulators", config.accumulators, kGemmAccumulatorsValues);
    case GemmRule::kRaster:
      return not_among("raster", config.raster, kGemmRasterValues);
    case GemmRule::kSplit:
      return not_among("split", config.split, kGemmSplitValues);
    case GemmRule::kEpilogueColumns:
      return not_among("epilogue_columns", config.epilogue_columns, kGemmEpilogueColumnsValues);
    case GemmRule::kScheduler:
      return not_among("scheduler", config.scheduler, kGemmSchedulerValues);
    case GemmRule::kSwapped:
      return not_among("swapped", config.swapped, kGemmSwappedValues);
    default:
      return {};
  }
}

std::string tile_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config) {
  const std::string tile_n = "tile_n = " + number(config.tile_n);
  const std::string columns = "epilogue_columns = " + number(config.epilogue_columns);
  switch (rule) {
    case GemmRule::kNeverSwapped:
      return std::string("swapped = 1: ") + (shape.gated ? "a gated product" : "an FP4 output") +
             " cannot be computed transposed";
    case GemmRule::kPairTile:
      return "cta_group = 2 with " + tile_n +
             ": a pair of thread blocks needs tile_n of 64 or more, each loads half of it";
    case GemmRule::kNarrowTile:
      return tile_n + ": a tile of less than 32 columns must hold the whole product, whose " +
             (config.swapped == 1 ? "rows (swapped) are " : "columns are ") +
             number(config.swapped == 1 ? shape.m : shape.n);
    case GemmRule::kEpilogueDivides:
      return columns + ": must divide " + tile_n + " and be " +
             number(std::min(config.tile_n, 32)) + " or more";
    case GemmRule::kGatedColumns:
      return columns + ": a gated product needs 16 or more";
    case GemmRule::kStagedRows:
      return columns + ": they are " + number(staged_row_bytes(shape, config)) +
             " bytes of a row of D; a TMA store with a swizzle takes 16 to 128";
    case GemmRule::kSwappedColumns:
      return columns +
             " with swapped = 1: must be at most 32, each is an address of its own in a register";
    case GemmRule::kNvfp4Columns:
      return columns + ": an NVFP4 output needs 64: four scales are one word";
    case GemmRule::kMxfp4Columns:
      return columns + " with " + tile_n + ": an MXFP4 output needs tile_n of 64 or more and " +
             (shape.gated ? "64 (gated: two columns make one)" : "32 or 64");
    default:
      return {};
  }
}

std::string cluster_text(GemmRule rule, const GemmConfig& config, const GemmDevice& device) {
  const std::string cluster_m = "cluster_m = " + number(config.cluster_m);
  switch (rule) {
    case GemmRule::kClusterPairs:
      return cluster_m + ": must be a multiple of cta_group = " + number(config.cta_group);
    case GemmRule::kClusterSize:
      return cluster_m + " x cluster_n = " + number(config.cluster_n) + ": a cluster has at most " +
             number(std::min(kGemmMaxClusterSize, device.multiprocessors)) + " thread blocks";
    case GemmRule::kClusterSlices:
      return cluster_m + " with tile_n = " + number(config.tile_n) +
             ": each thread block loads tile_n / cluster_m columns, which must be a multiple of 8";
    default:
      return {};
  }
}

std::string split_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config) {
  const GemmTiles tiles = gemm_tiles(shape, config);
  const std::string split = "split = " + number(config.split);
  switch (rule) {
    case GemmRule::kTooManyTiles:
      return split + ": " + number(tiles.count) + " tiles of " + number(tiles.tile_rows) + " x " +
             number(config.tile_n) + " are more than 2^30 parts";
    case GemmRule::kSplitSteps:
      return split + ": k = " + number(shape.k) + " has only " + number(tiles.k_steps) +
             " steps of tile_k = " + number(config.tile_k) + " bytes";
    case GemmRule::kSplitScheduler:
      return split + ": a split k needs scheduler = 0";
    case GemmRule::kSplitTiles:
      return split + ": " + number(tiles.count * config.cta_group) +
             " tiles of a thread block; a split k can have " + number(kGemmSplitTiles);
    case GemmRule::kSplitWorkspace:
      return split + ": needs workspace_bytes = " + number(workspace_bytes(shape, config)) +
             ", the request has " + number(shape.workspace_bytes);
    default:
      return {};
  }
}

std::string memory_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config,
                        const GemmDevice& device) {
  const GemmLayout layout = layout_of(shape, config);
  if (rule == GemmRule::kTensorColumns) {
    return "accumulators = " + number(config.accumulators) +
           " x tile_n = " + number(config.tile_n) + ": with " + number(layout.scale_slots) + " x " +
           number(layout.scale_columns_per_slot) + " columns of scales they need " +
           number(layout.used_columns) + " columns of tensor memory; it has " +
           number(kGemmTensorColumns) + ", and accumulators can share half of one";
  }
  return "stages = " + number(config.stages) + ": with " + number(layout.stage_bytes) +
         " bytes each and " + number(layout.staging_bytes + layout.barrier_bytes) +
         " bytes beside them they need " + number(layout.shared_bytes) +
         " bytes of shared memory; a thread block has " + number(device.shared_per_block);
}

}  // namespace

std::string rule_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config,
                      const GemmDevice& device) {
  if (rule == GemmRule::kNone) return {};
  if (rule == GemmRule::kTensorColumns || rule == GemmRule::kSharedBytes) {
    return memory_text(rule, shape, config, device);
  }
  std::string text = value_text(rule, config);
  if (text.empty()) text = tile_text(rule, shape, config);
  if (text.empty()) text = cluster_text(rule, config, device);
  if (text.empty()) text = split_text(rule, shape, config);
  return text;
}

}  // namespace nibble
