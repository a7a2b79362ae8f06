// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One f16 product for the tests of tcgen05.mma, with sums that are exact.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string>

#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {

// Elements of a matrix: small integers, exact in every format.
inline int small(uint32_t row, uint32_t k, uint32_t salt) {
  return static_cast<int>((row * 7 + k * 3 + salt + row * k) % 5) - 2;
}

inline uint32_t f16_code(int value) {
  static constexpr uint32_t kCodes[] = {0x0000, 0x3C00, 0x4000};
  return kCodes[std::abs(value)] | (value < 0 ? 0x8000u : 0u);
}

// Byte of a K-major row in rows of 128 bytes, swizzled.
inline uint32_t swizzled_row(uint32_t row, uint32_t byte) {
  const uint32_t at = row / 8 * 1024 + row % 8 * 128 + byte;
  return at ^ (at >> 7 & 7) << 4;
}

constexpr uint64_t kSwizzled128 = 0x4000404000010000;

// An f16 product of 128 x n x 16, A at byte 0 and B at 16384 of shared memory, D from column 0.
class HalfProduct {
 public:
  explicit HalfProduct(uint32_t n, uint32_t b_rows = 0) : n(n) {
    for (uint32_t k = 0; k < 16; ++k) {
      for (uint32_t m = 0; m < 128; ++m) {
        kernel.put_bits(0, swizzled_row(m, k * 2) * 8u, 16, f16_code(small(m, k, 0)));
      }
      for (uint32_t row = 0; row < std::max(n, b_rows); ++row) {
        kernel.put_bits(0, (16384 + swizzled_row(row, k * 2)) * 8u, 16, f16_code(small(row, k, 1)));
      }
    }
    for (uint32_t m = 0; m < 128; ++m) {
      for (uint32_t column = 0; column < n; ++column) {
        kernel.tensor(m, column) = std::bit_cast<uint32_t>(start(m, column));
      }
    }
  }

  static float start(uint32_t m, uint32_t n) { return static_cast<float>(m) - 2.0F * n; }
  static float sum(uint32_t m, uint32_t n) {
    float sum = 0;
    for (uint32_t k = 0; k < 16; ++k) sum += static_cast<float>(small(m, k, 0) * small(n, k, 1));
    return sum;
  }
  uint32_t idesc(uint32_t m = 128) const { return m / 16 << 24 | n / 8 << 17 | 1u << 4; }
  static std::string descriptors() {
    return TensorKernel::descriptor(10, 0, kSwizzled128) +
           TensorKernel::descriptor(11, 16384, kSwizzled128);
  }
  // The instruction with `modifiers` behind tcgen05.mma and `tail` for what follows the descriptor.
  std::string multiply(const std::string& modifiers, const std::string& tail,
                       uint32_t descriptor) const {
    return "tcgen05.mma" + modifiers + " [%tmem], %rd10, %rd11, " + std::to_string(descriptor) +
           ", " + tail + ";\n";
  }
  float got(uint32_t m, uint32_t column) { return std::bit_cast<float>(kernel.tensor(m, column)); }
  std::string report() {
    const auto fault = kernel.run();
    return fault ? fault->report : "";
  }

  uint32_t n;
  TensorKernel kernel{1, 256, 65536};
};

}  // namespace nibble::emulator
