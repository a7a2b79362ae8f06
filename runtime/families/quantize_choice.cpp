// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The constants of a quantize kernel where nothing was tuned: by a model, whose figures are those
// that explain a sweep on an H200 (bench/README.md).
#include <algorithm>
#include <span>

#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile_model.h"

namespace nibble {

namespace {

using Counts = std::span<const int>;
constexpr int kOne[] = {1}, kTwo[] = {1, 2}, kFour[] = {1, 2, 4}, kOneOrFour[] = {1, 4};

// How many blocks a thread may have, by the registers that they take: what it computes once serves
// all of them.
Counts block_counts(const KernelSpec& spec) {
  const int words = patch_rows(spec) * 4 / patch_columns(spec);  // of a block
  return words <= 8 ? Counts(kFour) : words <= 16 ? Counts(kTwo) : Counts(kOne);
}

// On an H200, whose memory leaves twice as many instructions to an element as a B200's: what it was
// fastest with. ptxas has its part in it.
Counts hopper_block_counts(const KernelSpec& spec) {
  const bool is_32_bit = spec.values[kElementType] == static_cast<int>(DataType::kF32);
  const bool stochastic = spec.values[kStochastic] != 0;
  const bool light = !stochastic && spec.values[kRowTransform] == kNoTransform;
  if (is_32_bit) return block_counts(spec);
  switch (format_of(spec)) {
    case QuantizedFormat::kMxfp4:
      return stochastic ? Counts(kTwo) : Counts(kOneOrFour);
    case QuantizedFormat::kMxfp8:
      return stochastic ? Counts(kTwo) : Counts(kOne);
    case QuantizedFormat::kNvfp4:
      break;
  }
  return light || spec.values[kFormat] == kFourOverSix ? Counts(kTwo) : Counts(kFour);
}

int choose_blocks(const KernelSpec& spec, double blocks, int multiprocessors) {
  const int block = block_size(format_of(spec));
  const ThreadCost cost{
      .at_once = spec.values[kFormat] == kFourOverSix ? 640.0 : 1536.0, .start = 32, .element = 1};
  int chosen = 1;
  double least = 0;
  const bool is_hopper = spec.arch->major == 9;
  for (const int count : is_hopper ? hopper_block_counts(spec) : block_counts(spec)) {
    const double time = launch_time(blocks / count, count * block, cost, multiprocessors);
    if (count > 1 && time >= least) continue;
    least = time;
    chosen = count;
  }
  return chosen;
}

// The tile of a kernel that goes row by row.
void choose_row_tile(KernelSpec& spec, const Matrix& x, int multiprocessors) {
  const int64_t block = block_size(format_of(spec));
  const int64_t blocks = (x.columns + block - 1) / block;
  spec.values[kThreads] = 128;
  spec.values[kBlocksPerThread] =
      choose_blocks(spec, static_cast<double>(x.rows * blocks), multiprocessors);
  // Of the ways to lay threads along rows, those that leave the fewest idle; then eight rows, where
  // that is no worse: a sector of the 128x4 layout has scales of several rows.
  double best = 0;
  for (const int rows : {8, 4, 2, 1, 16, 32, 64}) {
    if (rows > 4 && rows >= 2 * x.rows) continue;
    if (!lanes_fit(spec, rows)) continue;
    const int64_t wide = int64_t{spec.values[kThreads] / rows} * spec.values[kBlocksPerThread];
    const int64_t across = (blocks + wide - 1) / wide;
    const int64_t down = (x.rows + rows - 1) / rows;
    const double used = static_cast<double>(blocks) / static_cast<double>(across * wide) *
                        (static_cast<double>(x.rows) / static_cast<double>(down * rows));
    if (used <= best * 1.02) continue;
    best = used;
    spec.values[kRowsPerTile] = rows;
  }
}

// A warp of patches keeps its scheduler busy by itself. What it takes for an element of a widened
// patch is 1.1 to 1.6 times as much, by an H200.
constexpr ThreadCost kPatch{.at_once = 128, .start = 64, .element = 1.0};
constexpr ThreadCost kWidenedPatch{.at_once = 128, .start = 64, .element = 1.3};

// Of a 16-bit x: whether half as many columns to a thread take less time.
bool pays_to_widen(const KernelSpec& spec, const Matrix& x, int multiprocessors) {
  const auto up = [](int64_t size) { return (size + kPatchTile - 1) / kPatchTile * kPatchTile; };
  const auto padded = static_cast<double>(up(x.rows) * up(x.columns));
  const int elements = patch_rows(spec) * 8, half = elements / 2;  // of a thread
  return launch_time(padded / half, half, kWidenedPatch, multiprocessors) <
         launch_time(padded / elements, elements, kPatch, multiprocessors);
}

void choose_patches(KernelSpec& spec, const Matrix& x, int multiprocessors) {
  spec.values[kBlocksPerThread] = kPatchBlocks;
  spec.values[kVectorBytes] = std::min(spec.values[kVectorBytes], 16);
  const bool is_32_bit = spec.values[kElementType] == static_cast<int>(DataType::kF32);
  const bool widen = !is_32_bit && pays_to_widen(spec, x, multiprocessors);
  // With four columns to a thread, thread blocks of four warps rather than eight.
  const bool half_tile = (is_32_bit || widen) && half_tile_legal(spec);
  spec.values[kWiden] = widen;
  spec.values[kRowsPerTile] = half_tile ? kPatchTile / 2 : kPatchTile;
  spec.values[kThreads] = patch_threads(spec);
}

}  // namespace

void choose_tile(KernelSpec& spec, const Matrix& x, int multiprocessors) {
  uses_patches(spec) ? choose_patches(spec, x, multiprocessors)
                     : choose_row_tile(spec, x, multiprocessors);
}

}  // namespace nibble
