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

// A quantised matrix: x row by row, or its transpose.
struct QuantizedCopy {
  const float* amax;           // one value: the tensor's amax, to scale by. MX formats: not read
  float* new_amax;             // kRecordsAmax: becomes max(itself, amax of what is quantised)
  unsigned char* codes;        // E2M1, two a byte, or E4M3; whole blocks
  unsigned char* scales;       // a byte a block, in the configured layout
  long long code_row_stride;   // in bytes
  long long scale_row_stride;  // in bytes; row-major layout only
};

struct QuantizeParams {
  const void* x;            // [rows, columns], row r starts at element r * row_stride
  QuantizedCopy copies[2];  // of x, and of its transpose; one may be unused
  long long rows;           // >= 1
  long long columns;        // >= 1
  long long row_stride;     // in elements, >= columns
  // Of the copies' transforms, with kGivenSigns: bit i % 32 of word i / 32 changes sign i.
  unsigned signs[2][4];
  unsigned keys[10][2];  // kStochastic: the seed's words, and of the later rounds (philox.cuh)
};

struct DequantizeParams {
  const unsigned char* codes;
  const unsigned char* scales;
  const float* amax;  // kFormat 0 only
  void* y;            // [rows, columns], row r starts at element r * row_stride
  long long rows;
  long long columns;
  long long row_stride;        // in elements
  long long code_row_stride;   // in bytes
  long long scale_row_stride;  // in bytes; row-major layout only
};

}  // namespace nibble
