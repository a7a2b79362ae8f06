// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Quantisation with all its options, as the numerics contract in templates/README.md says it, by
// the plainest means. Host memory only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/reference/nvfp4.h"

namespace nibble::reference {

enum class Format { kNvfp4, kMxfp4, kMxfp8 };
enum class Type { kF32, kF16, kBf16 };

struct Options {
  Format format = Format::kNvfp4;
  bool square = false;
  bool stochastic = false;
  uint64_t seed = 0;
  int copy = 0;  // 1: of the transpose
  bool four_over_six = false;
};

// Philox 4x32-10.
std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter);
// The 16 random bits of element i < 16 of four words: as E2M1 takes them, and E4M3.
uint16_t dither(const std::array<uint32_t, 4>& words, int i);
uint16_t dither_e4m3(const std::array<uint32_t, 4>& words, int i);
uint8_t encode_e2m1_stochastic(float value, uint16_t dither);
uint8_t encode_e4m3_stochastic(float value, uint16_t dither);

// Four over six: both scales of a block of |x| = values, and the sums of their errors in the units
// of the numerics contract.
struct FourOverSix {
  uint8_t six, four;  // E4M3
  float encode_six, encode_four;
  uint64_t error_of_six, error_of_four;
  bool takes_four() const { return error_of_four < error_of_six; }
};
FourOverSix four_over_six(std::span<const float> values, float tensor_amax);

// Byte e, 2^(e - 127): the least that is no less than value >= 0, from 0 to 254.
uint8_t encode_ue8m0_up(float value);

int block_size(Format format);
int code_bits(Format format);

// 16 values after the random Hadamard transform, in fp32.
std::array<float, 16> hadamard16(std::span<const float> x, uint16_t signs);
// Each group of 16 along the rows, the last filled up with zeros for it, rounded to `type`.
std::vector<float> transformed(std::span<const float> values, int64_t rows, int64_t columns,
                               uint16_t signs, Type type);
// The same of larger groups, divisors of `columns`; bit i % 32 of word i / 32 for element i.
std::vector<float> transformed(std::span<const float> values, int64_t size,
                               const std::array<uint32_t, 4>& signs, Type type);

std::vector<float> transpose(std::span<const float> values, int64_t rows, int64_t columns);

// values: rows x columns, dense, of the copy. Whole blocks of codes in each row.
Matrix quantize(std::span<const float> values, int64_t rows, int64_t columns, float tensor_amax,
                const Options& options);

}  // namespace nibble::reference
