// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrices spread over a warp's registers, as mma, wmma and wgmma have them (PTX ISA 9.7.14.5).
//
// All shapes follow one rule. Four lanes hold a row of A, a column of B, a row of C. A register of
// A or B has 32 bits of codes, neighbours along k; lane t of the four has the t-th such piece.
//   A: registers 0 and 1 are rows g and g + 8 (g = lane / 4), 2 and 3 the same further along k
//   B: one register after another goes along k, column g
//   C: elements 0 and 1 are row g, columns 2 t and 2 t + 1; 2 and 3 row g + 8
// Elements of 64 bits take a register each.
#pragma once

#include <cstdint>

#include "runtime/emulator/machine/warp.h"
#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator {

// Where an element is in its matrix: of A a row and k, of B a column and k, of C a row and a
// column.
struct Place {
  uint32_t line = 0;
  uint32_t along = 0;
};

// Element `i` of a lane; `each` of them in a register.
constexpr Place place_in_a(uint32_t lane, uint32_t i, uint32_t each) {
  const uint32_t piece = i / each;
  return {lane / 4 + piece % 2 * 8, (piece / 2 * 4 + lane % 4) * each + i % each};
}
constexpr Place place_in_b(uint32_t lane, uint32_t i, uint32_t each) {
  return {lane / 4, (i / each * 4 + lane % 4) * each + i % each};
}
constexpr Place place_in_c(uint32_t lane, uint32_t i) {
  return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2};
}

// How an element lies in a register: `bits` apart, the code above `padding` of them.
struct Element {
  tensor::Format format = tensor::Format::kF16;
  uint8_t bits = 16;
  uint8_t padding = 0;
  uint8_t code_bits = 16;
};

// In registers without padding: f32 has 32 bits, e2m1 four.
constexpr uint8_t register_bits(tensor::Format format) {
  using tensor::Format;
  switch (format) {
    case Format::kF64:
      return 64;
    case Format::kF32:
    case Format::kTf32:
    case Format::kS32:
      return 32;
    case Format::kF16:
    case Format::kBf16:
      return 16;
    case Format::kE2m1:
    case Format::kS4:
    case Format::kU4:
      return 4;
    case Format::kB1:
      return 1;
    default:
      return 8;
  }
}
constexpr Element dense(tensor::Format format) {
  const uint8_t bits = register_bits(format);
  return {format, bits, 0, bits};
}

// Codes of the elements of all lanes, `count` a lane from args on: put(lane, i, code).
template <class Put>
void read_codes(Warp& warp, const Arg* args, const Element& element, uint32_t count, Put put) {
  const uint32_t each = 32u / element.bits;
  const uint32_t mask = element.code_bits == 32 ? ~0u : (1u << element.code_bits) - 1;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t* const words = warp.reg<const uint32_t>(args[i / each]);
    const uint32_t shift = i % each * element.bits + element.padding;
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) put(lane, i, words[lane] >> shift & mask);
  }
}

// The reverse, for accumulators: get(lane, i) is the word of an element of 16 or 32 bits.
template <class Get>
void write_codes(Warp& warp, const Arg* args, uint32_t bits, uint32_t count, Get get) {
  const uint32_t each = 32u / bits;
  for (uint32_t i = 0; i < count; i += each) {
    const Arg& arg = args[i / each];
    if (arg.offset == kNoArg) continue;
    uint32_t* const words = warp.reg<uint32_t>(arg);
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      words[lane] = each == 1 ? get(lane, i) : (get(lane, i) & 0xFFFF) | get(lane, i + 1) << 16;
    }
  }
}

// Waits for all 32 lanes of the warp. False: execute again later. Faults where lanes have exited.
bool gather_warp(Warp& warp);

}  // namespace nibble::emulator
