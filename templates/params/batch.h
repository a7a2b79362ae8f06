// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Many problems, one kernel: a table of their parameters in device memory, and the tiles of each.
// Compiled by the host compiler and by NVRTC: plain structs of fixed-width members, no include, no
// padding.
#pragma once

namespace nibble {

struct BatchParams {
  const void* items;            // `count` structs of the kernel's family, one after the other
  const long long* first_tile;  // [count + 1]: tiles of items 0 .. i - 1; the last: all
  long long count;              // >= 1
};

}  // namespace nibble
