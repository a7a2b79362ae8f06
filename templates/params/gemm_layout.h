// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a thread block of the gemm family holds in shared and in tensor memory. Compiled by the host
// compiler, which decides by it what a GPU can hold, and by NVRTC for the kernel itself: one
// formula, no include.
#pragma once

// NVRTC takes no function without an execution space, host compilers know none.
#ifdef __CUDACC__
#define NIBBLE_HOST_DEVICE __host__ __device__
#else
#define NIBBLE_HOST_DEVICE
#endif

namespace nibble {

// The constants of a kernel's Config that its layout depends on.
struct GemmTiling {
  int format;  // 0 NVFP4, 1 MXFP4, 2 MXFP8, 3 FP8, 4 BF16
  int output;  // 0 f32, 1 f16, 2 bf16, 3 NVFP4, 4 MXFP4
  int cta_group;
  int tile_n;
  int tile_k;  // bytes
  int stages;
  int accumulators;
  int epilogue_columns;
  int direct_store;
};

// Sizes and offsets in bytes, unless they say columns: 32 bits in each of the 128 lanes of tensor
// memory.
struct GemmLayout {
  // A stage: [A | B | scales of A | scales of B], its start aligned to the 1024 bytes after which
  // the 128-byte swizzle repeats.
  int a_bytes;  // [128 rows][tile_k], 128 bytes of k after the other: [tile_k / 128][128][128]
  int b_bytes;  // [tile_k / 128][tile_n / cta_group][128]
  int a_scale_bytes;  // tiles of 512 bytes: those of one row block along k, then the next row block
  int b_scale_bytes;
  int scale_bytes;     // of both
  int loaded_bytes;    // what a stage's barrier waits for: all of the above
  int stage_bytes;     // rounded up
  int staging_offset;  // after the stages; 1024-byte aligned
  int staging_bytes;   // [4 warps][2 buffers][32 rows][epilogue_columns] elements of D
  int staging_buffer_bytes;
  int barrier_offset;
  int barrier_bytes;
  int shared_bytes;  // the kernel's dynamic shared memory

  int scale_tiles;             // scale tiles of 128 rows in tile_k bytes of k
  int b_row_blocks;            // of 128 columns of the product, for the scales of B
  int a_scale_columns;         // of a slot
  int scale_columns_per_slot;  // scales of one stage: A's, then B's
  int scale_slots;
  int overlap;  // columns that the two accumulators share: the second begins at tile_n - overlap
  int accumulator_columns;  // of all accumulators; the slots begin here
  int used_columns;
  int tensor_columns;  // to allocate: a power of two, 32 to 512; more where they do not fit
};

// Enumerators: NVRTC puts other constants into the binary, used or not.
enum : int {
  kGemmTileRows = 128,         // lanes of tensor memory: rows of a thread block's tile
  kGemmAtomBytes = 128,        // of k: a row of the 128-byte swizzle
  kGemmStageAlignment = 1024,  // 8 rows of it
  kGemmScaleTileBytes = 512,   // 128 rows x 4 scales
  kGemmScaleTileColumns = 4,   // of tensor memory, once copied there
  kGemmBarrierBytes = 1024,    // barriers, the scheduler's answers, tensor memory's address
  kGemmTensorColumns = 512,    // of an SM
  kGemmSharedOfSm = 228 * 1024,
  kGemmSharedReserved = 1024,  // of it, for each thread block
  kGemmEpilogueWarps = 4,
  kGemmStagingBuffers = 2,  // one is stored while the other is written
};

NIBBLE_HOST_DEVICE constexpr int gemm_round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Scale tiles of 128 rows in 128 bytes of k: 256 FP4 elements have 16 scales of 16 or 8 of 32, 128
// FP8 have 4.
NIBBLE_HOST_DEVICE constexpr int gemm_scale_tiles(int format) {
  if (format == 0) return 4;
  if (format == 1) return 2;
  return format == 2 ? 1 : 0;
}

// Bits of an element of the operands.
NIBBLE_HOST_DEVICE constexpr int gemm_element_bits(int format) {
  if (format <= 1) return 4;
  return format == 4 ? 16 : 8;
}

// Bytes of an element of D in the staging buffers; 0: FP4, which is stored directly.
NIBBLE_HOST_DEVICE constexpr int gemm_output_bytes(int output) {
  if (output == 0) return 4;
  return output <= 2 ? 2 : 0;
}

// Elements of k in `bytes` of a row.
NIBBLE_HOST_DEVICE constexpr int gemm_elements(int format, int bytes) {
  return bytes * 8 / gemm_element_bits(format);
}

NIBBLE_HOST_DEVICE constexpr void gemm_shared_layout(const GemmTiling& tiling, GemmLayout& layout) {
  const int atoms = tiling.tile_k / kGemmAtomBytes;
  layout.scale_tiles = gemm_scale_tiles(tiling.format) * atoms;
  layout.b_row_blocks = (tiling.tile_n + kGemmTileRows - 1) / kGemmTileRows;
  layout.a_bytes = kGemmTileRows * tiling.tile_k;
  layout.b_bytes = tiling.tile_n / tiling.cta_group * tiling.tile_k;
  layout.a_scale_bytes = layout.scale_tiles * kGemmScaleTileBytes;
  layout.b_scale_bytes = layout.b_row_blocks * layout.a_scale_bytes;
  layout.scale_bytes = layout.a_scale_bytes + layout.b_scale_bytes;
  layout.loaded_bytes = layout.a_bytes + layout.b_bytes + layout.scale_bytes;
  layout.stage_bytes = gemm_round_up(layout.loaded_bytes, kGemmStageAlignment);
  layout.staging_offset = tiling.stages * layout.stage_bytes;
  layout.staging_buffer_bytes =
      tiling.direct_store != 0 ? 0
                               : 32 * tiling.epilogue_columns * gemm_output_bytes(tiling.output);
  layout.staging_bytes = kGemmEpilogueWarps * kGemmStagingBuffers * layout.staging_buffer_bytes;
  layout.barrier_offset = layout.staging_offset + layout.staging_bytes;
  layout.barrier_bytes = kGemmBarrierBytes;
  layout.shared_bytes = layout.barrier_offset + layout.barrier_bytes;
}

// Slots for the scales of as many stages as there are, or as fit; where not even two fit, the
// accumulators overlap: the epilogue frees the columns that they share first. At most half of an
// accumulator is shared.
NIBBLE_HOST_DEVICE constexpr void gemm_tensor_layout(const GemmTiling& tiling, GemmLayout& layout) {
  const int accumulators = tiling.accumulators * tiling.tile_n;
  layout.a_scale_columns = layout.scale_tiles * kGemmScaleTileColumns;
  layout.scale_columns_per_slot = layout.a_scale_columns * (1 + layout.b_row_blocks);
  layout.scale_slots = 0;
  if (layout.scale_columns_per_slot > 0) {
    const int least = tiling.stages < 2 ? tiling.stages : 2;
    const int fit = (kGemmTensorColumns - accumulators) / layout.scale_columns_per_slot;
    layout.scale_slots = fit < tiling.stages ? fit : tiling.stages;
    if (layout.scale_slots < least) layout.scale_slots = least;
  }
  const int scales = layout.scale_slots * layout.scale_columns_per_slot;
  const int missing = accumulators + scales - kGemmTensorColumns;
  layout.overlap = 0;
  if (missing > 0 && tiling.accumulators == 2) {
    const int wanted = gemm_round_up(missing, tiling.epilogue_columns);
    layout.overlap = wanted <= tiling.tile_n / 2 ? wanted : 0;
  }
  layout.accumulator_columns = accumulators - layout.overlap;
  layout.used_columns = layout.accumulator_columns + scales;
  layout.tensor_columns = 32;
  while (layout.tensor_columns < layout.used_columns) layout.tensor_columns *= 2;
}

NIBBLE_HOST_DEVICE constexpr GemmLayout gemm_layout(const GemmTiling& tiling) {
  GemmLayout layout{};
  gemm_shared_layout(tiling, layout);
  gemm_tensor_layout(tiling, layout);
  // No more thread blocks on an SM than its tensor memory serves: one that waits for columns that
  // another holds could keep its pair, and that the other's, from going on.
  const int blocks = kGemmTensorColumns / layout.tensor_columns;
  const int least = kGemmSharedOfSm / (blocks + 1) - kGemmSharedReserved + 16;
  if (blocks > 0 && layout.shared_bytes < least) layout.shared_bytes = gemm_round_up(least, 16);
  return layout;
}

}  // namespace nibble
