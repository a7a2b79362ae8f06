// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/nvfp4.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

namespace nibble::reference {

namespace {

constexpr double kE2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

// Magnitude of E4M3 codes 0..126 by the definition of the format: bias 7, three mantissa bits.
double e4m3_magnitude(int code) {
  const int exponent = code >> 3;
  const int mantissa = code & 7;
  if (exponent == 0) return std::ldexp(mantissa, -9);
  return std::ldexp(8 + mantissa, exponent - 7 - 3);
}

constexpr int kE4m3Codes = 127;
const std::array<double, kE4m3Codes> kE4m3 = [] {
  std::array<double, kE4m3Codes> all{};
  for (int code = 0; code < kE4m3Codes; ++code)
    all[static_cast<size_t>(code)] = e4m3_magnitude(code);
  return all;
}();

// Index of the magnitude nearest to `value`; of two equally near, the even one. Magnitudes grow
// with their index; beyond the last is the last.
int nearest(double value, std::span<const double> magnitudes) {
  const auto above = std::upper_bound(magnitudes.begin(), magnitudes.end(), value);
  const auto index = static_cast<int>(above - magnitudes.begin());
  if (above == magnitudes.end()) return index - 1;
  const double up = *above - value, down = value - *(above - 1);
  const bool rounds_up = up < down || (up == down && index % 2 == 0);
  return rounds_up ? index : index - 1;
}

}  // namespace

float decode_e2m1(uint8_t code) {
  const double magnitude = kE2m1[code & 7];
  return static_cast<float>(code & 8 ? -magnitude : magnitude);
}

uint8_t encode_e2m1(float value) {
  if (std::isnan(value)) return 7;
  const int sign = std::signbit(value) ? 8 : 0;
  if (std::isinf(value)) return static_cast<uint8_t>(sign | 7);
  return static_cast<uint8_t>(sign | nearest(std::fabs(static_cast<double>(value)), kE2m1));
}

float decode_e4m3(uint8_t byte) {
  if ((byte & 0x7F) == 0x7F) return std::numeric_limits<float>::quiet_NaN();
  const auto magnitude = static_cast<float>(e4m3_magnitude(byte & 0x7F));
  return byte & 0x80 ? -magnitude : magnitude;
}

uint8_t encode_e4m3(float value) {
  if (std::isnan(value)) return 0x7F;
  const int sign = std::signbit(value) ? 0x80 : 0;
  if (std::isinf(value)) return static_cast<uint8_t>(sign | 0x7E);
  return static_cast<uint8_t>(sign | nearest(std::fabs(static_cast<double>(value)), kE4m3));
}

float decode_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  double magnitude = 0;
  if (exponent == 31) {
    magnitude = mantissa ? std::numeric_limits<double>::quiet_NaN()
                         : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, -24);
  } else {
    magnitude = std::ldexp(1024 + mantissa, exponent - 25);
  }
  return static_cast<float>(bits & 0x8000 ? -magnitude : magnitude);
}

uint16_t encode_f16(float value) {
  if (std::isnan(value)) return 0x7FFF;
  const int sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 65520.0) return static_cast<uint16_t>(sign | 0x7C00);  // halfway to 2^16
  if (magnitude == 0) return static_cast<uint16_t>(sign);
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude = f * 2^exponent, f in [0.5, 1)
  const int unit = std::max(exponent - 11, -24);
  // nearbyint: to nearest even; the quotient is exact. A carry runs into the exponent field.
  const auto steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, -unit)));
  return static_cast<uint16_t>(sign | (unit == -24 ? steps : ((unit + 24) << 10) + steps));
}

float decode_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t encode_bf16(float value) {
  if (std::isnan(value)) return 0x7FFF;
  // The two bf16 neighbours, by truncation; then the nearer, or the even one of a tie.
  const auto below = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  if (std::isinf(value)) return below;
  const auto above = static_cast<uint16_t>(below + 1);
  const double magnitude = std::fabs(static_cast<double>(value));
  const double low = std::fabs(static_cast<double>(decode_bf16(below)));
  const double high = (above & 0x7FFF) == 0x7F80
                          ? std::ldexp(1.0, 128)
                          : std::fabs(static_cast<double>(decode_bf16(above)));
  if (magnitude - low < high - magnitude) return below;
  if (magnitude - low > high - magnitude) return above;
  return below % 2 == 0 ? below : above;
}

float amax(std::span<const float> values) {
  float largest = 0;
  for (float value : values) {
    if (std::fabs(value) > largest) largest = std::fabs(value);  // false for NaN
  }
  return largest;
}

TensorScale tensor_scale(float amax) {
  float encode = 2688.0f / amax;
  if (encode > FLT_MAX) encode = FLT_MAX;
  if (amax == 0 || encode == 0) encode = 1;
  return {encode, 1.0f / encode};
}

Block quantize_block(std::span<const float> values, float tensor_amax) {
  const TensorScale tensor = tensor_scale(tensor_amax);
  const float sixth = 1.0f / 6.0f;
  const float multiplier = tensor.encode * sixth;
  float raw = amax(values) * multiplier;
  if (raw > FLT_MAX) raw = FLT_MAX;
  Block block{};
  block.scale = encode_e4m3(raw);
  const float decode = decode_e4m3(block.scale) * tensor.decode;
  float encode = 1.0f / decode;
  if (encode > FLT_MAX) encode = FLT_MAX;
  for (size_t i = 0; i < values.size(); ++i) block.codes[i] = encode_e2m1(values[i] * encode);
  return block;
}

Matrix quantize(std::span<const float> values, int64_t rows, int64_t columns, float tensor_amax) {
  const int64_t blocks = (columns + 15) / 16;
  Matrix matrix{rows, columns, std::vector<uint8_t>(static_cast<size_t>(rows * blocks * 8)),
                std::vector<uint8_t>(static_cast<size_t>(rows * blocks))};
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = b * 16;
      const int64_t count = std::min<int64_t>(16, columns - first);
      const Block block = quantize_block(
          values.subspan(static_cast<size_t>(row * columns + first), static_cast<size_t>(count)),
          tensor_amax);
      const int64_t at = row * blocks + b;
      matrix.scales[static_cast<size_t>(at)] = block.scale;
      for (int pair = 0; pair < 8; ++pair) {
        matrix.codes[static_cast<size_t>(at * 8 + pair)] =
            static_cast<uint8_t>(block.codes[2 * pair] | block.codes[2 * pair + 1] << 4);
      }
    }
  }
  return matrix;
}

int64_t offset_128x4(int64_t row, int64_t block, int64_t blocks) {
  const int64_t tile = row / 128 * ((blocks + 3) / 4) + block / 4;
  return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
}

int64_t size_128x4(int64_t rows, int64_t blocks) {
  return (rows + 127) / 128 * ((blocks + 3) / 4) * 512;
}

std::vector<uint8_t> to_128x4(std::span<const uint8_t> scales, int64_t rows, int64_t blocks) {
  std::vector<uint8_t> swizzled(static_cast<size_t>(size_128x4(rows, blocks)));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      swizzled[static_cast<size_t>(offset_128x4(row, block, blocks))] =
          scales[static_cast<size_t>(row * blocks + block)];
    }
  }
  return swizzled;
}

float dequantize_element(uint8_t code, uint8_t scale, float tensor_amax) {
  const float scaled = decode_e4m3(scale) * tensor_amax;
  const float factor = scaled * (1.0f / 2688.0f);
  const float value = decode_e2m1(code) * factor;
  // An overflowed factor times zero: the one NaN that the contract knows.
  return std::isnan(value) ? std::bit_cast<float>(0x7FFFFFFFu) : value;
}

std::vector<float> dequantize(const Matrix& matrix, float tensor_amax) {
  const int64_t blocks = (matrix.columns + 15) / 16;
  std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.columns));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t column = 0; column < matrix.columns; ++column) {
      const int64_t at = row * blocks + column / 16;
      const uint8_t pair = matrix.codes[static_cast<size_t>(at * 8 + column % 16 / 2)];
      const auto code = static_cast<uint8_t>(column % 2 == 0 ? pair & 15 : pair >> 4);
      values[static_cast<size_t>(row * matrix.columns + column)] =
          dequantize_element(code, matrix.scales[static_cast<size_t>(at)], tensor_amax);
    }
  }
  return values;
}

}  // namespace nibble::reference
