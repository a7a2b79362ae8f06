// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.mma: where operands are read and results go, by index formulas, with inputs whose sums
// are exact in f32.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

// Elements of a matrix: small integers, exact in every format.
int small(uint32_t row, uint32_t k, uint32_t salt) {
  return static_cast<int>((row * 7 + k * 3 + salt + row * k) % 5) - 2;
}

uint32_t f16_code(int value) {
  static constexpr uint32_t kCodes[] = {0x0000, 0x3C00, 0x4000};
  return kCodes[std::abs(value)] | (value < 0 ? 0x8000u : 0u);
}

uint32_t e2m1_code(int value) {
  static constexpr uint32_t kCodes[] = {0, 2, 4};
  return kCodes[std::abs(value)] | (value < 0 ? 8u : 0u);
}

// Byte of a K-major row in rows of 128 bytes, swizzled.
uint32_t swizzled_row(uint32_t row, uint32_t byte) {
  const uint32_t at = row / 8 * 1024 + row % 8 * 128 + byte;
  return at ^ (at >> 7 & 7) << 4;
}

constexpr uint64_t kSwizzled128 = 0x4000404000010000;

TEST(Tcgen05Mma, MultipliesHalves) {
  constexpr uint32_t kN = 64, kK = 16;
  for (const bool accumulates : {false, true}) {
    TensorKernel kernel(1, 64, 32768);
    for (uint32_t k = 0; k < kK; ++k) {
      for (uint32_t m = 0; m < 128; ++m) {
        kernel.put_bits(0, swizzled_row(m, k * 2) * 8u, 16, f16_code(small(m, k, 0)));
      }
      for (uint32_t n = 0; n < kN; ++n) {
        kernel.put_bits(0, (16384 + swizzled_row(n, k * 2)) * 8u, 16, f16_code(small(n, k, 1)));
      }
    }
    for (uint32_t m = 0; m < 128; ++m) {
      for (uint32_t n = 0; n < kN; ++n) {
        kernel.tensor(m, n) = std::bit_cast<uint32_t>(static_cast<float>(m) - 2.0F * n);
      }
    }
    kernel.body = TensorKernel::descriptor(10, 0, kSwizzled128) +
                  TensorKernel::descriptor(11, 16384, kSwizzled128) +
                  "tcgen05.mma.cta_group::1.kind::f16 [%tmem], %rd10, %rd11, " +
                  std::to_string(8u << 24 | kN / 8 << 17 | 1u << 4) +
                  (accumulates ? ", %p1;\n" : ", %p2;\n");
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << fault->report;
    for (uint32_t m = 0; m < 128; ++m) {
      for (uint32_t n = 0; n < kN; ++n) {
        float want = accumulates ? static_cast<float>(m) - 2.0F * n : 0.0F;
        for (uint32_t k = 0; k < kK; ++k) {
          want += static_cast<float>(small(m, k, 0) * small(n, k, 1));
        }
        ASSERT_EQ(std::bit_cast<float>(kernel.tensor(m, n)), want) << m << ", " << n;
      }
    }
  }
}

// A scale as its power of two, and the codes of ue4m3 and ue8m0.
int scale_power(uint32_t row, uint32_t block) {
  return static_cast<int>((row * 5 + block * 3) % 4) - 1;
}
uint32_t ue4m3_code(int power) { return static_cast<uint32_t>(7 + power) << 3; }

// Tile 128 x 128 x 256: scale factors copied to tensor memory, four instructions of K = 64.
TEST(Tcgen05Mma, MultipliesNvfp4) {
  constexpr uint32_t kN = 128, kK = 256, kBlocks = kK / 16;
  constexpr uint32_t kB = 16384, kScalesA = 32768, kScalesB = 34816;
  TensorKernel kernel(1, 256, 36864);
  for (uint32_t row = 0; row < 128; ++row) {
    for (uint32_t k = 0; k < kK; ++k) {
      const uint32_t shift = k % 2 * 4;
      kernel.put_bits(0, swizzled_row(row, k / 2) * 8u + shift, 4, e2m1_code(small(row, k, 0)));
      kernel.put_bits(0, (kB + swizzled_row(row, k / 2)) * 8u + shift, 4,
                      e2m1_code(small(row, k, 1)));
    }
    for (uint32_t block = 0; block < kBlocks; ++block) {
      const uint32_t at = block / 4 * 512 + row % 32 * 16 + row / 32 * 4 + block % 4;
      kernel.put_bits(0, (kScalesA + at) * 8u, 8, ue4m3_code(scale_power(row, block)));
      kernel.put_bits(0, (kScalesB + at) * 8u, 8, ue4m3_code(scale_power(row + 1, block)));
    }
  }
  std::string& body = kernel.body;
  for (uint32_t step = 0; step < 4; ++step) {
    for (const bool is_b : {false, true}) {
      body += TensorKernel::descriptor(10, (is_b ? kScalesB : kScalesA) + step * 512,
                                       0x0000400800080000) +
              "tcgen05.cp.cta_group::1.32x128b.warpx4 [%tmem+" +
              std::to_string(128 + (is_b ? 16 : 0) + 4 * step) + "], %rd10;\n";
    }
  }
  for (uint32_t step = 0; step < 4; ++step) {
    body += TensorKernel::descriptor(10, step * 32, kSwizzled128) +
            TensorKernel::descriptor(11, kB + step * 32, kSwizzled128) + "add.u32 %r9, %tmem, " +
            std::to_string(128 + 4 * step) + ";\nadd.u32 %r10, %tmem, " +
            std::to_string(144 + 4 * step) +
            ";\ntcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block16 [%tmem], %rd10, %rd11, "
            "0x08200480, [%r9], [%r10], " +
            (step == 0 ? "%p2" : "%p1") + ";\n";
  }
  const auto fault = kernel.run();
  ASSERT_FALSE(fault) << fault->report;
  for (uint32_t m = 0; m < 128; ++m) {
    for (uint32_t n = 0; n < kN; ++n) {
      double want = 0;
      for (uint32_t k = 0; k < kK; ++k) {
        want += std::ldexp(small(m, k, 0) * small(n, k, 1),
                           scale_power(m, k / 16) + scale_power(n + 1, k / 16));
      }
      ASSERT_EQ(std::bit_cast<float>(kernel.tensor(m, n)), static_cast<float>(want))
          << m << ", " << n;
    }
  }
}

}  // namespace
}  // namespace nibble::emulator
