// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize: a matrix to NVFP4, MXFP4 or MXFP8.
#pragma once

#include "quantize/patches.cuh"
#include "quantize/rows.cuh"

namespace nibble {

template <class Config>
__device__ constexpr bool uses_patches() {
  return Config::kCopies != kRowWise || Config::kSquareBlocks != 0 || Config::kMakesCodes == 0;
}

// Of __launch_bounds__. Registers are what limits the thread blocks of a multiprocessor; more of
// them at once hide more of each other's waiting.
template <class Config>
struct QuantizeBounds {
  static constexpr bool kBounded =
      Config::kFormat == kNvfp4 || (Config::kFormat == kFourOverSix && Config::kSquareBlocks != 0);
  static constexpr bool kSmall = Config::kElementType != kF32 && kBounded && Config::kWiden == 0;
  static constexpr int kThreads = Config::kThreads;
  static constexpr bool kAligned = Config::kVectorBytes != 0;  // the others take more registers
  static constexpr bool kHasMore =
      Config::kStochastic != 0 || (Config::kCopies == kBothCopies && Config::kSquareBlocks == 0);
  static constexpr int kOfPatches = (kHasMore ? 5 : 6) - !kAligned;
  static constexpr int kOfRows =
      Config::kRowTransform == kNoTransform && kAligned ? 768 / kThreads : 1;
  static constexpr int kHalves = kPatchTile / Config::kRowsPerTile;  // of patches
  static constexpr int kBlocks = !kSmall                  ? 1
                                 : uses_patches<Config>() ? kOfPatches * kHalves
                                                          : kOfRows;
};

template <class Config>
__device__ void quantize(const QuantizeParams& params) {
  if constexpr (uses_patches<Config>()) {
    quantize_patches<Config>(params);
  } else {
    quantize_rows<Config>(params);
  }
}

}  // namespace nibble
