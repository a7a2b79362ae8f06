// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/tcgen05_operands.h"

#include <cstring>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/tcgen05.h"

namespace nibble::emulator::tcgen05 {

namespace {

uint32_t window_begin(const Block& block) { return block.grid().model.shared_reserved; }

}  // namespace

tensor::MatrixTile tile_of(const Origin& origin, uint64_t descriptor, bool is_k_major,
                           const std::string& what) {
  tensor::MatrixTile tile;
  std::string error;
  if (!tensor::decode_tcgen05(descriptor, tile.at, error)) refuse(origin, what + ": " + error);
  tile.is_k_major = is_k_major;
  if (is_k_major && tile.at.swizzle == tensor::Swizzle::k128Atom32) {
    refuse(origin, what + ": swizzling with atoms of 32 bytes has no layout with k contiguous");
  }
  return tile;
}

void check_rows(const Origin& origin, const tensor::MatrixTile& tile, const Block& block,
                const std::string& what) {
  std::string error;
  const uint32_t begin = window_begin(block);
  if (!tensor::check_tile(tile, begin, begin + block.shared_size(), error)) {
    fault_at(origin, Fault::Kind::kIllegalAddress, "illegal address: " + what + ": " + error);
  }
}

void check_written(const Origin& origin, const tensor::MatrixTile& tile, tensor::Packing packing,
                   Block& block, const char* what) {
  const uint8_t* const written = block.shared_written();
  if (written == nullptr) return;
  const uint32_t bytes = packing == tensor::Packing::k4Padded   ? 8
                         : packing == tensor::Packing::k6Padded ? 12
                                                                : tensor::kChunkBytes;
  for (uint32_t line = 0; line < tile.lines; ++line) {
    for (uint32_t chunk = 0; chunk < tile.chunks; ++chunk) {
      const uint32_t address = tensor::chunk_address(tile, line, chunk);
      if (std::memchr(written + (address - window_begin(block)), 0, bytes) == nullptr) continue;
      fault_at(origin, Fault::Kind::kUninitialized,
               std::string("uninitialized memory: ") + what + " at shared memory " +
                   hexadecimal(address) + " (" + (tile.is_k_major ? "row " : "k = ") +
                   std::to_string(line) + ") was never written");
    }
  }
}

void add_rows(std::vector<Extent>& extents, const tensor::MatrixTile& tile, Block& block,
              uint8_t part) {
  const uint32_t begin = window_begin(block);
  for (const tensor::ByteRange& range : tensor::list_ranges(tile)) {
    extents.push_back({&block, Access::kRead, false, range.begin - begin, range.bytes, {}, part});
  }
}

const std::byte* chunk_in(Block& block, const tensor::MatrixTile& tile, uint32_t line,
                          uint32_t chunk) {
  return block.shared() + (tensor::chunk_address(tile, line, chunk) - window_begin(block));
}

void gather_rows(Block& block, const tensor::MatrixTile& tile, tensor::Packing packing,
                 uint32_t rows, uint32_t k, uint32_t* codes) {
  tensor::gather(tile, packing, block.shared() - window_begin(block), rows, k, codes);
}

}  // namespace nibble::emulator::tcgen05
