// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Kernel parameters of the amax, quantize and dequantize families. Compiled by the host compiler
// and by NVRTC: plain structs of fixed-width members, no include, no padding.
#pragma once

namespace nibble {

// amax[0] = max |x| over the matrix, NaN ignored. amax must hold 0.0f (or an earlier maximum).
struct AmaxParams {
  const void* x;         // [rows, columns], row r starts at element r * row_stride
  float* amax;           // one value
  long long rows;        // >= 1
  long long columns;     // >= 1
  long long row_stride;  // in elements, >= columns
};

struct QuantizeParams {
  const void* x;               // [rows, columns], row r starts at element r * row_stride
  const float* amax;           // one value: the tensor's amax
  unsigned char* codes;        // [rows, ceil(columns / 16) * 8] bytes, two E2M1 codes a byte
  unsigned char* scales;       // E4M3, one per 16 columns, in the configured layout
  long long rows;              // >= 1
  long long columns;           // >= 1
  long long row_stride;        // in elements, >= columns
  long long code_row_stride;   // in bytes
  long long scale_row_stride;  // in bytes; row-major layout only
};

struct DequantizeParams {
  const unsigned char* codes;
  const unsigned char* scales;
  const float* amax;
  void* y;  // [rows, columns], row r starts at element r * row_stride
  long long rows;
  long long columns;
  long long row_stride;        // in elements
  long long code_row_stride;   // in bytes
  long long scale_row_stride;  // in bytes; row-major layout only
};

}  // namespace nibble
