// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Products of integers, and the parts of the integer rows.
#pragma once

#include <type_traits>

#include "runtime/emulator/ops/arithmetic.h"

namespace nibble::emulator {

void append_carry_rows(Rows& rows);
void append_bit_field_rows(Rows& rows);

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

// The lower half of a * b.
template <class T>
constexpr T multiply_low(T a, T b) {
  // Through 64 bits: two uint16_t would become int, which can overflow.
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// The upper half.
template <class T>
constexpr T multiply_high(T a, T b) {
  using Wide64 = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
  using Wide128 = std::conditional_t<std::is_signed_v<T>, Int128, UInt128>;
  using Wide = std::conditional_t<sizeof(T) == 8, Wide128, Wide64>;
  return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> 8 * sizeof(T));
}

}  // namespace nibble::emulator
