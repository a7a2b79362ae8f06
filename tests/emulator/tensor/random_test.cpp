// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Random operands: every shape against real arithmetic, and the loops against the definition.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>
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
  std::vector<Multiply> list = shapes();
  for (Multiply shape : shapes()) {
    shape.arithmetic = Arithmetic::kExact;
    list.push_back(shape);
  }
  for (Multiply shape : list) {
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

// mma.sync of sm_90 and sm_100: f16 multiplications of pairs of columns, and one addition.
TEST(RandomOperands, Fp8OfMmaSyncEqualsTwoHalves) {
  std::mt19937_64 random(4);
  std::map<long double, uint32_t> code_of;  // an f16 of each value but NaN
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const long double value = value_of(Format::kF16, code);
    if (!std::isnan(value) && code != 0x8000) code_of[value] = code;  // -0 makes the same sums
  }
  auto half_of = [&](long double x) { return std::isnan(x) ? 0x7FFF : code_of.at(x); };
  for (const Format d : {Format::kF32, Format::kF16}) {
    for (const uint32_t k : {16, 32}) {
      Multiply shape;
      shape.m = 16;
      shape.n = 8;
      shape.k = k;
      shape.a = Format::kE4m3;
      shape.b = Format::kE5m2;
      shape.d = d;
      shape.arithmetic = k == 16 ? Arithmetic::kMmaHopper : Arithmetic::kMmaBlackwell;
      for (const Codes codes : kAllCodes) {
        const Problem problem = problem_of(shape, codes, random);
        const std::vector<uint32_t> result = problem.multiplied();
        Problem half = problem;
        half.shape.k = k / 2;
        half.shape.a = half.shape.b = Format::kF16;
        half.c.assign(half.c.size(), 0);
        for (const uint32_t low : {0, 2}) {
          half.a.clear();
          half.b.clear();
          for (uint32_t i = 0; i < 16 * k; ++i) {
            if ((i & 2) == low) half.a.push_back(half_of(value_of(shape.a, problem.a[i])));
          }
          for (uint32_t i = 0; i < 8 * k; ++i) {
            if ((i & 2) == low) half.b.push_back(half_of(value_of(shape.b, problem.b[i])));
          }
          std::vector<uint32_t> sums;
          for (size_t i = 0; i < 128; ++i) sums.push_back(expected_output(half, i / 8, i % 8));
          half.c = sums;
        }
        for (size_t i = 0; i < 128; ++i) {
          const long double sum = value_of(d, half.c[i]) + value_of(d, problem.c[i]);
          // Sums of two f32 are exact in 64 bits unless the smaller does not matter.
          ASSERT_EQ(result[i], nearest(d, sum)) << shape << ", output " << i;
        }
      }
    }
  }
}

// f16 and C of f16's range: 128 bits hold every sum in units of 2^-48.
TEST(RandomOperands, ExactSumsEqualIntegers) {
  __extension__ using Wide = __int128;
  std::mt19937_64 random(5);
  Multiply shape;
  shape.m = 32;
  shape.n = 40;
  shape.k = 16;
  shape.arithmetic = Arithmetic::kExact;
  for (const Codes codes : {Codes::kFinite, Codes::kSimilar, Codes::kZeroes}) {
    Problem problem = problem_of(shape, codes, random);
    for (uint32_t& c : problem.c) {
      const uint32_t code = random() & 0xFBFF;
      c = std::bit_cast<uint32_t>(static_cast<float>(value_of(Format::kF16, code)));
    }
    const std::vector<uint32_t> d = problem.multiplied();
    auto units = [](long double x) { return static_cast<Wide>(std::ldexp(x, 48)); };
    for (size_t i = 0; i < d.size(); ++i) {
      Wide sum = units(std::bit_cast<float>(problem.c[i]));
      for (size_t j = 0; j < shape.k; ++j) {
        sum += units(value_of(shape.a, problem.a[i / 40 * 16 + j]) *
                     value_of(shape.b, problem.b[i % 40 * 16 + j]));
      }
      const float result = std::bit_cast<float>(d[i]);
      const Wide error = units(result) > sum ? units(result) - sum : sum - units(result);
      for (const float towards : {-INFINITY, INFINITY}) {
        const Wide other = units(std::nextafter(result, towards));
        const Wide distance = other > sum ? other - sum : sum - other;
        ASSERT_TRUE(error < distance || (error == distance && d[i] % 2 == 0)) << i;
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
