// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Random operands: every shape against real arithmetic, and the loops against the definition.
#include <gtest/gtest.h>

#include <ostream>
#include <random>
#include <vector>

#include "runtime/emulator/tensor/families.h"
#include "tests/emulator/tensor/reference.h"

namespace nibble::emulator::tensor {

std::ostream& operator<<(std::ostream& out, const Multiply& shape) {
  return out << shape.m << 'x' << shape.n << 'x' << shape.k << " formats "
             << static_cast<int>(shape.a) << ' ' << static_cast<int>(shape.b) << " to "
             << static_cast<int>(shape.d) << ", scales " << static_cast<int>(shape.scale) << " of "
             << shape.scale_block << ", arithmetic " << static_cast<int>(shape.arithmetic);
}

namespace test {
namespace {

constexpr Codes kAllCodes[] = {Codes::kAny, Codes::kFinite, Codes::kSimilar, Codes::kZeroes};

struct Operand {
  Format a, b, d;
  uint32_t k;
};

std::vector<Operand> operands_of(Arithmetic arithmetic) {
  std::vector<Operand> list = {{Format::kF16, Format::kF16, Format::kF32, 16},
                               {Format::kF16, Format::kF16, Format::kF32, 8},
                               {Format::kF16, Format::kF16, Format::kF16, 16},
                               {Format::kF16, Format::kF16, Format::kF16, 8},
                               {Format::kBf16, Format::kBf16, Format::kF32, 16},
                               {Format::kTf32, Format::kTf32, Format::kF32, 8},
                               {Format::kTf32, Format::kTf32, Format::kF32, 4}};
  if (arithmetic == Arithmetic::kWgmmaHopper || arithmetic == Arithmetic::kTcgen05) {
    for (const Format d : {Format::kF32, Format::kF16}) {
      list.push_back({Format::kE4m3, Format::kE4m3, d, 32});
      list.push_back({Format::kE4m3, Format::kE5m2, d, 32});
      list.push_back({Format::kE5m2, Format::kE5m2, d, 32});
    }
  }
  if (arithmetic == Arithmetic::kTcgen05) {
    for (const Format d : {Format::kF32, Format::kF16}) {
      list.push_back({Format::kE2m1, Format::kE2m1, d, 32});
      list.push_back({Format::kE3m2, Format::kE5m2, d, 32});
      list.push_back({Format::kE2m3, Format::kE2m1, d, 32});
    }
    list.push_back({Format::kBf16, Format::kF16, Format::kF32, 16});
  }
  return list;
}

std::vector<Multiply> shapes() {
  std::vector<Multiply> list;
  for (const Arithmetic arithmetic : {Arithmetic::kMmaHopper, Arithmetic::kWgmmaHopper,
                                      Arithmetic::kMmaBlackwell, Arithmetic::kTcgen05}) {
    for (const Operand& operand : operands_of(arithmetic)) {
      Multiply shape;
      shape.k = operand.k;
      shape.a = operand.a;
      shape.b = operand.b;
      shape.d = operand.d;
      shape.arithmetic = arithmetic;
      list.push_back(shape);
    }
  }
  Multiply shape;
  shape.scale = ScaleFormat::kUe8m0;
  shape.scale_block = shape.k = 32;
  for (const Format a :
       {Format::kE4m3, Format::kE5m2, Format::kE2m3, Format::kE3m2, Format::kE2m1}) {
    for (const Format b : {Format::kE4m3, Format::kE5m2, Format::kE2m1}) {
      shape.a = a;
      shape.b = b;
      list.push_back(shape);
    }
  }
  shape.a = shape.b = Format::kE2m1;
  for (const uint32_t k : {64, 96}) {
    shape.k = k;
    for (const ScaleFormat scale : {ScaleFormat::kUe4m3, ScaleFormat::kUe8m0}) {
      shape.scale = scale;
      for (const uint32_t block : {16, 32}) {
        shape.scale_block = block;
        list.push_back(shape);
      }
    }
  }
  return list;
}

TEST(RandomOperands, EqualRealArithmetic) {
  std::mt19937_64 random(1);
  for (Multiply shape : shapes()) {
    shape.m = 16;
    for (const uint32_t n : {8, 40}) {
      shape.n = n;
      for (const Codes codes : kAllCodes) {
        const Problem problem = problem_of(shape, codes, random);
        const std::vector<uint32_t> d = problem.multiplied();
        for (size_t i = 0; i < d.size(); ++i) {
          ASSERT_EQ(d[i], expected_output(problem, i / n, i % n))
              << shape << ", codes " << static_cast<int>(codes) << ", output " << i << ", C "
              << problem.c[i];
        }
      }
    }
  }
}

TEST(RandomOperands, LoopsEqualTheDefinition) {
  std::mt19937_64 random(2);
  for (Multiply shape : shapes()) {
    shape.m = 32;
    for (const uint32_t n : {3, 8, 24, 72, 256}) {
      shape.n = n;
      for (const Codes codes : kAllCodes) {
        const Problem problem = problem_of(shape, codes, random);
        std::vector<uint32_t> expected = problem.c;
        multiply_by_definition(
            shape,
            {problem.a.data(), problem.b.data(), problem.a_scale_codes(), problem.b_scale_codes()},
            expected.data());
        ASSERT_EQ(problem.multiplied(), expected) << shape << ", codes " << static_cast<int>(codes);
      }
    }
  }
}

// Each scale code beside each, on a product of ones, and on zeros.
TEST(ScaleCodes, All) {
  std::mt19937_64 random(3);
  for (const ScaleFormat scale : {ScaleFormat::kUe4m3, ScaleFormat::kUe8m0}) {
    for (const uint32_t k : {32, 64}) {
      if (scale == ScaleFormat::kUe4m3 && k == 32) continue;
      Multiply shape;
      shape.a = shape.b = Format::kE2m1;
      shape.m = shape.n = 256;
      shape.k = k;
      shape.scale = scale;
      shape.scale_block = k == 64 ? 16 : 32;
      Problem problem = problem_of(shape, Codes::kZeroes, random);
      const size_t blocks = shape.k / shape.scale_block;
      for (size_t i = 0; i < 256; ++i) {
        problem.a_scales[i * blocks] = problem.b_scales[i * blocks] = static_cast<uint8_t>(i);
      }
      const std::vector<uint32_t> d = problem.multiplied();
      for (size_t i = 0; i < d.size(); ++i) {
        ASSERT_EQ(d[i], expected_output(problem, i / 256, i % 256))
            << shape << ", scale codes " << i / 256 << ' ' << i % 256;
      }
    }
  }
}

}  // namespace
}  // namespace test
}  // namespace nibble::emulator::tensor
