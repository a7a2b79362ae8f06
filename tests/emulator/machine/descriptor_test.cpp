// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrix descriptors against the layouts of the manual's examples (PTX ISA 9.7.16.3.3), written as
// it writes them: shapes and strides in elements, then the swizzle on the byte address.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "runtime/emulator/tensor/descriptor.h"

namespace nibble::emulator::tensor {
namespace {

// Shape and stride of one dimension: the index runs through the first factor fastest.
struct Mode {
  std::vector<uint32_t> shape, stride;
  uint32_t offset(uint32_t index) const {
    uint32_t sum = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      sum += index % shape[i] * stride[i];
      index /= shape[i];
    }
    return sum;
  }
  uint32_t size() const {
    uint32_t product = 1;
    for (const uint32_t factor : shape) product *= factor;
    return product;
  }
};

struct Case {
  const char* name;
  Mode mn, k;
  uint32_t element_bytes;
  uint32_t swizzle[3];       // CuTe's Swizzle<B, M, S>
  uint32_t code;             // of tcgen05's descriptor
  uint32_t leading, stride;  // encoded
  bool is_k_major;
  Packing packing;
};

uint32_t swizzle(const uint32_t (&by)[3], uint32_t address) {
  const uint32_t mask = (1u << by[0]) - 1;
  return address ^ ((address >> (by[1] + by[2])) & mask) << by[1];
}

class DescriptorLayout : public testing::TestWithParam<Case> {};

TEST_P(DescriptorLayout, ReadsTheManualsLayout) {
  const Case& c = GetParam();
  constexpr uint32_t kStart = 4096;
  const uint32_t rows = c.mn.size(), k = c.k.size();
  std::vector<std::byte> memory(64 << 10);
  std::vector<uint32_t> want(size_t{rows} * k), got(want.size());
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t column = 0; column < k; ++column) {
      const uint32_t code = (row * 131 + column * 7 + 1) & (c.element_bytes == 1 ? 0xFFu : 0xFFFFu);
      const uint32_t at =
          swizzle(c.swizzle, kStart + (c.mn.offset(row) + c.k.offset(column)) * c.element_bytes);
      std::memcpy(memory.data() + at, &code, c.element_bytes);
      want[size_t{row} * k + column] = code;
    }
  }
  MatrixTile tile;
  std::string error;
  const uint64_t bits = uint64_t{c.code} << 61 | uint64_t{1} << 46 | uint64_t{c.stride} << 32 |
                        uint64_t{c.leading} << 16 | kStart >> 4;
  ASSERT_TRUE(decode_tcgen05(bits, tile.at, error)) << error;
  tile.is_k_major = c.is_k_major;
  tile.lines = c.is_k_major ? rows : k;
  tile.chunks = (c.is_k_major ? k : rows) * c.element_bytes / 16;
  EXPECT_TRUE(check_tile(tile, 4096, 64 << 10, error)) << error;
  gather(tile, c.packing, memory.data(), rows, k, got.data());
  EXPECT_EQ(got, want);
  uint32_t bytes = 0;
  for (const ByteRange& range : list_ranges(tile)) bytes += range.bytes;
  EXPECT_EQ(bytes, rows * k * c.element_bytes);
}

const Case kCases[] = {
    {"k_none_tf32",
     {{8, 2}, {4, 32}},
     {{4, 2}, {1, 64}},
     4,
     {0, 4, 3},
     0,
     16,
     8,
     true,
     Packing::k32},
    {"k_32_tf32", {{8, 2}, {8, 64}}, {{4, 2}, {1, 4}}, 4, {1, 4, 3}, 6, 1, 16, true, Packing::k32},
    {"k_64_bf16", {{8, 4}, {32, 256}}, {{16}, {1}}, 2, {2, 4, 3}, 4, 1, 32, true, Packing::k16},
    {"k_128_e4m3", {{8, 16}, {128, 1024}}, {{32}, {1}}, 1, {3, 4, 3}, 2, 1, 64, true, Packing::k8},
    {"mn_none_bf16",
     {{8, 1, 2}, {1, 8, 64}},
     {{8, 2}, {8, 128}},
     2,
     {0, 4, 3},
     0,
     16,
     8,
     false,
     Packing::k16},
    {"mn_32_bf16",
     {{8, 2, 2}, {1, 8, 128}},
     {{8, 2}, {16, 256}},
     2,
     {1, 4, 3},
     6,
     16,
     32,
     false,
     Packing::k16},
    {"mn_64_bf16",
     {{8, 4, 2}, {1, 8, 256}},
     {{8, 2}, {32, 512}},
     2,
     {2, 4, 3},
     4,
     32,
     64,
     false,
     Packing::k16},
    {"mn_128_bf16",
     {{8, 8, 2}, {1, 8, 512}},
     {{8, 2}, {64, 1024}},
     2,
     {3, 4, 3},
     2,
     64,
     128,
     false,
     Packing::k16},
    {"mn_128_e5m2",
     {{16, 8, 2}, {1, 16, 4096}},
     {{8, 4}, {128, 1024}},
     1,
     {3, 4, 3},
     2,
     256,
     64,
     false,
     Packing::k8},
    {"mn_128_atom32_tf32",
     {{4, 8, 2}, {1, 4, 256}},
     {{4, 2}, {32, 128}},
     4,
     {2, 5, 2},
     1,
     64,
     32,
     false,
     Packing::k32},
};
INSTANTIATE_TEST_SUITE_P(Manual, DescriptorLayout, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Descriptor, AdvancesInsideASwizzleRow) {
  // Bytes 32 to 63 of each 128-byte row, as the second of four instructions reads them.
  std::vector<std::byte> memory(8192);
  for (uint32_t row = 0; row < 8; ++row) {
    for (uint32_t byte = 0; byte < 128; ++byte) {
      memory[(2048 + row * 128 + byte) ^ row << 4] = static_cast<std::byte>(row * 16 + byte / 8);
    }
  }
  MatrixTile tile;
  std::string error;
  ASSERT_TRUE(decode_tcgen05(0x4000404000010000 | (2048 + 32) >> 4, tile.at, error)) << error;
  tile.lines = 8;
  tile.chunks = 2;
  std::vector<uint32_t> codes(8 * 32);
  gather(tile, Packing::k8, memory.data(), 8, 32, codes.data());
  for (uint32_t i = 0; i < codes.size(); ++i) {
    EXPECT_EQ(codes[i], i / 32 * 16 + (32 + i % 32) / 8) << i;
  }
  tile.at.start += 80;
  EXPECT_FALSE(check_tile(tile, 0, 8192, error));
  EXPECT_NE(error.find("leaves its swizzle row"), std::string::npos) << error;
}

TEST(Descriptor, ContinuesAtTheLeadingAddress) {
  // 48 bytes from byte 96 of a row: 32 there, 16 in the next buffer.
  std::vector<std::byte> memory(16384);
  for (uint32_t buffer = 0; buffer < 2; ++buffer) {
    for (uint32_t i = 0; i < 1024; ++i) {
      const uint32_t address = 2048 + buffer * 8192 + i;
      memory[address ^ (address >> 7 & 7) << 4] =
          static_cast<std::byte>((buffer * 8 + i % 128 / 16) * 8 + i / 128);
    }
  }
  MatrixTile tile;
  std::string error;
  ASSERT_TRUE(decode_tcgen05(uint64_t{2} << 61 | uint64_t{1} << 52 | uint64_t{1} << 46 |
                                 uint64_t{64} << 32 | uint64_t{10240 >> 4} << 16 | (2048 + 96) >> 4,
                             tile.at, error))
      << error;
  tile.lines = 8;
  tile.chunks = 3;
  EXPECT_TRUE(check_tile(tile, 0, 16384, error)) << error;
  std::vector<uint32_t> codes(8 * 48);
  gather(tile, Packing::k8, memory.data(), 8, 48, codes.data());
  for (uint32_t i = 0; i < codes.size(); ++i) {
    EXPECT_EQ(codes[i], (6 + i % 48 / 16) * 8 + i / 48) << i;
  }
}

TEST(Descriptor, CountsThePatternFromTheBaseOffset) {
  // The pattern starts at 1024 * n + 384: base offset 3.
  MatrixTile tile;
  std::string error;
  ASSERT_TRUE(
      decode_tcgen05(0x4000404000010000 | uint64_t{3} << 49 | (2048 + 384) >> 4, tile.at, error));
  tile.lines = 16;
  tile.chunks = 1;
  for (uint32_t row = 0; row < 16; ++row) {
    const uint32_t unswizzled = 2048 + 384 + row / 8 * 1024 + row % 8 * 128;
    EXPECT_EQ(chunk_address(tile, row, 0), unswizzled + row % 8 * 16) << row;
  }
}

TEST(Descriptor, HasNoBaseOffsetWithoutSwizzling) {
  MatrixTile plain, offset;
  std::string error;
  ASSERT_TRUE(decode_tcgen05(0x0000400800000060, plain.at, error)) << error;
  ASSERT_TRUE(decode_tcgen05(0x0008400800000060, offset.at, error)) << error;
  for (MatrixTile* tile : {&plain, &offset}) {
    tile->lines = 32;
    tile->chunks = 1;
  }
  for (uint32_t row = 0; row < 32; ++row) {
    EXPECT_EQ(chunk_address(plain, row, 0), 0x600 + row * 16) << row;
    EXPECT_EQ(chunk_address(offset, row, 0), 0x600 + row * 16) << row;
  }
}

TEST(Descriptor, UnpacksPaddedCodes) {
  std::vector<std::byte> chunk(16);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t code = i * 37 & 63;
    for (uint32_t bit = 0; bit < 6; ++bit) {
      const uint32_t at = i * 6 + bit;
      chunk[at / 8] |= static_cast<std::byte>((code >> bit & 1) << at % 8);
    }
  }
  uint32_t codes[16];
  unpack_chunk(Packing::k6Padded, chunk.data(), codes);
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(codes[i], i * 37 & 63) << i;
  unpack_chunk(Packing::k4Padded, chunk.data(), codes);
  for (uint32_t i = 0; i < 16; ++i) {
    EXPECT_EQ(codes[i], static_cast<uint32_t>(chunk[i / 2]) >> i % 2 * 4 & 15) << i;
  }
}

TEST(Descriptor, RefusesWhatIsReserved) {
  MatrixDescriptor descriptor;
  std::string error;
  const struct {
    uint64_t bits;
    const char* rule;
  } cases[] = {
      {0x4000004000010000, "0b001"},
      {0x4000404000010000 | uint64_t{1} << 53, "53-60"},
      {0x6000404000010000, "swizzle 3"},
      {0xA000404000010000, "swizzle 5"},
      {0x8000404000010000 | uint64_t{1} << 52, "absolute leading address"},
  };
  for (const auto& c : cases) {
    EXPECT_FALSE(decode_tcgen05(c.bits, descriptor, error)) << c.rule;
    EXPECT_NE(error.find(c.rule), std::string::npos) << error;
  }
  EXPECT_TRUE(decode_wgmma(0x4000004000010000, descriptor, error)) << error;
  EXPECT_EQ(descriptor.swizzle, Swizzle::k128);
  EXPECT_FALSE(decode_wgmma(0x4000404000010000, descriptor, error));
}

}  // namespace
}  // namespace nibble::emulator::tensor
