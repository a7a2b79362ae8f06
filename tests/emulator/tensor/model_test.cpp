// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Cases worked by hand: what each generation cuts off, and what its special values are.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator::tensor {
namespace {

constexpr Arithmetic kModels[] = {Arithmetic::kMmaHopper, Arithmetic::kWgmmaHopper,
                                  Arithmetic::kMmaBlackwell, Arithmetic::kTcgen05};

// One output: a and b filled up with +0.
uint32_t dot(Multiply shape, std::vector<uint32_t> a, std::vector<uint32_t> b, uint32_t c,
             const std::vector<uint8_t>& a_scales = {}, const std::vector<uint8_t>& b_scales = {}) {
  shape.m = shape.n = 1;
  a.resize(shape.k);
  b.resize(shape.k);
  uint32_t d = c;
  multiply(shape, a.data(), b.data(), a_scales.empty() ? nullptr : a_scales.data(),
           b_scales.empty() ? nullptr : b_scales.data(), &d);
  return d;
}
Multiply shape_of(Format format, uint32_t k, Arithmetic arithmetic, Format d = Format::kF32) {
  Multiply shape;
  shape.k = k;
  shape.a = shape.b = format;
  shape.d = d;
  shape.arithmetic = arithmetic;
  return shape;
}
uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }

constexpr uint32_t kOneF16 = 0x3C00;

TEST(FusedSum, CutsTermsAfter25BitsBelowTheLargest) {
  // 2^-25 * 2 beside 1: two units of the last place kept; each half of that is cut.
  for (const Arithmetic arithmetic : kModels) {
    const Multiply shape = shape_of(Format::kF16, 16, arithmetic);
    // 2^-12 * 2^-12 = 2^-24, twice 2^-24 makes 2^-23, the last bit of an f32 at 1.
    const uint32_t small = 0x0C00;  // 2^-12
    EXPECT_EQ(dot(shape, {kOneF16, small, small}, {kOneF16, small, small}, 0), bits(1 + 0x1p-23f));
    // Eight of 2^-26 would make the same; each is cut to zero.
    const uint32_t smaller = 0x0800;  // 2^-13
    EXPECT_EQ(
        dot(shape,
            {kOneF16, smaller, smaller, smaller, smaller, smaller, smaller, smaller, smaller},
            {kOneF16, smaller, smaller, smaller, smaller, smaller, smaller, smaller, smaller}, 0),
        bits(1));
  }
}

TEST(FusedSum, CutsTheResultTowardsZero) {
  const Multiply shape = shape_of(Format::kF16, 16, Arithmetic::kTcgen05);
  const uint32_t small = 0x0C00;
  EXPECT_EQ(dot(shape, {kOneF16, small}, {kOneF16, small}, 0), bits(1));  // 1 + 2^-24
  EXPECT_EQ(dot(shape, {kOneF16, small}, {kOneF16, 0x8000 | small}, 0), bits(1 - 0x1p-24f));
  EXPECT_EQ(dot(shape, {kOneF16, small}, {0x8000 | kOneF16, 0x8000 | small}, 0), bits(-1));
  // C of 2^-24 + 2^-25 + 2^-26 beside 1 loses the last; nothing is left to round up.
  EXPECT_EQ(dot(shape, {kOneF16}, {kOneF16}, bits(0x1.Cp-24f)), bits(1));
}

TEST(FusedSum, RoundsF16ToNearestEven) {
  for (const Arithmetic arithmetic : kModels) {
    const Multiply shape = shape_of(Format::kF16, 16, arithmetic, Format::kF16);
    const uint32_t half_unit = 0x1000;  // 2^-11
    EXPECT_EQ(dot(shape, {kOneF16, half_unit}, {kOneF16, kOneF16}, 0), 0x3C00u);
    EXPECT_EQ(dot(shape, {kOneF16, half_unit}, {kOneF16, kOneF16}, 0x1400), 0x3C02u);
    EXPECT_EQ(dot(shape, {0x7BFF, kOneF16}, {kOneF16, 0x4C00}, 0), 0x7C00u);  // 65504 + 16
    EXPECT_EQ(dot(shape, {0x7BFF, kOneF16}, {kOneF16, 0x4B80}, 0), 0x7BFFu);  // 65504 + 15
    EXPECT_EQ(dot(shape, {0x0001}, {0x3800}, 0), 0u);       // half of the least, to even
    EXPECT_EQ(dot(shape, {0x0003}, {0x3800}, 0), 0x0002u);  // 1.5 of the least
  }
}

TEST(FusedSum, Fp8OfWgmmaHas13Bits) {
  const Multiply hopper = shape_of(Format::kE4m3, 32, Arithmetic::kWgmmaHopper);
  const Multiply blackwell = shape_of(Format::kE4m3, 32, Arithmetic::kTcgen05);
  const uint32_t one = 0x38, tiny = 0x08, half = 0x30;  // 1, 2^-6, 1/2
  // 1 + 2^-12 + 2^-13 + C of 2^-14.
  const std::vector<uint32_t> a = {one, tiny, tiny}, b = {one, tiny, 0x04 /* 2^-7 */};
  EXPECT_EQ(dot(hopper, a, b, bits(0x1p-14f)), bits(1 + 0x1p-12f + 0x1p-13f));
  EXPECT_EQ(dot(blackwell, a, b, bits(0x1p-14f)), bits(1 + 0x1p-12f + 0x1p-13f + 0x1p-14f));
  // Beside 4, the last bit kept is 2^-11, of terms and of the result.
  const std::vector<uint32_t> large = {0x40, 0x40, tiny};
  EXPECT_EQ(dot(hopper, large, {0x40, half, 0x10 /* 2^-5 */}, 0), bits(5 + 0x1p-11f));
  EXPECT_EQ(dot(hopper, large, {0x40, half, tiny}, 0), bits(5));
  EXPECT_EQ(dot(hopper, {one, one, one, one, tiny, tiny}, {one, one, one, one, 4, 4}, 0), bits(4));
  EXPECT_EQ(dot(hopper, {one, one, one, tiny, tiny}, {one, one, one, 4, 4}, 0), bits(3 + 0x1p-12f));
}

TEST(FusedSum, Fp8OfMmaSyncIsTwoHalvesAndAnAddition) {
  for (const Arithmetic arithmetic : {Arithmetic::kMmaHopper, Arithmetic::kMmaBlackwell}) {
    const Multiply shape = shape_of(Format::kE4m3, 32, arithmetic);
    const uint32_t one = 0x38, tiny = 0x08, least = 0x01;  // 1, 2^-6, 2^-9
    // The addition of C rounds to nearest: 1 + 2^-24 + 2^-18.. beside it.
    EXPECT_EQ(dot(shape, {one}, {one}, bits(0x1.8p-24f)), bits(1 + 0x1p-23f));
    EXPECT_EQ(dot(shape, {one}, {one}, bits(0x1p-24f)), bits(1));
    // Element 2 belongs to the second multiplication, onto the rounded result of the first.
    EXPECT_EQ(dot(shape, {one, 0, tiny}, {one, 0, least}, 0), bits(1 + 0x1p-15f));
    const uint32_t most = 0x7E;  // 448
    // 448^2 = 1.53125 * 2^17; 2^-9 * 2^-9 = 2^-18 is cut at 2^(16 - 25) whichever half it is in.
    EXPECT_EQ(dot(shape, {most, least}, {most, least}, bits(-200704.0f)), bits(0));
    EXPECT_EQ(dot(shape, {most, 0, 0xFE, 0, least}, {most, 0, most, 0, least}, 0), bits(0));
    EXPECT_EQ(dot(shape, {most, 0, 0xFE, least}, {most, 0, most, least}, 0), bits(0));
    EXPECT_EQ(dot(shape, {0x7F}, {one}, 0), 0x7FFFFFFFu);
    const Multiply half = shape_of(Format::kE5m2, 32, arithmetic, Format::kF16);
    EXPECT_EQ(dot(half, {0x3C}, {0x3C}, 0x9000), 0x3BFFu);  // 1 - 2^-11
    EXPECT_EQ(dot(half, {0x7C}, {0xBC}, 0x7C00), 0x7FFFu);  // inf - inf
  }
}

TEST(FusedSum, ZeroHasTheExponentOfTheLeastFloat) {
  const Multiply shape = shape_of(Format::kBf16, 16, Arithmetic::kTcgen05);
  // 0 * 2^100 stands at 2^-26: C of 2^-51 is kept, what is below is cut.
  EXPECT_EQ(dot(shape, {0}, {0x7180}, bits(0x1.8p-51f)), bits(0x1p-51f));
  EXPECT_EQ(dot(shape, {0}, {0x0000}, bits(0x1.8p-51f)), bits(0x1.8p-51f));
}

TEST(FusedSum, SpecialValues) {
  for (const Arithmetic arithmetic : kModels) {
    for (const Format d : {Format::kF32, Format::kF16}) {
      const Multiply shape = shape_of(Format::kF16, 16, arithmetic, d);
      const bool half = d == Format::kF16;
      const uint32_t nan = half ? 0x7FFF : 0x7FFFFFFF;
      const uint32_t inf = half ? 0x7C00 : 0x7F800000;
      const uint32_t minus = half ? 0x8000 : 0x80000000;
      EXPECT_EQ(dot(shape, {0xFE01}, {kOneF16}, 0), nan);
      EXPECT_EQ(dot(shape, {0x7C00}, {0}, 0), nan);
      EXPECT_EQ(dot(shape, {0x7C00}, {kOneF16}, inf | minus), nan);
      EXPECT_EQ(dot(shape, {0x7C00, 0xFC00}, {kOneF16, kOneF16}, 0), nan);
      EXPECT_EQ(dot(shape, {0x7C00}, {0xBC00}, 0), inf | minus);
      EXPECT_EQ(dot(shape, {kOneF16}, {kOneF16}, inf | 1), nan);
      EXPECT_EQ(dot(shape, {kOneF16}, {kOneF16}, inf), inf);
      EXPECT_EQ(dot(shape, {0x8000}, {kOneF16}, minus), 0u);  // no -0
    }
  }
}

TEST(FusedSum, F32Limits) {
  const Multiply shape = shape_of(Format::kBf16, 16, Arithmetic::kTcgen05);
  EXPECT_EQ(dot(shape, {0x7F00}, {0x4000}, 0), 0x7F800000u);  // 2^127 * 2
  EXPECT_EQ(dot(shape, {0x7F00}, {0x3F80}, bits(std::ldexp(0x1.FFFFFEp0f, 126))),
            bits(0x1.FFFFFEp127f));
  EXPECT_EQ(dot(shape, {0x0080}, {0x3F00}, 0), 0x00400000u);  // 2^-127
  EXPECT_EQ(dot(shape, {0x2000}, {0x9480}, 0), 0x80000000u | bits(0x1p-149f));
}

TEST(FusedSum, Tf32IgnoresTheLowBits) {
  const Multiply shape = shape_of(Format::kTf32, 8, Arithmetic::kMmaHopper);
  EXPECT_EQ(dot(shape, {bits(1.5f) | 0x1FFF}, {bits(2) | 1}, bits(1)), bits(4));
}

Multiply fp4(ScaleFormat scale, uint32_t block, uint32_t k = 64) {
  Multiply shape = shape_of(Format::kE2m1, k, Arithmetic::kTcgen05);
  shape.scale = scale;
  shape.scale_block = block;
  return shape;
}

TEST(BlockScaled, Fp4HasOneTermPerGroup) {
  const Multiply shape = fp4(ScaleFormat::kUe4m3, 16);
  const std::vector<uint32_t> six(64, 7);
  const std::vector<uint8_t> ones(4, 0x38);
  EXPECT_EQ(dot(shape, six, six, bits(0.25f), ones, ones), bits(2304.25f));
  const std::vector<uint8_t> most(4, 0x7E), signed_most(4, 0xFE), least(4, 0x01);
  EXPECT_EQ(dot(shape, six, six, 0, most, signed_most), bits(2304.0f * 448 * 448));
  EXPECT_EQ(dot(shape, six, six, 0, least, least), bits(2304 * 0x1p-18f));
  for (const uint8_t nan : {uint8_t{0x7F}, uint8_t{0xFF}}) {
    EXPECT_EQ(dot(shape, six, six, 0, {0x38, 0x38, 0x38, nan}, ones), 0x7FFFFFFFu);
  }
}

TEST(BlockScaled, Fp4Keeps35Bits) {
  const Multiply shape = fp4(ScaleFormat::kUe8m0, 32);
  std::vector<uint32_t> a(64), b(64);
  a[0] = b[0] = 2;  // 1 * 1 in the first scale block
  a[32] = b[32] = 2;
  // The terms 1 and 2^-34 and C = -1: what is left shows how many bits are kept.
  EXPECT_EQ(dot(shape, a, b, bits(-1), {127, 127 - 17}, {127, 127 - 17}), bits(0x1p-34f));
  EXPECT_EQ(dot(shape, a, b, bits(-1), {127, 127 - 17}, {127, 127 - 18}), bits(0x1p-35f));
  EXPECT_EQ(dot(shape, a, b, bits(-1), {127, 127 - 18}, {127, 127 - 18}), bits(0));
  EXPECT_EQ(dot(shape, a, b, 0, {0xFF, 127}, {127, 127}), 0x7FFFFFFFu);
  EXPECT_EQ(dot(shape, a, b, 0, {0xFE, 127}, {127 + 1, 127}), 0x7F800000u);
}

TEST(BlockScaled, Fp4GroupsAreNotNormalised) {
  const Multiply shape = fp4(ScaleFormat::kUe8m0, 16);
  std::vector<uint32_t> a(64, 2), b(64, 2);
  for (size_t i = 16; i < 32; ++i) a[i] = 10;
  // 16 - 16 + 2^-35 + 0. The sum 16 has the exponent of its scales, 0, and not 4.
  for (size_t i = 48; i < 64; ++i) a[i] = 0;
  EXPECT_EQ(dot(shape, a, b, 0, {127, 127, 127 - 20, 127}, {127, 127, 127 - 19, 127}),
            bits(0x1p-35f));
  EXPECT_EQ(dot(shape, a, b, 0, {127, 127, 127 - 20, 127}, {127, 127, 127 - 20, 127}), bits(0));
  // The group of zeros has one too.
  EXPECT_EQ(dot(shape, a, b, 0, {127, 127, 127 - 20, 128}, {127, 127, 127 - 19, 127}), bits(0));
}

TEST(BlockScaled, Fp8ScalesMoveTheExponent) {
  Multiply shape = shape_of(Format::kE4m3, 32, Arithmetic::kTcgen05);
  shape.scale = ScaleFormat::kUe8m0;
  shape.scale_block = 32;
  EXPECT_EQ(dot(shape, {0x38}, {0x38}, bits(1), {127 - 10}, {127 + 4}), bits(1 + 0x1p-6f));
  EXPECT_EQ(dot(shape, {0x38}, {0x38}, 0, {0}, {0}), 0u);
  EXPECT_EQ(dot(shape, {0x38}, {0x38}, 0, {0}, {127 + 1}), bits(0x1p-126f));
  EXPECT_EQ(dot(shape, {0x38}, {0x38}, 0, {0}, {0xFF}), 0x7FFFFFFFu);
}

TEST(ExactSum, RoundsOnce) {
  const Multiply shape = shape_of(Format::kBf16, 16, Arithmetic::kExact);
  // 2^200 - 2^200 + 2^-140: nothing is lost.
  EXPECT_EQ(dot(shape, {0x7180, 0x7180, 0x1C80}, {0x7180, 0xF180, 0x1D00}, 0), bits(0x1p-139f));
  const Multiply half = shape_of(Format::kF16, 16, Arithmetic::kExact);
  const uint32_t small = 0x0C00;
  EXPECT_EQ(dot(half, {kOneF16, small}, {kOneF16, small}, 0), bits(1));  // a tie
  EXPECT_EQ(dot(half, {kOneF16, small}, {kOneF16, small}, 1), bits(1 + 0x1p-23f));
  EXPECT_EQ(dot(half, {0x7C00}, {0x8000}, 0), 0x7FFFFFFFu);
}

TEST(Integers, WrapAndClamp) {
  Multiply shape = shape_of(Format::kS8, 32, Arithmetic::kMmaHopper, Format::kS32);
  shape.b = Format::kU8;
  EXPECT_EQ(dot(shape, {0x80, 0x7F}, {0xFF, 0xFF}, 5), static_cast<uint32_t>(-255 + 5));
  EXPECT_EQ(dot(shape, {0x80}, {1}, 0x80000000), 0x7FFFFF80u);
  shape.saturates = true;
  EXPECT_EQ(dot(shape, {0x80}, {1}, 0x80000000), 0x80000000u);
  EXPECT_EQ(dot(shape, {0x7F}, {1}, 0x7FFFFFFF), 0x7FFFFFFFu);
  EXPECT_EQ(dot(shape, {0x80, 0x7F}, {1, 2}, 0x7FFFFFFF), 0x7FFFFFFFu);
  shape.a = Format::kS4;
  shape.b = Format::kU4;
  EXPECT_EQ(dot(shape, {0x8, 0x7}, {0xF, 0xF}, 0), static_cast<uint32_t>(-15));
}

TEST(Integers, BitsByXorAndByAnd) {
  Multiply shape = shape_of(Format::kB1, 128, Arithmetic::kMmaHopper, Format::kS32);
  EXPECT_EQ(dot(shape, {1, 1, 0, 0}, {1, 0, 1, 0}, 7), 9u);
  shape.conjunction = true;
  EXPECT_EQ(dot(shape, {1, 1, 0, 0}, {1, 0, 1, 0}, 7), 8u);
}

TEST(Doubles, AreAChainOfFusedMultiplyAdds) {
  const double a[] = {0x1p30, 1 + 0x1p-30, 3}, b[] = {0x1p30, 1 - 0x1p-30, 0x1p-60};
  double d = -0x1p60;
  multiply_f64(1, 1, 3, a, b, &d);
  EXPECT_EQ(d, std::fma(3, 0x1p-60, std::fma(1 + 0x1p-30, 1 - 0x1p-30, 0.0)));
}

TEST(Sparse, TakesTheChosenElementsOfB) {
  Multiply shape = shape_of(Format::kF16, 16, Arithmetic::kWgmmaHopper);
  shape.m = 2;
  shape.n = 1;
  std::vector<uint32_t> a(32), b(32);
  a[0] = a[16] = kOneF16;
  b[1] = 0x4000;
  b[3] = 0x4200;
  std::vector<uint16_t> columns(32, 0);
  columns[0] = 1;
  columns[16] = 3;
  uint32_t d[] = {bits(1), bits(10)};
  multiply_sparse(shape, a.data(), columns.data(), b.data(), 32, nullptr, nullptr, d);
  EXPECT_EQ(d[0], bits(3));
  EXPECT_EQ(d[1], bits(13));
}

TEST(Refuses, WhatNoInstructionHas) {
  const auto refused = [](const Multiply& shape) {
    EXPECT_THROW(dot(shape, {}, {}, 0), std::invalid_argument);
  };
  refused(shape_of(Format::kF32, 16, Arithmetic::kTcgen05));
  refused(shape_of(Format::kF16, 1024, Arithmetic::kTcgen05));
  refused(shape_of(Format::kF16, 16, Arithmetic::kTcgen05, Format::kS32));
  refused(shape_of(Format::kS8, 32, Arithmetic::kTcgen05));
  refused(shape_of(Format::kE2m1, 32, Arithmetic::kMmaHopper));
  refused(fp4(ScaleFormat::kUe4m3, 16));  // no scales given
  Multiply mixed = shape_of(Format::kF16, 16, Arithmetic::kTcgen05);
  mixed.b = Format::kE4m3;
  refused(mixed);
}

}  // namespace
}  // namespace nibble::emulator::tensor
