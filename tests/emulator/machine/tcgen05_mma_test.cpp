// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.mma: where operands are read and results go, by index formulas, with inputs whose sums
// are exact in f32.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/emulator/machine/half_product.h"

namespace nibble::emulator {
namespace {

uint32_t e2m1_code(int value) {
  static constexpr uint32_t kCodes[] = {0, 2, 4};
  return kCodes[std::abs(value)] | (value < 0 ? 8u : 0u);
}

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
  std::vector<float> want(128 * kN);
  for (uint32_t m = 0; m < 128; ++m) {
    for (uint32_t n = 0; n < kN; ++n) {
      double sum = 0;
      for (uint32_t k = 0; k < kK; ++k) {
        sum += std::ldexp(small(m, k, 0) * small(n, k, 1),
                          scale_power(m, k / 16) + scale_power(n + 1, k / 16));
      }
      want[m * kN + n] = static_cast<float>(sum);
    }
  }
  for (uint32_t seed = 0; seed < 25; ++seed) {
    kernel.settings.seed = seed;
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << seed << ": " << fault->report;
    for (uint32_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(std::bit_cast<float>(kernel.tensor(i / kN, i % kN)), want[i]) << seed << ", " << i;
    }
  }
}

const std::string kHalf = ".cta_group::1.kind::f16";

TEST(Tcgen05Mma, LeavesDisabledLanes) {
  HalfProduct product(32);
  product.kernel.body = HalfProduct::descriptors() +
                        "mov.b32 %r20, 0x80000001;\nmov.b32 %r21, 0;\nmov.b32 %r22, 0xFFFFFFFF;\n" +
                        product.multiply(kHalf, "{%r20, %r21, %r22, %r21}, %p1", product.idesc());
  ASSERT_EQ(product.report(), "");
  for (uint32_t m = 0; m < 128; ++m) {
    const bool is_disabled = m == 0 || m == 31 || m / 32 == 2;
    for (uint32_t n = 0; n < 32; ++n) {
      ASSERT_EQ(product.got(m, n),
                HalfProduct::start(m, n) + (is_disabled ? 0 : HalfProduct::sum(m, n)))
          << m << ", " << n;
    }
  }
}

TEST(Tcgen05Mma, ScalesTheAccumulatorDown) {
  HalfProduct product(32);
  product.kernel.body =
      HalfProduct::descriptors() + product.multiply(kHalf, "%p1, 3", product.idesc());
  ASSERT_EQ(product.report(), "");
  for (uint32_t m = 0; m < 128; ++m) {
    for (uint32_t n = 0; n < 32; ++n) {
      ASSERT_EQ(product.got(m, n), HalfProduct::start(m, n) / 8 + HalfProduct::sum(m, n));
    }
  }
}

TEST(Tcgen05Mma, AccumulatesInOrder) {
  HalfProduct product(32);
  product.kernel.body = HalfProduct::descriptors() +
                        product.multiply(kHalf, "%p1", product.idesc()) +
                        product.multiply(kHalf, "%p1", product.idesc());
  ASSERT_EQ(product.report(), "");
  EXPECT_EQ(product.got(5, 7), HalfProduct::start(5, 7) + 2 * HalfProduct::sum(5, 7));
}

// Masks of the manual's examples (9.7.16.4.3), the lowest column first.
TEST(Tcgen05Mma, MakesColumnsZero) {
  struct MaskCase {
    uint32_t m;
    uint64_t descriptor;
    std::vector<std::string> parts;  // by sub-mask: the first columns
    uint32_t shift;
  };
  const uint64_t spans = uint64_t{1} << 39 | uint64_t{2} << 40 | uint64_t{3} << 48;
  const MaskCase cases[] = {
      {128, spans & ~(uint64_t{1} << 39), {"00000000000000"}, 0},
      {128, spans, {"00001110000111"}, 0},
      {64, spans | uint64_t{1} << 32, {"11100001110000111", "00001110000111"}, 0},
      {32,
       spans | uint64_t{3} << 32 | 1u << 8 | 2u << 16 | 1u << 24 | uint64_t{2} << 56,
       {"11100001110000", "1100001110000", "001110000111", "0001110000111"},
       2},
  };
  for (const MaskCase& c : cases) {
    HalfProduct product(128, 160);
    product.kernel.body = HalfProduct::descriptors() + "mov.b64 %rd12, " +
                          std::to_string(c.descriptor) + ";\n" +
                          product.multiply(".ws" + kHalf + ".collector::b2::fill", "%p2, %rd12",
                                           product.idesc(c.m) | 1u << 30);
    ASSERT_EQ(product.report(), "");
    const uint32_t parts = 128 / c.m, width = 128 / parts;
    for (uint32_t part = 0; part < parts; ++part) {
      for (uint32_t i = 0; i < c.parts[part].size(); ++i) {
        const bool is_zero = c.parts[part][i] == '1';
        for (const uint32_t m : {1u, 17u, 30u}) {
          EXPECT_EQ(product.got(m + part * c.m, i),
                    is_zero ? 0 : HalfProduct::sum(m, part * width + i + c.shift))
              << c.m << ": " << part << ", " << i;
        }
      }
    }
  }
}

TEST(Tcgen05Mma, ShiftsTheRowsOfA) {
  HalfProduct product(32);
  for (uint32_t m = 0; m < 128; ++m) {
    for (uint32_t k = 0; k < 16; ++k) {
      product.kernel.tensor(m, 128 + k / 2) |= f16_code(small(m, k, 0)) << k % 2 * 16;
    }
  }
  product.kernel.body = HalfProduct::descriptors() + "add.u32 %r20, %tmem, 128;\n" + "tcgen05.mma" +
                        kHalf + ".ashift.collector::a::lastuse [%tmem], [%r20], %rd11, " +
                        std::to_string(product.idesc()) + ", %p2;\n";
  ASSERT_EQ(product.report(), "");
  for (uint32_t m = 0; m < 128; ++m) {
    EXPECT_EQ(product.got(m, 9), HalfProduct::sum(std::min(m + 1, 127u), 9)) << m;
  }
}

TEST(Tcgen05Mma, SaturatesIntegers) {
  for (const bool saturates : {false, true}) {
    TensorKernel kernel(1, 32, 32768);
    for (uint32_t i = 0; i < 128 * 32; ++i) {
      kernel.put_bits(0, swizzled_row(i / 32, i % 32) * 8u, 8, 127);
      if (i < 32 * 32) kernel.put_bits(0, (16384 + swizzled_row(i / 32, i % 32)) * 8u, 8, 127);
    }
    for (uint32_t lane = 0; lane < 128; ++lane) kernel.tensor(lane, 3) = 0x7FFFFFF0;
    kernel.body =
        HalfProduct::descriptors() + "tcgen05.mma.cta_group::1.kind::i8 [%tmem], %rd10, %rd11, " +
        std::to_string(8u << 24 | 4u << 17 | 1u << 10 | 1u << 7 | 2u << 4 | (saturates ? 8u : 0u)) +
        ", %p1;\n";
    const auto fault = kernel.run();
    ASSERT_FALSE(fault) << fault->report;
    EXPECT_EQ(kernel.tensor(9, 2), 32u * 127 * 127);
    EXPECT_EQ(kernel.tensor(9, 3), saturates ? 0x7FFFFFFFu : 0x7FFFFFF0u + 32 * 127 * 127);
  }
}

// K = 96 of sm_103a: rows go on in the next buffer of 128 bytes, scales in the next word's columns.
TEST(Tcgen05Mma, MultipliesNinetySix) {
  constexpr uint32_t kBuffer = 16384, kB = 32768;
  for (const uint32_t block : {16, 32}) {
    for (const uint32_t first_byte : {0u, 96u, 112u}) {
      TensorKernel kernel(1, 128, 65536);
      kernel.target = "sm_103a";
      const uint32_t id = block == 16 ? 2 : 3, count = 96 / block, n_count = 64;
      const auto put = [&](uint32_t base, uint32_t row, uint32_t k, uint32_t code) {
        const uint32_t byte = first_byte + k / 2;
        const uint32_t at = base + byte / 128 * kBuffer + swizzled_row(row, byte % 128);
        kernel.put_bits(0, at * 8u + k % 2 * 4, 4, code);
      };
      for (uint32_t row = 0; row < 128; ++row) {
        for (uint32_t k = 0; k < 96; ++k) {
          put(0, row, k, e2m1_code(small(row, k, 0)));
          if (row < n_count) put(kB, row, k, e2m1_code(small(row, k, 1)));
        }
        for (uint32_t j = 0; j < count; ++j) {
          for (uint32_t quarter = 0; quarter < 4; ++quarter) {
            const uint32_t lane = quarter * 32 + row % 32, byte = id + j;
            const uint32_t column = row / 32 + byte / 4 * 4, shift = byte % 4 * 8;
            const auto code = [&](int power) {
              return static_cast<uint32_t>(127 + power) << shift;
            };
            kernel.tensor(lane, 64 + column) |= code(scale_power(row, j));
            if (row < n_count) kernel.tensor(lane, 80 + column) |= code(scale_power(row + 1, j));
          }
        }
      }
      const auto rest = [&](uint32_t r, uint32_t base) {
        // The leading field: the next buffer's address, which depends on where the image lies.
        const std::string rd = "%rd" + std::to_string(r);
        return TensorKernel::descriptor(
                   r, base + first_byte,
                   uint64_t{2} << 61 | uint64_t{1} << 52 | uint64_t{1} << 46 | uint64_t{64} << 32) +
               "add.u32 %r8, %smem, " + std::to_string(base + kBuffer) +
               ";\nshr.u32 %r8, %r8, 4;\ncvt.u64.u32 %rd20, %r8;\nshl.b64 %rd20, %rd20, "
               "16;\nor.b64 " +
               rd + ", " + rd + ", %rd20;\n";
      };
      kernel.body = rest(10, 0) + rest(11, kB) +
                    "add.u32 %r20, %tmem, 64;\nadd.u32 %r21, %tmem, 80;\n"
                    "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block" +
                    std::to_string(block) + " [%tmem], %rd10, %rd11, " +
                    std::to_string(1u << 31 | id << 29 | 1u << 27 | 1u << 23 | n_count / 8 << 17 |
                                   1u << 10 | 1u << 7 | id << 4) +
                    ", [%r20], [%r21], %p2;\n";
      const auto fault = kernel.run();
      ASSERT_FALSE(fault) << fault->report;
      for (uint32_t m = 0; m < 128; ++m) {
        for (uint32_t n = 0; n < n_count; ++n) {
          double want = 0;
          for (uint32_t k = 0; k < 96; ++k) {
            want += std::ldexp(small(m, k, 0) * small(n, k, 1),
                               scale_power(m, k / block) + scale_power(n + 1, k / block));
          }
          ASSERT_EQ(std::bit_cast<float>(kernel.tensor(m, n)), static_cast<float>(want))
              << block << ", " << first_byte << ": " << m << ", " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace nibble::emulator
