// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The rules of GemmConfig, each with its words.
#include "runtime/families/gemm_rules.h"

#include <algorithm>

namespace nibble {

namespace {

template <size_t kCount>
bool holds(const int (&values)[kCount], int value) {
  return std::find(std::begin(values), std::end(values), value) != std::end(values);
}

}  // namespace

GemmRule broken_value(const GemmConfig& config) {
  if (!holds(kGemmCtaGroupValues, config.cta_group)) return GemmRule::kCtaGroup;
  if (!holds(kGemmTileNValues, config.tile_n)) return GemmRule::kTileN;
  if (!holds(kGemmTileKValues, config.tile_k)) return GemmRule::kTileK;
  if (!holds(kGemmClusterMValues, config.cluster_m)) return GemmRule::kClusterM;
  if (!holds(kGemmClusterNValues, config.cluster_n)) return GemmRule::kClusterN;
  if (!holds(kGemmStagesValues, config.stages)) return GemmRule::kStages;
  if (!holds(kGemmAccumulatorsValues, config.accumulators)) return GemmRule::kAccumulators;
  if (!holds(kGemmRasterValues, config.raster)) return GemmRule::kRaster;
  if (!holds(kGemmSplitValues, config.split)) return GemmRule::kSplit;
  if (!holds(kGemmEpilogueColumnsValues, config.epilogue_columns)) {
    return GemmRule::kEpilogueColumns;
  }
  if (!holds(kGemmSchedulerValues, config.scheduler)) return GemmRule::kScheduler;
  if (!holds(kGemmSwappedValues, config.swapped)) return GemmRule::kSwapped;
  return GemmRule::kNone;
}

int staged_row_bytes(const GemmShape& shape, const GemmConfig& config) {
  const int columns = config.epilogue_columns / (shape.gated ? 2 : 1);
  return columns * gemm_output_bytes(static_cast<int>(shape.output));
}

GemmRule broken_epilogue(const GemmShape& shape, const GemmConfig& config) {
  const int columns = config.epilogue_columns;
  if (config.tile_n % columns != 0 || columns < std::min(config.tile_n, 32)) {
    return GemmRule::kEpilogueDivides;
  }
  if (shape.gated && columns < 16) return GemmRule::kGatedColumns;
  if (config.swapped == 1 && columns > 32) return GemmRule::kSwappedColumns;
  if (!shape.direct_store && config.swapped == 0) {
    const int bytes = staged_row_bytes(shape, config);
    if (bytes != 0 && (bytes < 16 || bytes > 128)) return GemmRule::kStagedRows;
  }
  if (shape.output == OutputType::kNvfp4 && columns != 64) return GemmRule::kNvfp4Columns;
  if (shape.output == OutputType::kMxfp4 &&
      (config.tile_n < 64 || columns < (shape.gated ? 64 : 32))) {
    return GemmRule::kMxfp4Columns;
  }
  return GemmRule::kNone;
}

GemmRule broken_tile(const GemmShape& shape, const GemmConfig& config) {
  const bool fp4 = gemm_output_bytes(static_cast<int>(shape.output)) == 0;
  if (config.swapped == 1 && (fp4 || shape.gated)) return GemmRule::kNeverSwapped;
  if (config.cta_group == 2 && config.tile_n < 64) return GemmRule::kPairTile;
  const int64_t columns = config.swapped == 1 ? shape.m : shape.n;
  if (config.tile_n < 32 && columns > config.tile_n) return GemmRule::kNarrowTile;
  return GemmRule::kNone;
}

GemmRule broken_cluster(const GemmConfig& config, const GemmDevice& device) {
  const int size = config.cluster_m * config.cluster_n;
  if (config.cluster_m % config.cta_group != 0) return GemmRule::kClusterPairs;
  if (size > kGemmMaxClusterSize || size > device.multiprocessors) return GemmRule::kClusterSize;
  if (config.tile_n % (config.cluster_m * 8) != 0) return GemmRule::kClusterSlices;
  return GemmRule::kNone;
}

GemmRule broken_split(const GemmShape& shape, const GemmConfig& config, const GemmTiles& tiles) {
  if (tiles.count * config.split > (int64_t{1} << 30)) return GemmRule::kTooManyTiles;
  if (config.split == 1) return GemmRule::kNone;
  if (config.split > tiles.k_steps) return GemmRule::kSplitSteps;
  if (config.scheduler == 1) return GemmRule::kSplitScheduler;
  if (tiles.count * config.cta_group > kGemmSplitTiles) return GemmRule::kSplitTiles;
  if (workspace_bytes(shape, config) > shape.workspace_bytes) return GemmRule::kSplitWorkspace;
  return GemmRule::kNone;
}

GemmRule broken_memory(const GemmLayout& layout, const GemmDevice& device) {
  if (layout.tensor_columns > kGemmTensorColumns) return GemmRule::kTensorColumns;
  if (layout.shared_bytes > device.shared_per_block) return GemmRule::kSharedBytes;
  return GemmRule::kNone;
}

GemmRule broken_rule(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device) {
  GemmRule rule = broken_value(config);
  if (rule == GemmRule::kNone) rule = broken_tile(shape, config);
  if (rule == GemmRule::kNone) rule = broken_cluster(config, device);
  if (rule == GemmRule::kNone) rule = broken_epilogue(shape, config);
  if (rule == GemmRule::kNone) rule = broken_memory(layout_of(shape, config), device);
  if (rule == GemmRule::kNone) rule = broken_split(shape, config, gemm_tiles(shape, config));
  return rule;
}

bool legal(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device) {
  return broken_rule(shape, config, device) == GemmRule::kNone;
}

std::string illegal(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device) {
  const GemmRule rule = broken_rule(shape, config, device);
  return rule == GemmRule::kNone ? std::string() : rule_text(rule, shape, config, device);
}

}  // namespace nibble
