// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NVFP4 as the numerics contract in templates/README.md says it, by the plainest means: formats are
// tables of their values, rounding is a search for the nearest. Host memory only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nibble::reference {

// Formats. Encoders round to nearest, ties to the even code, and saturate.
float decode_e2m1(uint8_t code);   // code 0..15
uint8_t encode_e2m1(float value);  // NaN: 7
float decode_e4m3(uint8_t byte);
uint8_t encode_e4m3(float value);  // NaN: 0x7F
float decode_f16(uint16_t bits);
uint16_t encode_f16(float value);  // overflow to infinity
float decode_bf16(uint16_t bits);
uint16_t encode_bf16(float value);

float amax(std::span<const float> values);  // NaN ignored; 0 for none

struct TensorScale {
  float encode;  // multiplies values on their way to codes
  float decode;  // its reciprocal
};
TensorScale tensor_scale(float amax);

struct Block {
  uint8_t codes[16];  // one a byte
  uint8_t scale;      // E4M3
};
// values: up to 16; the missing ones count as zero and get code 0.
Block quantize_block(std::span<const float> values, float tensor_amax);

struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<uint8_t> codes;   // rows x ceil(columns/16)*8 bytes, two a byte, even column low
  std::vector<uint8_t> scales;  // rows x ceil(columns/16)
};
// values: rows x columns, dense.
Matrix quantize(std::span<const float> values, int64_t rows, int64_t columns, float tensor_amax);

// Byte offset of the scale of (row, block) in the 128x4 layout, and its padded size.
int64_t offset_128x4(int64_t row, int64_t block, int64_t blocks);
int64_t size_128x4(int64_t rows, int64_t blocks);
std::vector<uint8_t> to_128x4(std::span<const uint8_t> scales, int64_t rows, int64_t blocks);

// The fp32 value before the cast to the output type.
float dequantize_element(uint8_t code, uint8_t scale, float tensor_amax);
std::vector<float> dequantize(const Matrix& matrix, float tensor_amax);  // rows x columns, dense

}  // namespace nibble::reference
