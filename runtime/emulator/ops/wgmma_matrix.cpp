// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>

#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/wgmma.h"

namespace nibble::emulator {

namespace {

using tensor::kChunkBytes;

// The codes of 16 bytes: up to 128.
using ChunkCodes = std::array<uint32_t, kChunkBytes * 8>;

void unpack(uint32_t bits, const std::byte* chunk, ChunkCodes& codes) {
  using tensor::Packing;
  if (bits == 1) {
    for (uint32_t i = 0; i < codes.size(); ++i) {
      codes[i] = std::to_integer<uint32_t>(chunk[i / 8]) >> i % 8 & 1;
    }
    return;
  }
  const Packing packing = bits == 8 ? Packing::k8 : bits == 16 ? Packing::k16 : Packing::k32;
  tensor::unpack_chunk(packing, chunk, codes.data());
}

}  // namespace

SharedMatrix::SharedMatrix(const Origin& origin, uint64_t descriptor, const Shape& shape)
    : shape_(shape) {
  tensor::MatrixTile tile;
  std::string error;
  if (!tensor::decode_wgmma(descriptor, tile.at, error)) {
    fault_at(origin, Fault::Kind::kIllegalInstruction, error);
  }
  const uint32_t each = kChunkBytes * 8 / shape.bits;
  const uint32_t end_row = shape.first + shape.rows;
  tile.is_k_major = shape.is_k_major;
  tile.lines = shape.is_k_major ? end_row : shape.k;
  tile.chunks = (shape.is_k_major ? shape.k : end_row) / each;
  const Block& block = origin.warp->block();
  const uint32_t begin = block.grid().model.shared_reserved;
  if (!tensor::check_tile(tile, begin, begin + block.shared_size(), error)) {
    fault_at(origin, Fault::Kind::kIllegalAddress, error);
  }
  const uint32_t first_line = shape.is_k_major ? shape.first : 0;
  const uint32_t first_chunk = shape.is_k_major ? 0 : shape.first / each;
  for (uint32_t line = first_line; line < tile.lines; ++line) {
    for (uint32_t chunk = first_chunk; chunk < tile.chunks; ++chunk) {
      chunks_.push_back(tensor::chunk_address(tile, line, chunk) - begin);
    }
  }
}

void SharedMatrix::read(Block& block, uint32_t* codes) const {
  const uint32_t each = kChunkBytes * 8 / shape_.bits;
  const uint32_t in_line = (shape_.is_k_major ? shape_.k : shape_.rows) / each;
  ChunkCodes piece;
  for (uint32_t i = 0; i < chunks_.size(); ++i) {
    unpack(shape_.bits, block.shared() + chunks_[i], piece);
    const uint32_t line = i / in_line, first = i % in_line * each;
    if (shape_.is_k_major) {
      std::copy_n(piece.begin(), each, codes + size_t{line} * shape_.k + first);
    } else {
      for (uint32_t j = 0; j < each; ++j) codes[size_t{first + j} * shape_.k + line] = piece[j];
    }
  }
}

std::vector<std::pair<uint32_t, uint32_t>> SharedMatrix::ranges() const {
  std::vector<uint32_t> sorted = chunks_;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  for (const uint32_t offset : sorted) {
    if (!ranges.empty() && ranges.back().first + ranges.back().second >= offset) {
      ranges.back().second =
          std::max(ranges.back().second, offset + kChunkBytes - ranges.back().first);
    } else {
      ranges.emplace_back(offset, kChunkBytes);
    }
  }
  return ranges;
}

}  // namespace nibble::emulator
