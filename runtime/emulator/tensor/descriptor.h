// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrix descriptors of wgmma (PTX ISA 9.7.15.5.1.2) and tcgen05 (9.7.16.3, 9.7.16.4.1), and where
// in shared memory the matrices lie that they describe.
//
// A matrix is made of chunks of 16 bytes. Its elements are contiguous along the major dimension: a
// `line` is an index of the other one. K-major: line = row (m or n), chunk = piece of the row along
// k. MN-major: line = k, chunk = piece along m or n.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nibble::emulator::tensor {

constexpr uint32_t kChunkBytes = 16;

enum class Swizzle : uint8_t { kNone, k32, k64, k128, k128Atom32 };

// Addresses are those of the shared window, 18 bits of them: without the block's rank.
struct MatrixDescriptor {
  uint32_t start = 0;
  uint32_t leading = 0;  // LBO: a distance, or an address (`leading_is_address`)
  uint32_t stride = 0;   // SBO
  uint32_t base_offset = 0;
  bool leading_is_address = false;  // sm_103: of the buffer with the next 128 bytes along k
  Swizzle swizzle = Swizzle::kNone;
};

// False with the field, its value and the rule in `error`.
bool decode_tcgen05(uint64_t bits, MatrixDescriptor& descriptor, std::string& error);
bool decode_wgmma(uint64_t bits, MatrixDescriptor& descriptor, std::string& error);

// What one instruction reads of a matrix.
struct MatrixTile {
  MatrixDescriptor at;
  bool is_k_major = true;
  uint32_t lines = 0;
  uint32_t chunks = 0;  // of a line
};

// The shared-window address of a chunk.
uint32_t chunk_address(const MatrixTile& tile, uint32_t line, uint32_t chunk);
// False where the layout cannot hold the tile, or some of it is not in [begin, end), the window
// addresses of the block's shared memory: with the rule in `error`.
bool check_tile(const MatrixTile& tile, uint32_t begin, uint32_t end, std::string& error);

struct ByteRange {
  uint32_t begin = 0, bytes = 0;
};
// The bytes of a tile in shared-window addresses, neighbours along a line as one.
std::vector<ByteRange> list_ranges(const MatrixTile& tile);

// How elements lie in a chunk. Padded: 16 elements, contiguous bits from the lowest, then padding
// up to 16 bytes (9.7.16.10.4.4).
enum class Packing : uint8_t { k4, k4Padded, k6Padded, k8, k16, k32 };
uint32_t elements_per_chunk(Packing packing);

// The codes of 16 bytes, elements_per_chunk() of them.
void unpack_chunk(Packing packing, const std::byte* chunk, uint32_t* codes);

// The tile as a row-major matrix of codes: rows along m or n, `k` columns. `window` is the host
// address that the window address 0 would have. The tile was checked; rows and k are those of its
// lines and chunks (rows beyond a whole chunk along mn are left out).
void gather(const MatrixTile& tile, Packing packing, const std::byte* window, uint32_t rows,
            uint32_t k, uint32_t* codes);

}  // namespace nibble::emulator::tensor
