// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The reference against the vectors. The kernels meet the same vectors in tests/families.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/golden/nvfp4_golden.h"
#include "tests/reference/nvfp4.h"

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

}  // namespace
}  // namespace nibble
