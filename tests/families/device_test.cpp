// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/device_test.h"

#include <bit>
#include <cstring>

#include "tests/reference/nvfp4.h"

namespace nibble::test {

std::vector<uint8_t> encode(const std::vector<float>& values, DataType type) {
  std::vector<uint8_t> bytes(values.size() * static_cast<size_t>(size_of(type)));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::kF32) {
      std::memcpy(&bytes[4 * i], &values[i], 4);
    } else {
      const uint16_t half = type == DataType::kF16 ? reference::encode_f16(values[i])
                                                   : reference::encode_bf16(values[i]);
      std::memcpy(&bytes[2 * i], &half, 2);
    }
  }
  return bytes;
}

std::vector<float> decode(const std::vector<uint8_t>& bytes, DataType type) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(size_of(type)));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::kF32) {
      std::memcpy(&values[i], &bytes[4 * i], 4);
    } else {
      uint16_t half = 0;
      std::memcpy(&half, &bytes[2 * i], 2);
      values[i] =
          type == DataType::kF16 ? reference::decode_f16(half) : reference::decode_bf16(half);
    }
  }
  return values;
}

std::vector<float> random_bits(int64_t count, DataType type, std::mt19937_64& random) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count * size_of(type)));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return decode(bytes, type);
}

std::vector<float> random_normal(int64_t count, DataType type, float scale,
                                 std::mt19937_64& random) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return decode(encode(values, type), type);
}

std::vector<uint8_t> spread(const std::vector<float>& values, DataType type, int64_t rows,
                            int64_t columns, int64_t stride) {
  const std::vector<uint8_t> dense = encode(values, type);
  const auto size = static_cast<size_t>(size_of(type));
  const auto row_bytes = static_cast<size_t>(columns) * size;
  const size_t pitch = static_cast<size_t>(stride) * size;
  std::vector<uint8_t> bytes(pitch * static_cast<size_t>(rows - 1) + row_bytes, 0x7F);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    std::memcpy(&bytes[row * pitch], &dense[row * row_bytes], row_bytes);
  }
  return bytes;
}

}  // namespace nibble::test
