// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How close quantised values are to the originals, from the stored bytes alone: decoded here on the
// host, in double, by the definition of the number formats and none of the library's code.
#pragma once

#include <cstdint>

#include "nibble/types.hpp"

namespace nibble::cli {

double decode_f16(uint16_t bits);
double decode_bf16(uint16_t bits);
double decode_e4m3(uint8_t bits);   // NaN for 0x7f and 0xff
double decode_e2m1(unsigned code);  // the low 4 bits

// Sums over the elements seen so far.
struct Fidelity {
  double signal = 0;         // sum of x^2
  double noise = 0;          // sum of (x - y)^2
  double largest_error = 0;  // of |x - y|
  int64_t elements = 0;
  int64_t not_finite = 0;  // NaN and infinities among the originals; not in the sums

  // 10 log10(signal / noise): infinity where y is x everywhere.
  double decibels() const;
};

// Rows of an original beside their NVFP4 form. y = code x scale x tensor_scale, in double.
struct ComparedRows {
  const void* original = nullptr;  // [rows, columns] of `type`, dense
  DataType type = DataType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  const uint8_t* codes = nullptr;   // [rows, code_row_bytes(columns)]
  const uint8_t* scales = nullptr;  // [rows, blocks], row-major
  double tensor_scale = 0;          // amax / 2688
};

void compare(const ComparedRows& rows, Fidelity* fidelity);

}  // namespace nibble::cli
