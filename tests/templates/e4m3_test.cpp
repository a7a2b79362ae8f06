// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Stochastic rounding to E4M3 by arithmetic, compiled for the host: against the rule in doubles.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <random>

// What the device compiler predefines.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are CUDA's
#define __device__
namespace nibble {
namespace {
unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
float __fmul_rz(float a, float b) {
  std::fesetround(FE_TOWARDZERO);
  const volatile float x = a;
  const volatile float y = b;
  const volatile float product = x * y;
  std::fesetround(FE_TONEAREST);
  return product;
}
unsigned __byte_perm(unsigned x, unsigned y, unsigned selectors) {
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned selector = selectors >> (4 * i) & 7;
    result |= static_cast<unsigned>(bytes >> (8 * selector) & 0xff) << (8 * i);
  }
  return result;
}
unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
}  // namespace
}  // namespace nibble
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#include "templates/nvfp4/e4m3_arithmetic.cuh"

namespace {

double magnitude_of(unsigned code) {
  const auto exponent = static_cast<int>(code >> 3);
  const double mantissa = code & 7;
  return exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
}

// Up where the fraction of the step to the next magnitude and the dither reach 1.
unsigned expected_code(float x, unsigned dither) {
  if (std::isnan(x)) return 0x7f;
  const unsigned sign = std::signbit(x) ? 0x80 : 0;
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude >= 448) return sign | 0x7e;
  unsigned code = 0;
  while (magnitude_of(code + 1) <= magnitude) ++code;
  const double step = magnitude_of(code + 1) - magnitude_of(code);
  if ((magnitude - magnitude_of(code)) / step * 65536 >= 65536 - dither) ++code;
  return sign | code;
}

TEST(E4m3Test, StochasticRoundingFollowsTheDither) {
  std::mt19937 bits(5);
  const auto random = [&] { return static_cast<uint32_t>(bits()); };
  for (int round = 0; round < 200000; ++round) {
    const uint32_t word = round < 8 ? (round % 2 == 0 ? 0 : 0xffffffff) : random();
    std::array<float, 4> x{};
    for (float& some : x) {
      some = std::bit_cast<float>(0x38000000 + random() % 0x0c000000);  // to 512 or so
      if (random() % 4 == 0) some = static_cast<float>(magnitude_of(random() % 127));
      if (random() % 4 == 0) some = std::bit_cast<float>(random());
      if (random() % 2 == 0) some = -some;
    }
    const uint32_t low = word & 0xffff;
    const uint32_t high = word >> 16;
    const unsigned dither[4] = {low, nibble::__brev(low) >> 16, high, nibble::__brev(high) >> 16};
    unsigned expected = 0;
    for (unsigned i = 0; i < 4; ++i) expected |= expected_code(x[i], dither[i]) << (8 * i);
    ASSERT_EQ(nibble::e4m3x4_stochastic(x.data(), word), expected)
        << round << " " << x[0] << " " << x[1] << " " << x[2] << " " << x[3];
  }
}

}  // namespace
