// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The rules of GemmConfig by name, in the order in which they are asked about.
#pragma once

#include <string>

#include "runtime/families/gemm_config.h"

namespace nibble {

enum class GemmRule {
  // A member has none of its values.
  kCtaGroup,
  kTileN,
  kTileK,
  kClusterM,
  kClusterN,
  kStages,
  kAccumulators,
  kRaster,
  kSplit,
  kEpilogueColumns,
  kScheduler,
  kSwapped,
  // Members that do not go together, or not with the problem.
  kNeverSwapped,
  kPairTile,
  kNarrowTile,
  kClusterPairs,
  kClusterSize,
  kClusterSlices,
  kEpilogueDivides,
  kGatedColumns,
  kSwappedColumns,
  kStagedRows,
  kNvfp4Columns,
  kMxfp4Columns,
  kTensorColumns,
  kSharedBytes,
  kTooManyTiles,
  kSplitSteps,
  kSplitScheduler,
  kSplitTiles,
  kSplitWorkspace,
  kNone,
};

// The first rule that a complete configuration breaks.
GemmRule broken_rule(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);
// Its parts; the later ones expect that the earlier ones found nothing.
GemmRule broken_value(const GemmConfig& config);
GemmRule broken_tile(const GemmShape& shape, const GemmConfig& config);
GemmRule broken_cluster(const GemmConfig& config, const GemmDevice& device);
GemmRule broken_epilogue(const GemmShape& shape, const GemmConfig& config);
GemmRule broken_split(const GemmShape& shape, const GemmConfig& config, const GemmTiles& tiles);
GemmRule broken_memory(const GemmLayout& layout, const GemmDevice& device);

// Of a row of D that the epilogue stages for TMA at a time; 0: FP4, which is stored directly.
int staged_row_bytes(const GemmShape& shape, const GemmConfig& config);

// "tile_n = 48: must be 8, 16, 32, 64, 128, 192 or 256".
std::string rule_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config,
                      const GemmDevice& device);

}  // namespace nibble
