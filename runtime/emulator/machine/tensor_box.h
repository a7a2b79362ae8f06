// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The elements that one tensor copy moves: rows along dimension 0, where each lies in global and in
// shared memory, and how elements change on the way. PTX ISA 5.5.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/emulator/machine/tensor_map.h"

namespace nibble::emulator {

// What an instruction says beside the map.
struct TensorAccess {
  enum class Mode : uint8_t { kTile, kRows, kIm2col };  // kRows: tile::gather4, tile::scatter4
  Mode mode = Mode::kTile;
  std::array<int32_t, 5> coordinates{};  // kRows: the column, then four rows
  std::array<uint32_t, 3> offsets{};     // kIm2col
};

struct TensorBox {
  static constexpr uint64_t kOutside = ~uint64_t{0};

  TensorMap map;
  uint32_t row_elements = 0;
  uint32_t row_bytes = 0;        // in shared memory
  uint32_t pitch = 0;            // in shared memory, from row to row
  uint32_t first = 0, last = 0;  // elements [first, last) of each row are inside of the tensor
  std::vector<uint64_t> rows;    // global address of element `first`; kOutside: none is inside
  uint64_t begin = 0, end = 0;   // all these elements' addresses; empty: none

  uint32_t shared_bytes() const { return static_cast<uint32_t>(rows.size()) * pitch; }
  // What an mbarrier is told: elements without padding, those outside too.
  uint32_t transaction_bytes() const {
    return static_cast<uint32_t>(rows.size()) * row_elements * global_bits(map.type) / 8;
  }
  // Bytes in global memory of the elements of a row that are inside.
  uint32_t inside_bytes() const { return (last - first) * global_bits(map.type) / 8; }
  // The same of all rows.
  uint64_t global_bytes() const {
    const auto outside = std::count(rows.begin(), rows.end(), kOutside);
    return (rows.size() - static_cast<size_t>(outside)) * inside_bytes();
  }
};

// Why the map cannot be accessed so, or nothing; then `box` is set.
std::string make_box(const TensorMap& map, const TensorAccess& access, TensorBox& box);

// Where the 16 bytes at a shared address go: PTX ISA 5.5.7. Of absolute addresses.
uint32_t swizzled(const TensorMap& map, uint32_t address);
// Whether the two halves of the 16 bytes that go to `address` change places.
inline bool is_flipped(const TensorMap& map, uint32_t address) {
  return map.atomicity == TensorMap::Atomicity::k32BFlip8B && (address >> 7 & 1) != 0;
}

// One row on its way: from global memory (the elements inside) to `row`, row_bytes as shared memory
// has them; and back. Padding is left as it is.
void load_row(const TensorBox& box, const std::byte* inside, std::byte* row);
void fill_row(const TensorBox& box, std::byte* row);  // none is inside
void store_row(const TensorBox& box, const std::byte* row, std::byte* inside);

// A row to and from shared memory: `shared` is the byte at the absolute address `base`.
void scatter_row(const TensorBox& box, const std::byte* row, std::byte* shared, uint32_t base,
                 uint32_t address);
void gather_row(const TensorBox& box, std::byte* row, const std::byte* shared, uint32_t base,
                uint32_t address);

}  // namespace nibble::emulator
