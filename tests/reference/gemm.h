// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Sums of products of quantised operands, three ways: exactly; as the CUDA-core kernel adds them;
// and as the tensor cores of sm_100 do, by the published model. Host memory only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nibble::reference {

enum class Format : int { kNvfp4, kMxfp4, kMxfp8, kFp8, kBf16 };

// Elements to a scale; 0: none.
int scaled_elements(Format format);
double decode_element(Format format, uint16_t code);
double decode_e5m2(uint8_t code);
double decode_scale(Format format, uint8_t byte);  // NaN: 0x7F or 0xFF; the sign of E4M3 ignored

// [rows, k], one code each, and [rows, blocks of k] scales.
struct Operand {
  Format format = Format::kNvfp4;
  bool e5m2 = false;  // kFp8: elements are E5M2, not E4M3
  int64_t rows = 0, k = 0;
  std::vector<uint16_t> codes;
  std::vector<uint8_t> scales;

  int64_t blocks() const;  // in a row; 0 without scales
  double element(int64_t row, int64_t i) const {
    const uint16_t code = codes[static_cast<size_t>(row * k + i)];
    return e5m2 ? decode_e5m2(static_cast<uint8_t>(code)) : decode_element(format, code);
  }
  double scale(int64_t row, int64_t block) const {
    return decode_scale(format, scales[static_cast<size_t>(row * blocks() + block)]);
  }
};

// The exact sum of A's row times B's, to the nearest fp32, ties to even. Infinities and NaN as
// IEEE adds and multiplies them.
float exact_sum(const Operand& a, int64_t row, const Operand& b, int64_t column);

// In fp64, block after block (formats without scales: element after element), each sum rounded;
// then to fp32.
float trusted_sum(const Operand& a, int64_t row, const Operand& b, int64_t column);
// How far trusted_sum, before it is rounded to fp32, may be from the exact sum: each of its
// additions is off by at most 2^-53 of a partial sum, and those by no more than the sum of all
// magnitudes (and a little, for their own errors).
double trusted_bound(const Operand& a, int64_t row, const Operand& b, int64_t column);

// The tensor cores' sums of all rows of A with all of B: [a.rows, b.rows]. parts: where in k the
// parts of a split sum end, in elements, the last >= k; they are added in order in fp32. Beyond k
// is zero, as are scales there.
//
// The model (MMA-Sim, arXiv 2511.10909), for each MMA of 64 (FP4), 32 (FP8) or 16 (bf16) k: the
// accumulator and each product (FP4: each exact dot product of 16) are terms; all are cut towards
// zero 25 (FP4: 35) bits below the largest exponent of a term, added exactly, and the sum is cut
// towards zero to fp32. A term's exponent is the sum of the exponents of what is multiplied, where
// a zero has -126 (FP4: of the scales alone).
std::vector<float> tensor_sums(const Operand& a, const Operand& b, std::span<const int64_t> parts);

}  // namespace nibble::reference
