// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The constants of the quantize family, which of their values go together, and those of a request.
#pragma once

#include "nibble/quantize.hpp"
#include "runtime/families/tile.h"

namespace nibble {

// The places of the constants in KernelSpec::values, after those of TileConstant.
enum QuantizeConstant : size_t {
  kHasStochasticConversion = kTileConstants,
  kFormat,
  kCopies,
  kSquareBlocks,
  kStochastic,
  kRowTransform,
  kColumnTransform,
  kRowTransformSize,
  kColumnTransformSize,
  kRecordsAmax,
  kMakesCodes,
  kOtherLayout,
  kWiden,
  kQuantizeConstants
};

// Values of kRowTransform and kColumnTransform.
constexpr int kNoTransform = 0;
constexpr int kDefaultSigns = 1;
constexpr int kGivenSigns = 2;

std::span<const Constant> quantize_constants();
// Whether the constants that are not tuned can stand together.
bool quantize_problem_legal(const KernelSpec& spec);
bool quantize_legal(const KernelSpec& spec);
int quantize_dynamic_shared(const KernelSpec& spec);

// Whether the kernel goes by tiles of 128 x 128, a patch to a thread.
bool uses_patches(const KernelSpec& spec);

// The constant kFormat. Its values: the formats', then NVFP4 scaled four over six.
Constant format_constant();
constexpr int kFourOverSix = 3;
inline int format_value(QuantizedFormat format, BlockScaling scaling) {
  return scaling == BlockScaling::kFourOverSix ? kFourOverSix : static_cast<int>(format);
}
inline QuantizedFormat format_of(const KernelSpec& spec) {
  const int value = spec.values[kFormat];
  return value == kFourOverSix ? QuantizedFormat::kNvfp4 : static_cast<QuantizedFormat>(value);
}

// A tile of patches has so many columns, and rows or half of them.
constexpr int kPatchTile = 128;
// kBlocksPerThread where it says nothing.
constexpr int kPatchBlocks = 4;
// Rows and columns of a thread's patch; threads of a tile of them.
int patch_rows(const KernelSpec& spec);
int patch_columns(const KernelSpec& spec);
int patch_threads(const KernelSpec& spec);
// A tile of half the rows has whole tiles of the 128x4 layout where a block is 16 of them, and
// whole groups down columns.
bool half_tile_legal(const KernelSpec& spec);
// Lanes that share a group of a transform are in a warp that shares a row.
bool lanes_fit(const KernelSpec& spec, int rows_per_tile);

// Elements of a block, and bits of one.
int block_size(QuantizedFormat format);
int code_bits(QuantizedFormat format);

// Of a family with the constants of quantize, for a GPU with so many multiprocessors, or
// kFilledGpu. Strides must be filled in.
KernelSpec quantize_spec(const Family& family, const QuantizeRequest& request, const Arch& arch,
                         int multiprocessors);
// Its tuned constants, where the others are set.
void choose_tile(KernelSpec& spec, const Matrix& x, int multiprocessors);
// The kernel that finds the amax of what is transformed. Only for requests that have a transform.
KernelSpec transformed_amax_spec(const Family& family, const QuantizeRequest& request,
                                 const Arch& arch, int multiprocessors);

Grid quantize_grid(const KernelSpec& spec, int64_t rows, int64_t columns);
// All tiles of a matrix, those of the scales' padding too.
int64_t quantize_tiles(const KernelSpec& spec, int64_t rows, int64_t columns);

}  // namespace nibble
