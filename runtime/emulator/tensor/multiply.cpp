// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/multiply.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/emulator/tensor/families.h"
#include "runtime/emulator/tensor/model.h"

namespace nibble::emulator::tensor {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("tensor-core multiplication: " + what);
}

bool is_byte_float(Format format) { return format >= Format::kE4m3 && format <= Format::kE2m1; }
bool is_fp8(Format format) { return format == Format::kE4m3 || format == Format::kE5m2; }
bool is_operand(Format format) { return format >= Format::kTf32 && format <= Format::kB1; }

// f16 goes with bf16, the formats of 8 bits and fewer with each other, b1 with itself.
bool go_together(Format a, Format b) {
  auto is_half = [](Format format) { return format == Format::kF16 || format == Format::kBf16; };
  auto is_whole = [](Format format) { return is_integer(format) && format != Format::kB1; };
  return a == b || (is_half(a) && is_half(b)) || (is_byte_float(a) && is_byte_float(b)) ||
         (is_whole(a) && is_whole(b));
}

void check_scales(const Multiply& shape, const uint8_t* a_scales, const uint8_t* b_scales) {
  if (shape.scale == ScaleFormat::kNone) {
    if (a_scales != nullptr || b_scales != nullptr) refuse("scales without a scale format");
    return;
  }
  if (a_scales == nullptr || b_scales == nullptr) refuse("no scales");
  if (!is_byte_float(shape.a)) refuse("scales of " + std::string(name_of(shape.a)));
  const bool fp4 = shape.a == Format::kE2m1 && shape.b == Format::kE2m1 && shape.k != 32;
  if (shape.scale == ScaleFormat::kUe4m3 && !fp4) {
    refuse("ue4m3 scales of " + std::string(name_of(shape.a)) + " by " +
           std::string(name_of(shape.b)) + " with k = " + std::to_string(shape.k));
  }
  if (shape.d != Format::kF32) refuse("scales with a result in " + std::string(name_of(shape.d)));
  const uint32_t block = shape.scale_block;
  if (block == 0 || block % kGroup != 0 || shape.k % block != 0) {
    refuse(std::to_string(block) + " elements to a scale with k = " + std::to_string(shape.k));
  }
}

void check(const Multiply& shape) {
  if (!is_operand(shape.a) || !is_operand(shape.b) || !go_together(shape.a, shape.b)) {
    refuse(std::string(name_of(shape.a)) + " by " + std::string(name_of(shape.b)));
  }
  const bool fits = is_integer(shape.a) ? shape.d == Format::kS32
                                        : shape.d == Format::kF32 || shape.d == Format::kF16;
  if (!fits) {
    refuse(std::string(name_of(shape.d)) + " as the result of " + std::string(name_of(shape.a)));
  }
  if (shape.k == 0 || shape.k > kMostK) refuse("k = " + std::to_string(shape.k));
}

bool is_converted(const Multiply& shape) {
  const bool warp_level =
      shape.arithmetic == Arithmetic::kMmaHopper || shape.arithmetic == Arithmetic::kMmaBlackwell;
  if (!warp_level || !is_byte_float(shape.a)) return false;
  if (!is_fp8(shape.a) || !is_fp8(shape.b) || shape.scale != ScaleFormat::kNone) {
    refuse(std::string(name_of(shape.a)) + " by " + std::string(name_of(shape.b)) +
           (shape.scale == ScaleFormat::kNone ? "" : " with scales") +
           " in an mma.sync of sm_90 or sm_100");
  }
  if (shape.k % 4 != 0) refuse("fp8 with k = " + std::to_string(shape.k));
  return true;
}

}  // namespace

void multiply(const Multiply& shape, const uint32_t* a, const uint32_t* b, const uint8_t* a_scales,
              const uint8_t* b_scales, uint32_t* d) {
  check(shape);
  check_scales(shape, a_scales, b_scales);
  const Operands operands{a, b, a_scales, b_scales};
  if (is_integer(shape.a)) {
    multiply_integer(shape, operands, d);
  } else if (shape.arithmetic == Arithmetic::kExact) {
    multiply_exact(shape, operands, d);
  } else if (is_converted(shape)) {
    multiply_converted(shape, operands, d);
  } else {
    multiply_fused(shape, operands, d);
  }
}

void multiply_sparse(const Multiply& shape, const uint32_t* a, const uint16_t* columns,
                     const uint32_t* b, uint32_t dense_k, const uint8_t* a_scales,
                     const uint8_t* b_scales, uint32_t* d) {
  Multiply row = shape;
  row.m = 1;
  const size_t blocks = shape.scale == ScaleFormat::kNone ? 0 : shape.k / shape.scale_block;
  std::vector<uint32_t> chosen(size_t{shape.n} * shape.k);
  for (size_t i = 0; i < shape.m; ++i) {
    for (size_t j = 0; j < shape.n; ++j) {
      for (size_t k = 0; k < shape.k; ++k) {
        chosen[j * shape.k + k] = b[j * dense_k + columns[i * shape.k + k]];
      }
    }
    multiply(row, a + i * shape.k, chosen.data(),
             a_scales == nullptr ? nullptr : a_scales + i * blocks, b_scales, d + i * shape.n);
  }
}

void multiply_f64(uint32_t m, uint32_t n, uint32_t k, const double* a, const double* b, double* d) {
  for (size_t row = 0; row < m; ++row) {
    for (size_t column = 0; column < n; ++column, ++d) {
      for (size_t i = 0; i < k; ++i) *d = std::fma(a[row * k + i], b[column * k + i], *d);
    }
  }
}

}  // namespace nibble::emulator::tensor
