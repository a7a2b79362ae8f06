// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrices of tcgen05 operations in shared memory: descriptors to rows, checked.
#pragma once

#include <string>
#include <vector>

#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/tensor/descriptor.h"

namespace nibble::emulator::tcgen05 {

// The tile without its size. Faults where the descriptor is none; `what` names the matrix.
tensor::MatrixTile tile_of(const Origin& origin, uint64_t descriptor, bool is_k_major,
                           const std::string& what);
// Faults where the tile is not all in the block's shared memory.
void check_rows(const Origin& origin, const tensor::MatrixTile& tile, const Block& block,
                const std::string& what);
// Faults where nobody wrote some of its elements, if that is tracked.
void check_written(const Origin& origin, const tensor::MatrixTile& tile, tensor::Packing packing,
                   Block& block, const char* what);
// Its bytes, which the operation reads.
void add_rows(std::vector<Extent>& extents, const tensor::MatrixTile& tile, Block& block,
              uint8_t part = 0);
const std::byte* chunk_in(Block& block, const tensor::MatrixTile& tile, uint32_t line,
                          uint32_t chunk);
// The codes of a tile, row-major.
void gather_rows(Block& block, const tensor::MatrixTile& tile, tensor::Packing packing,
                 uint32_t rows, uint32_t k, uint32_t* codes);

}  // namespace nibble::emulator::tcgen05
