// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The E2M1 arithmetic of targets without conversion instructions, compiled for the host: against
// the thresholds of round to nearest even. Every 1021st float; NIBBLE_EXHAUSTIVE=1 takes all 2^32.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>

// What the device compiler predefines.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are CUDA's
#define __device__
namespace nibble {
static unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
static float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static float __fdividef(float a, float b) { return a / b; }
static float __fmul_rz(float a, float b) {
  // The product of two fp32 is exact in fp64.
  const volatile double product = static_cast<double>(a) * b;
  std::fesetround(FE_TOWARDZERO);
  const volatile auto cut = static_cast<float>(product);
  std::fesetround(FE_TONEAREST);
  return cut;
}
static unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
static unsigned __byte_perm(unsigned x, unsigned y, unsigned selectors) {
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned selector = selectors >> (4 * i) & 7;
    result |= static_cast<unsigned>(bytes >> (8 * selector) & 0xff) << (8 * i);
  }
  return result;
}
}  // namespace nibble
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#include "templates/nvfp4/e2m1_arithmetic.cuh"

namespace {

// The magnitude becomes code i + 1 or more above kThresholds[i], and at it where the tie goes up.
struct Threshold {
  float magnitude;
  bool tie_goes_up;
};
constexpr std::array<Threshold, 7> kThresholds = {{{0.25f, false},
                                                   {0.75f, true},
                                                   {1.25f, false},
                                                   {1.75f, true},
                                                   {2.5f, false},
                                                   {3.5f, true},
                                                   {5.0f, false}}};

unsigned expected_code(float v) {
  if (std::isnan(v)) return 7;
  const float magnitude = std::abs(v);
  unsigned code = 0;
  for (const Threshold& threshold : kThresholds) {
    code += magnitude > threshold.magnitude ||
            (threshold.tie_goes_up && magnitude == threshold.magnitude);
  }
  return std::signbit(v) ? code | 8 : code;
}

unsigned expected_codes(const std::array<float, 8>& x) {
  unsigned codes = 0;
  for (unsigned i = 0; i < 8; ++i) codes |= expected_code(x[i]) << (4 * i);
  return codes;
}

// cvt.rz.f16.f32.
unsigned cut_to_half(float x) {
  if (std::isnan(x)) return 0x7fff;
  const unsigned sign = std::signbit(x) ? 0x8000 : 0;
  const float magnitude = std::abs(x);
  if (std::isinf(x)) return sign | 0x7c00;
  if (magnitude >= 65504.0f) return sign | 0x7bff;
  const int exponent = magnitude < 0x1p-14f ? -14 : std::ilogb(magnitude);
  const auto last_places = static_cast<unsigned>(std::ldexp(magnitude, 10 - exponent));
  return sign | (static_cast<unsigned>(exponent + 14) * 1024 + last_places);
}

// min.xorsign.abs.f16 of a half and one of e2m1x2_largest().
unsigned at_most_largest(unsigned half) {
  const unsigned largest = nibble::e2m1x2_largest() & 0xffff;
  if ((half & 0x7fff) > 0x7c00) return largest;
  return (half & 0x8000) | std::min(half & 0x7fff, largest);
}

// As nvfp4/e2m1.cuh puts it together.
unsigned encode_halves(const std::array<unsigned, 8>& half) {
  const auto pair = [&](unsigned i) { return half[i] | half[i + 2] << 16; };
  const unsigned halves[4] = {pair(0), pair(4), pair(1), pair(5)};
  return nibble::e2m1x8_of_halves(halves);
}

unsigned encode(const std::array<float, 8>& x) {
  std::array<unsigned, 8> half;
  for (size_t i = 0; i < 8; ++i) half[i] = at_most_largest(cut_to_half(nibble::e2m1_cut(x[i])));
  return encode_halves(half);
}

unsigned encode_tame(const std::array<float, 8>& x) {
  std::array<unsigned, 8> half;
  for (size_t i = 0; i < 8; ++i) half[i] = cut_to_half(x[i] * nibble::e2m1_unit());
  return encode_halves(half);
}

// v among neighbours of other codes, at each of the eight places.
void expect_code(float v, unsigned expected) {
  for (unsigned place = 0; place < 8; ++place) {
    std::array<float, 8> x = {-6.0f, 6.0f, -0.5f, 0.0f, -6.0f, 3.0f, -0.0f, 6.0f};
    x[place] = v;
    EXPECT_EQ(encode(x), expected_codes(x)) << std::hexfloat << v << " at " << place;
    EXPECT_EQ(encode(x) >> (4 * place) & 15, expected) << std::hexfloat << v << " at " << place;
  }
}

TEST(E2m1Test, EncodeRoundsEveryFloatToNearestEven) {
  const char* exhaustive = std::getenv("NIBBLE_EXHAUSTIVE");
  const uint64_t step = exhaustive != nullptr && exhaustive[0] == '1' ? 1 : 1021;
  uint64_t failures = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 8 * step) {
    std::array<float, 8> x;
    for (uint64_t i = 0; i < 8; ++i) {
      x[i] = std::bit_cast<float>(static_cast<uint32_t>(bits + i * step));
    }
    if (encode(x) == expected_codes(x)) continue;
    if (++failures <= 10) {
      ADD_FAILURE() << "eight floats from bits 0x" << std::hex << bits << " on give codes 0x"
                    << encode(x) << ", expected 0x" << expected_codes(x);
    }
  }
  EXPECT_EQ(failures, 0u);
}

TEST(E2m1Test, EncodeAroundThresholds) {
  for (const Threshold& threshold : kThresholds) {
    const auto bits = std::bit_cast<uint32_t>(threshold.magnitude);
    for (uint32_t near = bits - 1000; near <= bits + 1000; ++near) {
      for (const uint32_t sign : {0u, 0x80000000u}) {
        const auto v = std::bit_cast<float>(near | sign);
        expect_code(v, expected_code(v));
      }
    }
  }
}

TEST(E2m1Test, EncodeSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  expect_code(0.0f, 0);
  expect_code(-0.0f, 8);
  expect_code(std::numeric_limits<float>::denorm_min(), 0);
  expect_code(-std::numeric_limits<float>::denorm_min(), 8);
  expect_code(kInfinity, 7);
  expect_code(-kInfinity, 15);
  for (const uint32_t nan : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    expect_code(std::bit_cast<float>(nan), 7);
  }
}

// Every value of kBits significant bits, by the definition.
template <int kBits>
bool can_tie(float factor) {
  for (int digits = 1 << (kBits - 1); digits < 1 << kBits; ++digits) {
    int exponent;
    const float mantissa = std::frexp(static_cast<float>(digits) * factor, &exponent);
    if (mantissa == 0.5f || mantissa == 0.625f) return true;
  }
  return false;
}

// Any, and those that are next to what makes a tie.
template <int kBits>
float random_factor(std::mt19937& bits) {
  float factor = std::bit_cast<float>(static_cast<uint32_t>(0x08000000 + bits() % 0x70000000));
  if (bits() % 2 == 0) {
    const auto digits = static_cast<float>((1u << (kBits - 1)) + bits() % (1u << (kBits - 1)));
    factor = (bits() % 2 == 0 ? 1.0f : 1.25f) / digits;
    factor = std::ldexp(factor, static_cast<int>(bits() % 200) - 100);
    factor = std::bit_cast<float>(
        static_cast<uint32_t>(std::bit_cast<uint32_t>(factor) + bits() % 5 - 2));
  }
  return factor;
}

template <int kBits>
void expect_ties_found() {
  std::mt19937 bits(5);
  int ties = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto factor = random_factor<kBits>(bits);
    ties += can_tie<kBits>(factor);
    ASSERT_EQ(nibble::e2m1_can_tie<kBits>(factor), can_tie<kBits>(factor))
        << std::hexfloat << factor;
  }
  EXPECT_GT(ties, 1000);
  EXPECT_LT(ties, 19000);
}

TEST(E2m1Test, FactorsThatMakeTiesAreFound) {
  expect_ties_found<8>();
  expect_ties_found<11>();
}

// How many mantissas of a bf16 amax lead to a factor that makes ties, for some normal scale
// (bench/README.md names the number).
TEST(E2m1Test, FewAmaxesLeadToTies) {
  int some = 0;
  for (int digits = 128; digits < 256; ++digits) {
    const float decode = 1.0f / (2688.0f / static_cast<float>(digits));
    bool can = false;
    for (int byte = 0x08; byte <= 0x7d; ++byte) {
      const float scale = std::ldexp(static_cast<float>(8 + byte % 8), byte / 8 - 10);
      can = can || nibble::e2m1_can_tie<8>(1.0f / (scale * decode));
    }
    some += can;
  }
  EXPECT_EQ(some, 47);
}

TEST(E2m1Test, TameProductsAreRoundedAsAll) {
  std::mt19937 bits(7);
  int seen = 0;
  for (int round = 0; round < 40000; ++round) {
    const auto factor = random_factor<8>(bits);
    if (nibble::e2m1_can_tie<8>(factor)) continue;
    std::array<float, 8> x;
    for (float& some : x) {  // bf16, to 7 / factor or so
      some = static_cast<float>(bits() % 8 == 0 ? 0 : bits() % 65536) * 0x1.cp-14f / factor;
      some = std::bit_cast<float>(std::bit_cast<uint32_t>(some) & 0xffff0000u);
      some *= factor;
      if (bits() % 2 == 0) some = -some;
      if (std::abs(some) >= 7.0f) some = 0.0f;
    }
    ++seen;
    ASSERT_EQ(encode_tame(x), expected_codes(x)) << std::hexfloat << factor;
  }
  EXPECT_GT(seen, 10000);
}

// Against the rule: up where the fraction of the step to the next magnitude and the dither reach 1.
TEST(E2m1Test, StochasticMagnitudesFollowTheDither) {
  constexpr std::array<double, 8> kMagnitudes = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  std::mt19937 bits(3);
  const auto random = [&] { return static_cast<uint32_t>(bits()); };
  for (int round = 0; round < 200000; ++round) {
    float x[8];
    const std::array<uint32_t, 2> words = {random(), random()};
    unsigned expected = 0;
    for (unsigned i = 0; i < 8; ++i) {
      x[i] = std::bit_cast<float>(0x3c000000 + random() % 0x04e00000);  // to 7.99 or so
      if (random() % 8 == 0) x[i] = static_cast<float>(random() % 49) * 0.125f;
      const uint32_t word = words[i / 4];
      const unsigned shift = i % 4 < 2 ? 0 : 8;
      uint32_t dither = (word >> (16 + shift) & 255) << 8 | (word >> shift & 255);
      if (i % 2 == 1) dither = nibble::__brev(dither) >> 16;
      unsigned code = 7;
      if (x[i] < 6) {
        code = 0;
        while (kMagnitudes[code + 1] <= x[i]) ++code;
        const double step = kMagnitudes[code + 1] - kMagnitudes[code];
        if ((x[i] - kMagnitudes[code]) / step * 65536 >= 65536 - dither) ++code;
      }
      expected |= code << (4 * i);
    }
    ASSERT_EQ(nibble::e2m1x8_magnitudes_stochastic(x, words[0], words[1]), expected) << round;
  }
}

TEST(E2m1Test, DecodeGivesTheSixteenValues) {
  constexpr std::array<float, 8> kMagnitudes = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  for (unsigned code = 0; code < 16; ++code) {
    const float expected = code < 8 ? kMagnitudes[code] : -kMagnitudes[code - 8];
    for (const unsigned above : {0u, 0xfffffff0u}) {  // bits above the code are ignored
      EXPECT_EQ(std::bit_cast<uint32_t>(nibble::e2m1_decode_arithmetic(code | above)),
                std::bit_cast<uint32_t>(expected))
          << code;
    }
  }
}

}  // namespace
