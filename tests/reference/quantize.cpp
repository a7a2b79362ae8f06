// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/quantize.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "tests/reference/hadamard.h"

namespace nibble::reference {

namespace {

constexpr double kE2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

struct Scale {
  uint8_t byte;
  float encode;  // multiplies elements
};

Scale scale_of(float block_amax, float tensor_amax, Format format) {
  if (format == Format::kNvfp4) {
    const TensorScale tensor = tensor_scale(tensor_amax);
    const float multiplier = tensor.encode * (1.0f / 6.0f);
    float raw = block_amax * multiplier;
    if (raw > FLT_MAX) raw = FLT_MAX;
    const uint8_t byte = encode_e4m3(raw);
    const float decode = decode_e4m3(byte) * tensor.decode;
    return {byte, std::min(1.0f / decode, FLT_MAX)};
  }
  const float largest = format == Format::kMxfp4 ? 1.0f / 6.0f : 1.0f / 448.0f;
  const uint8_t byte = encode_ue8m0_up(block_amax * largest);
  return {byte, static_cast<float>(std::ldexp(1.0, 127 - byte))};
}

// Code of the element at (row, column) of the copy.
uint8_t code_of(float value, float encode, int64_t row, int64_t column, const Options& options) {
  const float scaled = value * encode;
  const bool is_e4m3 = options.format == Format::kMxfp8;
  if (!options.stochastic) return is_e4m3 ? encode_e4m3(scaled) : encode_e2m1(scaled);
  // Both copies of a square block have the codes of the row-wise one.
  const bool turned = options.square && options.copy == 1;
  if (turned) std::swap(row, column);
  const auto words =
      philox(options.seed, {static_cast<uint32_t>(column / 16), static_cast<uint32_t>(row),
                            static_cast<uint32_t>(static_cast<uint64_t>(row) >> 32),
                            static_cast<uint32_t>(turned ? 0 : options.copy)});
  const auto place = static_cast<int>(column % 16);
  return is_e4m3 ? encode_e4m3_stochastic(scaled, dither_e4m3(words, place))
                 : encode_e2m1_stochastic(scaled, dither(words, place));
}

uint16_t reversed16(int bits) {
  int reversed = 0;
  for (int k = 0; k < 16; ++k) reversed |= (bits >> k & 1) << (15 - k);
  return static_cast<uint16_t>(reversed);
}

}  // namespace

FourOverSix four_over_six(std::span<const float> values, float tensor_amax) {
  float encode = 1536.0f / std::fabs(tensor_amax);
  if (encode > FLT_MAX) encode = FLT_MAX;
  if (tensor_amax == 0 || encode == 0) encode = 1;
  const float decode = 1.0f / encode;
  const float sixth = amax(values) / 6.0f;
  const float base = sixth * encode;
  FourOverSix result{encode_e4m3(std::min(base, FLT_MAX)),
                     encode_e4m3(std::min(base * 1.5f, FLT_MAX)),
                     0,
                     0,
                     0,
                     0};
  int exponent = 0;  // of the larger scale: 2^exponent <= scale
  std::frexp(decode_e4m3(result.four), &exponent);
  const auto unit = static_cast<float>(std::ldexp(1.0, 11 - exponent));
  const float element_unit = encode * unit;
  auto try_scale = [&](uint8_t byte, float& encode_of, uint64_t& error) {
    const float scale = decode_e4m3(byte);
    encode_of = std::min(1.0f / (scale * decode), FLT_MAX);
    for (const float value : values) {
      const float magnitude = std::fabs(value);
      const float code = decode_e2m1(encode_e2m1(magnitude * encode_of));
      const float off = std::fma(code, scale * unit, -(magnitude * element_unit));
      const float square = off * off;
      // Also for NaN.
      error += square < 8388607.0f ? static_cast<uint64_t>(std::nearbyint(square)) : 8388607;
    }
  };
  try_scale(result.six, result.encode_six, result.error_of_six);
  try_scale(result.four, result.encode_four, result.error_of_four);
  return result;
}

std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter) {
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(second),
        static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(first)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

uint16_t dither(const std::array<uint32_t, 4>& words, int i) {
  const uint32_t word = words[static_cast<size_t>(i / 4)];
  uint8_t byte[4];
  for (int k = 0; k < 4; ++k) byte[k] = static_cast<uint8_t>(word >> (8 * k));
  const int place = i % 4;
  // Elements 0 and 1 share bytes 2 and 0, elements 2 and 3 bytes 3 and 1.
  const int bits = place < 2 ? byte[2] << 8 | byte[0] : byte[3] << 8 | byte[1];
  return place % 2 == 0 ? static_cast<uint16_t>(bits) : reversed16(bits);
}

uint16_t dither_e4m3(const std::array<uint32_t, 4>& words, int i) {
  const uint32_t word = words[static_cast<size_t>(i / 4)];
  const auto half = static_cast<uint16_t>(i % 4 < 2 ? word & 0xFFFF : word >> 16);
  return i % 2 == 0 ? half : reversed16(half);
}

uint8_t encode_e2m1_stochastic(float value, uint16_t dither) {
  if (std::isnan(value)) return 7;
  const int sign = std::signbit(value) ? 8 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 6) return static_cast<uint8_t>(sign | 7);
  int code = 0;
  while (kE2m1[code + 1] <= magnitude) ++code;
  const double fraction = (magnitude - kE2m1[code]) / (kE2m1[code + 1] - kE2m1[code]);
  if (fraction * 65536 >= 65536 - dither) ++code;
  return static_cast<uint8_t>(sign | code);
}

uint8_t encode_e4m3_stochastic(float value, uint16_t dither) {
  if (std::isnan(value)) return 0x7F;
  const int sign = std::signbit(value) ? 0x80 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 448) return static_cast<uint8_t>(sign | 0x7E);
  auto number = [](int code) { return double{decode_e4m3(static_cast<uint8_t>(code))}; };
  int code = 0;
  while (number(code + 1) <= magnitude) ++code;
  const double fraction = (magnitude - number(code)) / (number(code + 1) - number(code));
  if (fraction * 65536 >= 65536 - dither) ++code;
  return static_cast<uint8_t>(sign | code);
}

uint8_t encode_ue8m0_up(float value) {
  for (int byte = 0; byte < 254; ++byte) {
    if (std::ldexp(1.0, byte - 127) >= static_cast<double>(value)) {
      return static_cast<uint8_t>(byte);
    }
  }
  return 254;
}

int block_size(Format format) { return format == Format::kNvfp4 ? 16 : 32; }
int code_bits(Format format) { return format == Format::kMxfp8 ? 8 : 4; }

std::array<float, 16> hadamard16(std::span<const float> x, uint16_t signs) {
  std::array<float, 16> y{};
  for (size_t i = 0; i < 16; ++i) {
    const float value = signs >> i & 1 ? -x[i] : x[i];
    y[i] = value * 0.25f;
  }
  // Neighbouring halves of length 1, 2, 4, 8 become their sums and differences.
  for (size_t half = 1; half < 16; half *= 2) {
    std::array<float, 16> next{};
    for (size_t first = 0; first < 16; first += 2 * half) {
      for (size_t i = first; i < first + half; ++i) {
        next[i] = y[i] + y[i + half];
        next[i + half] = y[i] - y[i + half];
      }
    }
    y = next;
  }
  return y;
}

std::vector<float> transformed(std::span<const float> values, int64_t rows, int64_t columns,
                               uint16_t signs, Type type) {
  const int64_t padded = (columns + 15) / 16 * 16;
  std::vector<float> result(static_cast<size_t>(rows * padded));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t first = 0; first < padded; first += 16) {
      std::array<float, 16> x{};
      for (int64_t i = 0; i < 16 && first + i < columns; ++i) {
        x[static_cast<size_t>(i)] = values[static_cast<size_t>(row * columns + first + i)];
      }
      const auto y = hadamard16(x, signs);
      for (int64_t i = 0; i < 16; ++i) {
        float value = y[static_cast<size_t>(i)];
        if (type == Type::kBf16) value = decode_bf16(encode_bf16(value));
        if (type == Type::kF16) value = decode_f16(encode_f16(value));
        result[static_cast<size_t>(row * padded + first + i)] = value;
      }
    }
  }
  return result;
}

std::vector<float> transformed(std::span<const float> values, int64_t size,
                               const std::array<uint32_t, 4>& signs, Type type) {
  Hadamard transform{static_cast<int>(size), {}, false, orthonormal_scale(static_cast<int>(size))};
  for (int64_t i = 0; i < size; ++i) {
    transform.negative.push_back((signs[static_cast<size_t>(i / 32)] >> i % 32 & 1) != 0);
  }
  std::vector<float> result;
  for (size_t first = 0; first < values.size(); first += static_cast<size_t>(size)) {
    for (float y : hadamard(transform, values.subspan(first, static_cast<size_t>(size)))) {
      if (type == Type::kBf16) y = decode_bf16(encode_bf16(y));
      if (type == Type::kF16) y = decode_f16(encode_f16(y));
      result.push_back(y);
    }
  }
  return result;
}

std::vector<float> transpose(std::span<const float> values, int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      result[static_cast<size_t>(column * rows + row)] =
          values[static_cast<size_t>(row * columns + column)];
    }
  }
  return result;
}

Matrix quantize(std::span<const float> values, int64_t rows, int64_t columns, float tensor_amax,
                const Options& options) {
  const int64_t block = block_size(options.format);
  const int64_t blocks = (columns + block - 1) / block;
  const int64_t row_bytes = blocks * block * code_bits(options.format) / 8;
  Matrix matrix{rows, columns, std::vector<uint8_t>(static_cast<size_t>(rows * row_bytes)),
                std::vector<uint8_t>(static_cast<size_t>(rows * blocks))};
  auto at = [&](int64_t row, int64_t column) {
    return values[static_cast<size_t>(row * columns + column)];
  };
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t end = std::min(columns, (b + 1) * block);
      // Of a square block, all rows of it that exist.
      const int64_t first_row = options.square ? row / 16 * 16 : row;
      const int64_t last_row = options.square ? std::min(rows, first_row + 16) : row + 1;
      float largest = 0;
      for (int64_t r = first_row; r < last_row; ++r) {
        for (int64_t c = b * block; c < end; ++c) {
          if (std::fabs(at(r, c)) > largest) largest = std::fabs(at(r, c));
        }
      }
      Scale scale = scale_of(largest, tensor_amax, options.format);
      if (options.four_over_six) {
        std::vector<float> elements;
        for (int64_t r = first_row; r < last_row; ++r) {
          for (int64_t c = b * block; c < end; ++c) elements.push_back(at(r, c));
        }
        const FourOverSix choice = four_over_six(elements, tensor_amax);
        scale = choice.takes_four() ? Scale{choice.four, choice.encode_four}
                                    : Scale{choice.six, choice.encode_six};
      }
      matrix.scales[static_cast<size_t>(row * blocks + b)] = scale.byte;
      for (int64_t c = b * block; c < end; ++c) {
        const uint8_t code = code_of(at(row, c), scale.encode, row, c, options);
        if (options.format == Format::kMxfp8) {
          matrix.codes[static_cast<size_t>(row * row_bytes + c)] = code;
        } else {
          uint8_t& pair = matrix.codes[static_cast<size_t>(row * row_bytes + c / 2)];
          pair = static_cast<uint8_t>(pair | code << (c % 2 * 4));
        }
      }
    }
  }
  return matrix;
}

}  // namespace nibble::reference
