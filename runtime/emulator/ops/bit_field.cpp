// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counting, finding, extracting and inserting bits: PTX ISA 9.7.1, popc to bmsk.
#include "runtime/emulator/ops/integer.h"

namespace nibble::emulator {
namespace {

constexpr uint32_t kNotFound = 0xFFFFFFFF;

// `count` ones from the lowest bit; count may exceed the width.
template <class U>
U low_ones(uint32_t count) {
  constexpr uint32_t kBits = 8 * sizeof(U);
  return count >= kBits ? static_cast<U>(-1) : static_cast<U>((U{1} << count) - 1);
}

// Position of the highest bit that differs from the sign (signed) or is one; as a left shift that
// brings it to the top when `shift_amount`.
template <class T>
uint32_t find_leading(T x, bool shift_amount) {
  using U = std::make_unsigned_t<T>;
  constexpr uint32_t kTop = 8 * sizeof(T) - 1;
  const U bits = static_cast<U>(x < 0 ? ~x : x);
  if (bits == 0) return kNotFound;
  const auto above = static_cast<uint32_t>(std::countl_zero(bits));
  return shift_amount ? above : kTop - above;
}

// The offset-th one of mask from bit `base` upwards, downwards for a negative offset.
uint32_t find_nth(uint32_t mask, uint32_t base, int32_t offset) {
  if (base > 31) return kNotFound;
  if (offset == 0) return ((mask >> base) & 1) != 0 ? base : kNotFound;
  const int step = offset > 0 ? 1 : -1;
  int64_t left = offset > 0 ? int64_t{offset} : -int64_t{offset};
  for (int position = static_cast<int>(base); position >= 0 && position < 32; position += step) {
    left -= (mask >> position) & 1;
    if (left == 0) return static_cast<uint32_t>(position);
  }
  return kNotFound;
}

template <class U>
U reverse_bits(U x) {
  U reversed = 0;
  for (uint32_t bit = 0; bit < 8 * sizeof(U); ++bit) {
    reversed = static_cast<U>(reversed << 1 | ((x >> bit) & 1));
  }
  return reversed;
}

// A position or a length of bfe and bfi: of 32-bit fields the low byte counts, of 64-bit ones,
// which GPUs put together from shifts, the whole register.
template <class U>
constexpr uint32_t field_operand(uint32_t x) {
  return sizeof(U) == 4 ? x & 0xFF : x;
}

// The field of `length` bits at `start`, extended by zero or by its sign: the bit at its end, or
// the top bit of x where the field reaches past it.
template <class T>
T extract(T x, uint32_t start, uint32_t length) {
  using U = std::make_unsigned_t<T>;
  constexpr uint32_t kBits = 8 * sizeof(T);
  start = field_operand<U>(start);
  length = field_operand<U>(length);
  if (length == 0) return 0;
  const U bits = static_cast<U>(x);
  const U field = start < kBits ? static_cast<U>(bits >> start) : U{0};
  const U mask = low_ones<U>(length);
  const uint32_t last = std::min(start, kBits) + std::min(length, kBits) - 1;
  const bool negative = std::is_signed_v<T> && ((bits >> std::min(last, kBits - 1)) & 1) != 0;
  const U own = start < kBits ? static_cast<U>(mask & low_ones<U>(kBits - start)) : U{0};
  return static_cast<T>((field & own) | (negative ? static_cast<U>(~own) : U{0}));
}

template <class U>
U insert(U a, U b, uint32_t start, uint32_t length) {
  start = field_operand<U>(start);
  length = field_operand<U>(length);
  if (start >= 8 * sizeof(U)) return b;
  const U mask = static_cast<U>(low_ones<U>(length) << start);
  return static_cast<U>((b & ~mask) | (static_cast<U>(a << start) & mask));
}

// The lowest n bits of a, extended. .wrap takes n modulo 32, .clamp keeps all of a from 32 on.
template <class T>
T extend(T a, uint32_t n, bool clamp) {
  if (clamp && n >= 32) return a;
  n &= 31;
  if (n == 0) return 0;
  const uint32_t up = 32 - n;
  return static_cast<T>(static_cast<T>(static_cast<uint32_t>(a) << up) >> up);
}

uint32_t field_mask(uint32_t start, uint32_t length, bool clamp) {
  if (clamp && start >= 32) return 0;
  start &= 31;
  if (!clamp) length &= 31;
  return low_ones<uint32_t>(length) << start;
}

}  // namespace

void append_bit_field_rows(Rows& rows) {
  auto row = [&](std::string spelling, uint32_t number, Body body) {
    rows.push_back({std::move(spelling), {number}, body});
  };
  row("popc.b32 d:u32, a", 50, [](Warp& w, const Inst& i) {
    lanes<uint32_t, uint32_t>(w, i, [](uint32_t a) { return std::popcount(a); });
  });
  row("popc.b64 d:u32, a", 50, [](Warp& w, const Inst& i) {
    lanes<uint32_t, uint64_t>(w, i, [](uint64_t a) { return std::popcount(a); });
  });
  row("clz.b32 d:u32, a", 50, [](Warp& w, const Inst& i) {
    lanes<uint32_t, uint32_t>(w, i, [](uint32_t a) { return std::countl_zero(a); });
  });
  row("clz.b64 d:u32, a", 50, [](Warp& w, const Inst& i) {
    lanes<uint32_t, uint64_t>(w, i, [](uint64_t a) { return std::countl_zero(a); });
  });
  row("brev.b32 d, a", 50,
      [](Warp& w, const Inst& i) { lanes<uint32_t, uint32_t>(w, i, reverse_bits<uint32_t>); });
  row("brev.b64 d, a", 50,
      [](Warp& w, const Inst& i) { lanes<uint64_t, uint64_t>(w, i, reverse_bits<uint64_t>); });
  typed_rows<uint32_t, uint64_t, int32_t, int64_t>(
      rows, "bfind{.shiftamt}.%t d:u32, a", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) {
          const bool amount = chosen(i, 0);
          lanes<uint32_t, T>(w, i, [=](T a) { return find_leading(a, amount); });
        };
      });
  typed_rows<uint32_t, uint64_t, int32_t, int64_t>(
      rows, "bfe.%t d, a, b:u32, c:u32", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { lanes<T, T, uint32_t, uint32_t>(w, i, extract<T>); };
      });
  row("bfi.b32 d, a, b, c:u32, e:u32", 50, [](Warp& w, const Inst& i) {
    lanes<uint32_t, uint32_t, uint32_t, uint32_t, uint32_t>(w, i, insert<uint32_t>);
  });
  row("bfi.b64 d, a, b, c:u32, e:u32", 50, [](Warp& w, const Inst& i) {
    lanes<uint64_t, uint64_t, uint64_t, uint32_t, uint32_t>(w, i, insert<uint64_t>);
  });
  row("fns.b32 d, mask, base, offset:s32", 50,
      [](Warp& w, const Inst& i) { lanes<uint32_t, uint32_t, uint32_t, int32_t>(w, i, find_nth); });
  typed_rows<uint32_t, int32_t>(
      rows, "szext.{clamp,wrap}.%t d, a, b:u32", {70}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) {
          const bool clamp = i.choice[0] == 0;
          lanes<T, T, uint32_t>(w, i, [=](T a, uint32_t n) { return extend(a, n, clamp); });
        };
      });
  row("bmsk.{clamp,wrap}.b32 d, a, b", 70, [](Warp& w, const Inst& i) {
    const bool clamp = i.choice[0] == 0;
    lanes<uint32_t, uint32_t, uint32_t>(
        w, i, [=](uint32_t a, uint32_t b) { return field_mask(a, b, clamp); });
  });
}

}  // namespace nibble::emulator
