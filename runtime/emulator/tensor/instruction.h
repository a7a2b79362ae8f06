// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Instruction descriptors of tcgen05.mma: PTX ISA 9.7.16.4.2 to .4.3, with the shapes and types
// that each kind allows (9.7.16.2.1, 9.7.16.10.1 to .10.3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator::tensor {

enum class MmaKind : uint8_t { kF16, kTf32, kF8f6f4, kI8, kMxf8f6f4, kMxf4, kMxf4nvf4 };
const char* name_of(MmaKind kind);
constexpr bool is_scaled(MmaKind kind) { return kind >= MmaKind::kMxf8f6f4; }

// What the instruction itself says.
struct MmaVariant {
  MmaKind kind = MmaKind::kF16;
  uint32_t group = 1;  // .cta_group
  bool is_sparse = false;
  bool is_stationary = false;  // .ws
  uint32_t scale_block = 0;    // elements to a scale: 16, 32; 0 without scales
  bool has_k96 = false;        // the target has K = 96
};

struct MmaShape {
  uint32_t m = 0, n = 0;  // of both blocks together
  uint32_t k = 0;
  Format a = Format::kF16, b = Format::kF16, d = Format::kF32;
  ScaleFormat scale = ScaleFormat::kNone;
  uint32_t a_scale_id = 0, b_scale_id = 0;  // the first scale's byte in its word
  uint32_t selector = 0;                    // of sparsity metadata
  bool negates_a = false, negates_b = false;
  bool transposes_a = false, transposes_b = false;
  bool saturates = false;
  uint32_t most_shift = 0;  // of B's columns with .ws
};

// False with the field, its value and the rule in `error`.
bool decode_instruction(uint32_t bits, const MmaVariant& variant, MmaShape& shape,
                        std::string& error);

uint32_t bits_of(Format format);
uint32_t sign_bit(Format format);

// The columns of B that a zero-column mask descriptor makes zero, an element a column, and the
// distance by which it shifts them.
struct ColumnMask {
  std::vector<bool> is_zero;
  uint32_t shift = 0;
};
bool decode_column_mask(uint64_t bits, const MmaShape& shape, ColumnMask& mask, std::string& error);

}  // namespace nibble::emulator::tensor
