// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Kernel parameters of the scale layout conversion. Compiled by the host compiler and by NVRTC:
// plain structs of fixed-width members, no include, no padding.
#pragma once

namespace nibble {

// Scales of `blocks` blocks in each row, a byte each; all of `to` is written, padding with 0.
struct ScaleLayoutParams {
  const unsigned char* from;
  unsigned char* to;
  long long rows;        // >= 1
  long long blocks;      // >= 1
  long long row_stride;  // in bytes, of the row-major side
};

}  // namespace nibble
