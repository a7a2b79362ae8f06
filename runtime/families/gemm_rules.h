// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The rules of GemmConfig by name: those of one member, then those of several, then memory.
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
  kEpilogueDivides,
  kGatedColumns,
  kNvfp4Columns,
  kMxfp4Columns,
  kClusterPairs,
  kClusterSize,
  kClusterSlices,
  kTooManyTiles,
  kSplitSteps,
  kSplitScheduler,
  kSplitTiles,
  kSplitWorkspace,
  kTensorColumns,
  kSharedBytes,
  kNone,
};

// The first rule that a complete configuration breaks.
GemmRule broken_rule(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);
// Parts of it: of members that have legal values, without split and memory; of memory.
GemmRule broken_form(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);
GemmRule broken_memory(const GemmLayout& layout, const GemmDevice& device);

// "tile_n = 48: must be 8, 16, 32, 64, 128, 192 or 256".
std::string rule_text(GemmRule rule, const GemmShape& shape, const GemmConfig& config,
                      const GemmDevice& device);

}  // namespace nibble
