// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Runs a line of PTX over columns of values, on an emulated sm_100a.
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace nibble::emulator {

using Values = std::vector<uint64_t>;

struct Column {
  std::string type;  // of the register: "b8", "b16", "b32", "b64"
  Values values;
};

// The values of register %d, of type `type`, after `code`, with registers %a, %b, %c, %e holding a
// row of the columns. Predicates %p and %q are free. Fails the running test where the code is
// refused or faults.
Values evaluate(const std::string& code, const std::string& type, std::vector<Column> columns);

// Interesting bit patterns of floats (zeros, subnormals, ties, infinities, NaN) and random ones.
Values special_floats(size_t count);
Values special_doubles(size_t count);
// Edges of two's complement of `bits` bits, and random ones.
Values special_integers(int bits, size_t count);

// Two columns holding every pair of a few specials, then random pairs, from lists like the above.
struct Pairs {
  Values a, b;
};
Pairs pairs(const Values& values, size_t count);

inline float as_float(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
inline double as_double(uint64_t bits) { return std::bit_cast<double>(bits); }
inline uint32_t bits_of_float(float x) { return std::bit_cast<uint32_t>(x); }

}  // namespace nibble::emulator
