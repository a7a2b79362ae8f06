// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Where matrices of tcgen05.mma lie in tensor memory: D and A (PTX ISA 9.7.16.10.4, .10.5), scale
// factors (.10.7), sparsity metadata (.10.8).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/ops/tcgen05.h"
#include "runtime/emulator/tensor/descriptor.h"
#include "runtime/emulator/tensor/instruction.h"

namespace nibble::emulator::tcgen05 {

// How the rows of one block are spread over the lanes: layouts A to G by their shape.
//   A, D  a row a lane: `parts` 1
//   B, E  64 rows; the columns' halves in lanes 0-63 and 64-127: 2
//   G     32 rows; the columns' quarters in 32 lanes each: 4
//   C, F  64 rows in 16 of each 32 lanes: `is_half`
struct LaneLayout {
  uint32_t rows = 0;
  uint32_t parts = 1;
  bool is_half = false;
  uint32_t first_lane = 0;  // of is_half: 0 or 16

  uint32_t lane(uint32_t row, uint32_t part) const {
    if (is_half) return first_lane + row / 16 * 32 + row % 16;
    return row + part * (TensorMemory::kLanes / parts);
  }
};
LaneLayout layout_of(const tensor::MmaVariant& variant, const tensor::MmaShape& shape);

// Columns [column, column + columns) of a matrix in tensor memory.
struct ColumnSpan {
  uint32_t column = 0, columns = 0;
};

// D: rows x n words.
ColumnSpan result_columns(const LaneLayout& layout, uint32_t column, uint32_t n);
void read_result(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                 uint32_t column, uint32_t n, bool is_16_bit, uint32_t* words);
// `disabled`: 4 words, a bit a lane that keeps what it has.
void write_result(TensorMemory& memory, const LaneLayout& layout, uint32_t column, uint32_t n,
                  bool is_16_bit, const uint32_t* disabled, const uint32_t* words);

// A: `k` codes a row, which must be the same in all parts of the layout. `shifts`: .ashift.
uint32_t first_columns(tensor::Format format, uint32_t k, bool is_packed);
void read_first(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                uint32_t column, tensor::Format format, uint32_t k, bool is_packed, bool shifts,
                uint32_t* codes);

// Scale factors: `count` bytes a row, from byte `id` of the row's word on, row r in lane r mod 32
// of each quarter of the lanes and column r / 32; beyond four bytes in the columns of the next
// word.
struct ScaleLayout {
  uint32_t rows = 0;
  uint32_t count = 0;
  uint32_t id = 0;
  uint32_t parts = 1;  // 2: rows of the second half have the last two quarters (layout B)
};
ColumnSpan scale_columns(const ScaleLayout& layout, uint32_t column);
// Faults where the copies in the quarters differ; `what` names the matrix.
void read_scales(const Origin& origin, TensorMemory& memory, const ScaleLayout& layout,
                 uint32_t column, const char* what, uint8_t* scales);

// Places along k of the stored elements of a sparse A, `k` (half the dense k) a row.
ColumnSpan metadata_columns(const tensor::MmaShape& shape, uint32_t column);
void read_metadata(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                   const tensor::MmaShape& shape, uint32_t column, uint16_t* places);

}  // namespace nibble::emulator::tcgen05
