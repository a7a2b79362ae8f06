// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The Hadamard transform as the numerics contract in templates/README.md says it: the matrix, and
// the order of the sums in fp32. Host memory only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nibble::reference {

// 1 or -1: entry of the matrix of 12, 20, 28 or a power of two, or of the product of a base and a
// power of two.
int hadamard_entry(int size, int row, int column);

struct Hadamard {
  int size = 0;
  std::vector<bool> negative;  // by element of a group; empty: none
  bool inverse = false;
  float scale = 1;
};
// One group of `size` values, before the cast to the element type. A NaN is 0x7FFFFFFF.
std::vector<float> hadamard(const Hadamard& transform, std::span<const float> group);

// RN(1 / sqrt(size)).
float orthonormal_scale(int size);

}  // namespace nibble::reference
