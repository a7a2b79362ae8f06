// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The reference of the Hadamard transform against its definition, and the published vectors of the
// random one of 16.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/reference/hadamard.h"
#include "tests/reference/nvfp4.h"

namespace nibble {
namespace {

std::vector<bool> signs_of_16() {
  std::vector<bool> negative(16);
  for (size_t i = 0; i < 16; ++i) negative[i] = (0xD7E8 >> i & 1) != 0;
  return negative;
}

TEST(HadamardReference, MatricesAreOrthogonal) {
  for (const int size : {2, 4, 8, 12, 16, 20, 24, 28, 40, 56, 128}) {
    for (int a = 0; a < size; ++a) {
      for (int b = 0; b < size; ++b) {
        int product = 0;
        for (int i = 0; i < size; ++i) {
          product += reference::hadamard_entry(size, a, i) * reference::hadamard_entry(size, b, i);
        }
        ASSERT_EQ(product, a == b ? size : 0) << size << ": rows " << a << " and " << b;
      }
    }
  }
}

// Small integers: every sum is exact, in any order.
TEST(HadamardReference, IsTheProductWithTheMatrix) {
  std::mt19937 random(1);
  for (const int size : {2, 8, 16, 12, 24, 20, 160, 28, 224, 512}) {
    for (const bool inverse : {false, true}) {
      std::vector<float> x(static_cast<size_t>(size));
      std::vector<bool> negative(x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(static_cast<int>(random() % 201) - 100);
        negative[i] = random() % 2 == 0;
      }
      const std::vector<float> y = reference::hadamard({size, negative, inverse, 0.5f}, x);
      for (int j = 0; j < size; ++j) {
        double sum = 0;
        for (int i = 0; i < size; ++i) {
          const int entry = inverse ? reference::hadamard_entry(size, i, j)
                                    : reference::hadamard_entry(size, j, i);
          const bool flips = negative[static_cast<size_t>(inverse ? j : i)];
          sum += static_cast<double>(x[static_cast<size_t>(i)]) * (flips ? -entry : entry);
        }
        ASSERT_EQ(y[static_cast<size_t>(j)], sum * 0.5) << size << " " << inverse << " " << j;
      }
    }
  }
}

TEST(HadamardReference, PublishedVectorsOf16) {
  const reference::Hadamard transform{16, signs_of_16(), false, 0.25f};
  EXPECT_EQ(reference::orthonormal_scale(16), 0.25f);
  EXPECT_EQ(reference::hadamard(transform, std::vector<float>(16, 1.0f)),
            (std::vector<float>{-1, 0, 1, 0, 1, 0, -1, 0, 1, 2, 1, 0, 1, 0, 1, -2}));
  std::vector<float> ramp(16);
  for (size_t i = 0; i < 16; ++i) ramp[i] = static_cast<float>(i);
  EXPECT_EQ(reference::hadamard(transform, ramp),
            (std::vector<float>{-14.5, -7.5, 6.5, -0.5, 6.5, -0.5, -14.5, 8.5, 7.5, 14.5, 0.5, 1.5,
                                0.5, -2.5, 9.5, -15.5}));
  std::vector<float> unit(16);
  unit[3] = 1;
  const std::string row = "-++--++--++--++-";
  const std::vector<float> image = reference::hadamard(transform, unit);
  for (size_t j = 0; j < 16; ++j) EXPECT_EQ(image[j], row[j] == '+' ? 0.25f : -0.25f) << j;
}

}  // namespace
}  // namespace nibble
