// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The reference against the vectors. The kernels meet the same vectors in tests/families.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "tests/golden/nvfp4_golden.h"
#include "tests/reference/nvfp4.h"
#include "tests/reference/quantize.h"

namespace nibble {
namespace {

uint32_t word(float value) { return std::bit_cast<uint32_t>(value); }

TEST(Golden, E2m1) {
  for (const auto& [value, code] : golden::kE2m1) {
    EXPECT_EQ(reference::encode_e2m1(golden::bits(value)), code) << std::hex << value;
  }
  constexpr float kValues[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                 -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (uint8_t code = 0; code < 16; ++code) {
    EXPECT_EQ(word(reference::decode_e2m1(code)), word(kValues[code]));
  }
}

TEST(Golden, E4m3) {
  for (const auto& [value, byte] : golden::kE4m3) {
    EXPECT_EQ(reference::encode_e4m3(static_cast<float>(value)), byte) << value;
  }
  EXPECT_EQ(reference::encode_e4m3(INFINITY), 0x7E);
  EXPECT_EQ(reference::encode_e4m3(NAN), 0x7F);
  for (int byte = 0; byte < 0x7F; ++byte) {
    EXPECT_EQ(reference::encode_e4m3(reference::decode_e4m3(static_cast<uint8_t>(byte))), byte);
  }
}

TEST(Golden, HalfFormatsRoundTripEveryCode) {
  for (int bits = 0; bits < 65536; ++bits) {
    const auto code = static_cast<uint16_t>(bits);
    if (!std::isnan(reference::decode_f16(code))) {
      EXPECT_EQ(reference::encode_f16(reference::decode_f16(code)), code);
    }
    if (!std::isnan(reference::decode_bf16(code))) {
      EXPECT_EQ(reference::encode_bf16(reference::decode_bf16(code)), code);
    }
  }
}

TEST(Golden, HalfFormatsRoundTiesToEven) {
  EXPECT_EQ(reference::encode_f16(2049.0f), 0x6800);     // 2048 | 2050
  EXPECT_EQ(reference::encode_f16(2051.0f), 0x6802);     // 2050 | 2052
  EXPECT_EQ(reference::encode_f16(0x1p-25f), 0x0000);    // 0 | 2^-24
  EXPECT_EQ(reference::encode_f16(0x1.8p-24f), 0x0002);  // 2^-24 | 2^-23
  EXPECT_EQ(reference::encode_f16(65519.0f), 0x7BFF);
  EXPECT_EQ(reference::encode_f16(65520.0f), 0x7C00);
  EXPECT_EQ(reference::encode_bf16(golden::bits(0x3F808000)), 0x3F80);
  EXPECT_EQ(reference::encode_bf16(golden::bits(0x3F818000)), 0x3F82);
  EXPECT_EQ(reference::encode_bf16(golden::bits(0x7F7FFFFF)), 0x7F80);
}

TEST(Golden, TensorScale) {
  for (const auto& [amax, encode, decode] : golden::kTensorScales) {
    const reference::TensorScale scale = reference::tensor_scale(golden::bits(amax));
    EXPECT_EQ(word(scale.encode), encode) << std::hex << amax;
    EXPECT_EQ(word(scale.decode), decode) << std::hex << amax;
  }
}

TEST(Golden, Blocks) {
  for (const auto& block : golden::kBlocks) {
    std::vector<float> x;
    for (uint32_t bits : block.x) x.push_back(golden::bits(bits));
    const reference::Matrix result = reference::quantize(x, 1, 16, golden::bits(block.amax));
    EXPECT_EQ(result.scales[0], block.scale) << block.name;
    EXPECT_EQ(result.codes, std::vector<uint8_t>(block.codes.begin(), block.codes.end()))
        << block.name;
  }
}

TEST(Golden, OrderOfScaleOperations) {
  for (const auto& [block_amax, tensor_amax, scale] : golden::kScales) {
    const std::vector<float> x{golden::bf16(block_amax)};
    EXPECT_EQ(reference::quantize_block(x, golden::bf16(tensor_amax)).scale, scale);
  }
}

TEST(Golden, DequantizeFullBlock) {  // V06
  EXPECT_EQ(word(reference::dequantize_element(2, 0x76, 10.0f)), 0x3F555556u);
}

TEST(Golden, Layout128x4) {
  for (const auto& [blocks, row, block, offset] : golden::kLayout) {
    EXPECT_EQ(reference::offset_128x4(row, block, blocks), offset);
  }
  EXPECT_EQ(reference::size_128x4(200, 10), 3072);
  EXPECT_EQ(reference::size_128x4(1, 1), 512);
  std::vector<int> seen(256 * 12);
  for (int row = 0; row < 256; ++row) {
    for (int block = 0; block < 12; ++block) ++seen[reference::offset_128x4(row, block, 12)];
  }
  EXPECT_EQ(seen, std::vector<int>(256 * 12, 1));
}

// V25: decoding and quantising again with the same amax gives the same codes and scales.
TEST(Golden, QuantizingIsIdempotent) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(128 * 16);
  for (float& value : x) value = normal(random);
  const float amax = reference::amax(x);
  const reference::Matrix once = reference::quantize(x, 128, 16, amax);
  const reference::Matrix twice =
      reference::quantize(reference::dequantize(once, amax), 128, 16, amax);
  EXPECT_EQ(once.codes, twice.codes);
  EXPECT_EQ(once.scales, twice.scales);
}

TEST(Golden, Transform) {  // V16
  constexpr float kOnes[16] = {-1, 0, 1, 0, 1, 0, -1, 0, 1, 2, 1, 0, 1, 0, 1, -2};
  constexpr float kRamp[16] = {-14.5f, -7.5f, 6.5f, -0.5f, 6.5f, -0.5f, -14.5f, 8.5f,
                               7.5f,   14.5f, 0.5f, 1.5f,  0.5f, -2.5f, 9.5f,   -15.5f};
  const std::vector<float> ones(16, 1.0f);
  std::vector<float> ramp(16);
  std::iota(ramp.begin(), ramp.end(), 0.0f);
  const auto of_ones = reference::hadamard16(ones, 0xD7E8);
  const auto of_ramp = reference::hadamard16(ramp, 0xD7E8);
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(of_ones[i], kOnes[i]) << i;
    EXPECT_EQ(of_ramp[i], kRamp[i]) << i;
  }
}

TEST(Golden, Dither) {  // V17
  using Slices = std::array<uint16_t, 4>;
  const std::pair<uint32_t, Slices> cases[] = {
      {0x00000001, {0x0001, 0x8000, 0x0000, 0x0000}},
      {0x00000080, {0x0080, 0x0100, 0x0000, 0x0000}},
      {0x00010000, {0x0100, 0x0080, 0x0000, 0x0000}},
      {0x00000100, {0x0000, 0x0000, 0x0001, 0x8000}},
      {0x12345678, {0x3478, 0x1E2C, 0x1256, 0x6A48}},
      {0xFFFFFFFF, {0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}},
  };
  for (const auto& [word, slices] : cases) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(reference::dither({word, 0, 0, 0}, i), slices[static_cast<size_t>(i)])
          << std::hex << word << " " << i;
    }
  }
}

TEST(Golden, StochasticRounding) {  // V17, codes of 0.6 1.3 -2.6 5
  const std::pair<uint32_t, uint32_t> cases[] = {{0x00000000, 0x6C21},
                                                 {0x12345678, 0x6C21},
                                                 {0x80808080, 0x6D21},
                                                 {0xDEADBEEF, 0x6D31},
                                                 {0xFFFFFFFF, 0x7D32}};
  constexpr float kValues[4] = {0.6f, 1.3f, -2.6f, 5.0f};
  for (const auto& [word, codes] : cases) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(reference::encode_e2m1_stochastic(kValues[i], reference::dither({word}, i)),
                codes >> (4 * i) & 15)
          << std::hex << word << " " << i;
    }
  }
  EXPECT_EQ(reference::encode_e2m1_stochastic(6.4f, 0), 7);
  EXPECT_EQ(reference::encode_e2m1_stochastic(-0.0f, 0xFFFF), 8);
  EXPECT_EQ(reference::encode_e2m1_stochastic(NAN, 0), 7);
  int up = 0;
  for (uint32_t random = 0; random < 65536; ++random) {
    up += reference::encode_e2m1_stochastic(1.125f, static_cast<uint16_t>(random)) == 3;
  }
  EXPECT_EQ(up, 16384);
}

TEST(Golden, Philox) {  // V18
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(reference::philox(0, {}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(reference::philox(1234, {7, 0, 5, 0}),
            (Words{0x78352b63, 0x8fb42772, 0x2160d7ea, 0x7f6082ea}));
}

TEST(Golden, StochasticBlock) {  // V19
  const auto words = reference::philox(1234, {7, 0, 5, 0});
  constexpr uint8_t kCodes[8] = {0x90, 0x91, 0xa1, 0xb2, 0xc3, 0xe5, 0xe6, 0xf7};
  const auto& block = *std::find_if(std::begin(golden::kBlocks), std::end(golden::kBlocks),
                                    [](const auto& one) { return one.name == "V06 full block"; });
  for (int i = 0; i < 16; ++i) {
    const float scaled = golden::bits(block.x[static_cast<size_t>(i)]) * golden::bits(0x3F999999);
    EXPECT_EQ(reference::encode_e2m1_stochastic(scaled, reference::dither(words, i)),
              kCodes[i / 2] >> (i % 2 * 4) & 15)
        << i;
  }
}

TEST(Golden, Ue8m0) {  // V23, rounded up
  const std::pair<float, int> cases[] = {{1, 0x7D}, {3, 0x7E},    {3.5f, 0x7F}, {3.9375f, 0x7F},
                                         {4, 0x7F}, {5, 0x7F},    {6, 0x7F},    {6.5f, 0x80},
                                         {7, 0x80}, {7.5f, 0x80}, {8, 0x80},    {0.100098f, 0x7A}};
  for (const auto& [amax, byte] : cases) {
    EXPECT_EQ(reference::encode_ue8m0_up(amax * (1.0f / 6.0f)), byte) << amax;
  }
}

}  // namespace
}  // namespace nibble
