// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What tensor cores compute: D = A x B^T + C on codes, with the published bit-exact model of each
// generation's accumulation or with exact summation. Knows no instruction, no memory, no layout.
#pragma once

#include <cstdint>

namespace nibble::emulator::tensor {

enum class Format : uint8_t {
  kF64,
  kF32,
  kTf32,  // as a 32-bit word, low 13 bits ignored
  kF16,
  kBf16,
  kE4m3,
  kE5m2,
  kE2m3,
  kE3m2,
  kE2m1,
  kS8,
  kU8,
  kS4,
  kU4,
  kB1,
  kS32,
};

enum class ScaleFormat : uint8_t { kNone, kUe8m0, kUe4m3 };

// Whose rounding. kExact: the exact sum of products and C, rounded once to nearest even.
enum class Arithmetic : uint8_t {
  kMmaHopper,     // mma.sync and wmma of sm_90
  kWgmmaHopper,   // wgmma of sm_90a
  kMmaBlackwell,  // mma.sync of sm_100 and up
  kTcgen05,       // tcgen05.mma, and the block-scaled mma.sync of sm_120
  kExact,
};

struct Multiply {
  uint32_t m = 0, n = 0, k = 0;
  Format a = Format::kF16, b = Format::kF16;
  Format d = Format::kF32;  // of C and D: kF16, kF32, kS32
  ScaleFormat scale = ScaleFormat::kNone;
  uint32_t scale_block = 0;  // elements along k to one scale
  Arithmetic arithmetic = Arithmetic::kTcgen05;
  bool saturates = false;    // integers: clamp instead of wrap
  bool conjunction = false;  // b1: the bits that both have (and.popc) instead of xor.popc
};

// The largest k.
constexpr uint32_t kMostK = 512;

// One instruction's product. a: m x k codes, b: n x k codes, row-major, one in the low bits of each
// word. a_scales: m x (k / scale_block), b_scales: n x (k / scale_block), row-major, null without.
// d: m x n words, C on entry (16-bit formats in the low half), D on return.
// k is the instruction's own: the model may depend on it. Thread-safe.
//
// Throws std::invalid_argument where formats, scales or k fit no instruction.
//
// The models, from arXiv 2511.10909; each a product or, where said, a group of products is a term:
// - kMmaHopper, kMmaBlackwell, kTcgen05, kWgmmaHopper without fp8: C and every term are aligned to
//   the largest exponent of them all, cut towards zero after 25 fraction bits, added exactly. An
//   f32 result is cut towards zero, an f16 rounded to nearest even.
// - kWgmmaHopper of fp8: the same with 13 fraction bits, and 13 mantissa bits of an f32 result.
// - e2m1 x e2m1 with scales and a k other than 32 (mxf4, mxf4nvf4): 16 products make a term, scaled
//   exactly, 35 fraction bits. k = 32 is mxf8f6f4, 25 bits. k = 96 is taken to be as 64.
// - fp8 with kMmaHopper and kMmaBlackwell, as ptxas 13.0 translates it for sm_90 and sm_100: codes
//   become f16; one f16 multiplication of the elements with k mod 4 of 0 and 1 and another, onto
//   its result, of 2 and 3; the sum is added to C, rounded to nearest even. sm_120 has an
//   instruction of its own: kTcgen05.
// - Any NaN, infinity times zero, or infinities of both signs: 0x7FFFFFFF or 0x7FFF. Results beyond
//   the largest number are infinite. A zero result is +0, also of negative terms cut off. The sign
//   of a ue4m3 scale is ignored.
// Untested by anyone: k = 96, infinite C of the grouped model.
void multiply(const Multiply& shape, const uint32_t* a, const uint32_t* b, const uint8_t* a_scales,
              const uint8_t* b_scales, uint32_t* d);

// The same with a structured sparse A, given as what is stored: k and scale_block count stored
// elements, columns (m x k) holds the place along b's dense_k that each is multiplied with, b is
// n x dense_k. The elements that are not stored make no term, where a zero would: its exponent
// takes part in the alignment. How hardware groups sparse terms is not published; taken to be the
// grouping of the stored elements.
void multiply_sparse(const Multiply& shape, const uint32_t* a, const uint16_t* columns,
                     const uint32_t* b, uint32_t dense_k, const uint8_t* a_scales,
                     const uint8_t* b_scales, uint32_t* d);

// f64: fused multiply-adds in order of k, rounded to nearest even.
void multiply_f64(uint32_t m, uint32_t n, uint32_t k, const double* a, const double* b, double* d);

}  // namespace nibble::emulator::tensor
