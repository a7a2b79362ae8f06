// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Sparse A of mma.sp and wgmma.mma_async.sp (PTX ISA 9.7.14.6.1): which elements of a row are
// stored.
//
// A row is made of chunks, each with a nibble of metadata. Of four lanes that share rows g and
// g + 8 some contribute, as the selector says, eight nibbles each: with elements of 16 and 32 bits
// four of row g and then four of row g + 8; with smaller ones of one row, the first lane of row g,
// the second of row g + 8, the third of row g again, further along k.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

// Faults with kIllegalInstruction.
[[noreturn]] void refuse_operand(Warp& warp, const std::string& what);
// The value that an operand has in all lanes; faults where they differ.
uint32_t uniform_value(Warp& warp, const Arg& arg, const char* what);

struct SparseRow {
  uint32_t bits = 16;  // of an element
  uint32_t k = 0;      // of the instruction; half of it is stored
  bool needs_order = false;
};

class Metadata {
 public:
  // Of the warp's 16 rows. Reads the registers now.
  Metadata(Warp& warp, const Arg& metadata, const Arg& selector, const SparseRow& row);

  // Where stored element `i` of a row is along k.
  uint16_t column(uint32_t row, uint32_t i) const;

 private:
  uint32_t nibble_of(uint32_t row, uint32_t chunk) const;
  void check(uint32_t nibble, uint32_t lane) const;

  Warp& warp_;
  std::array<uint32_t, kWarpSize> words_;
  uint32_t stored_ = 2;         // elements of a chunk that are stored
  uint32_t unit_ = 1;           // neighbours that an index stands for: pairs of 4-bit elements
  bool row_a_lane_ = false;     // a lane's metadata is of one row
  bool is_one_of_two_ = false;  // tf32: nibbles 0b0100 and 0b1110, the first and the second of two
  bool needs_order_ = false;
  uint32_t first_ = 0;  // of the lanes that contribute
};

}  // namespace nibble::emulator
