// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Extended-precision integer arithmetic: PTX ISA 9.7.2. The carry is a bit a lane of the warp.
#include "runtime/emulator/ops/integer.h"

namespace nibble::emulator {
namespace {

// x + y + carry_in, or x - y - borrow_in, of one lane.
struct Carried {
  uint64_t value;
  bool carry;
};
template <class U>
Carried add_with(U x, U y, bool carry_in) {
  const UInt128 sum = UInt128{x} + y + carry_in;
  return {static_cast<U>(sum), (sum >> 8 * sizeof(U)) != 0};
}
template <class U>
Carried subtract_with(U x, U y, bool borrow_in) {
  const UInt128 difference = UInt128{x} - y - borrow_in;
  return {static_cast<U>(difference), (difference >> 127) != 0};
}

// d = f(sources..., carry) of the active lanes. `reads`: takes CC.CF, else zero; `writes`: sets it.
template <class U, int source_count, class F>
void carried_lanes(Warp& warp, const Inst& inst, bool reads, bool writes, F f) {
  const uint32_t carry_in = reads ? warp.carry : 0;
  uint32_t carry_out = warp.carry & ~warp.active;
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    U source[source_count];
    for (int i = 0; i < source_count; ++i) source[i] = warp.reg<U>(inst.arg[i + 1])[lane];
    const Carried result = f(source, ((carry_in >> lane) & 1) != 0);
    warp.reg<U>(inst.arg[0])[lane] = static_cast<U>(result.value);
    carry_out |= static_cast<uint32_t>(result.carry) << lane;
  }
  if (writes) warp.carry = carry_out;
}

template <class U>
Carried add2(const U* s, bool carry) {
  return add_with<U>(s[0], s[1], carry);
}
template <class U>
Carried subtract2(const U* s, bool borrow) {
  return subtract_with<U>(s[0], s[1], borrow);
}
template <class T, bool high>
Carried multiply_add(const std::make_unsigned_t<T>* s, bool carry) {
  using U = std::make_unsigned_t<T>;
  const T a = static_cast<T>(s[0]);
  const T b = static_cast<T>(s[1]);
  const T product = high ? multiply_high(a, b) : multiply_low(a, b);
  return add_with<U>(static_cast<U>(product), s[2], carry);
}

template <class T>
void append_rows(Rows& rows) {
  using U = std::make_unsigned_t<T>;
  const std::string type(type_name<T>());
  auto row = [&](std::string spelling, Body body) {
    rows.push_back({std::move(spelling), {}, body});
  };
  row("add.cc." + type + " d, a, b",
      [](Warp& w, const Inst& i) { carried_lanes<U, 2>(w, i, false, true, add2<U>); });
  row("addc{.cc}." + type + " d, a, b",
      [](Warp& w, const Inst& i) { carried_lanes<U, 2>(w, i, true, chosen(i, 0), add2<U>); });
  row("sub.cc." + type + " d, a, b",
      [](Warp& w, const Inst& i) { carried_lanes<U, 2>(w, i, false, true, subtract2<U>); });
  row("subc{.cc}." + type + " d, a, b",
      [](Warp& w, const Inst& i) { carried_lanes<U, 2>(w, i, true, chosen(i, 0), subtract2<U>); });
  row("mad.lo.cc." + type + " d, a, b, c", [](Warp& w, const Inst& i) {
    carried_lanes<U, 3>(w, i, false, true, multiply_add<T, false>);
  });
  row("mad.hi.cc." + type + " d, a, b, c", [](Warp& w, const Inst& i) {
    carried_lanes<U, 3>(w, i, false, true, multiply_add<T, true>);
  });
  row("madc.lo{.cc}." + type + " d, a, b, c", [](Warp& w, const Inst& i) {
    carried_lanes<U, 3>(w, i, true, chosen(i, 1), multiply_add<T, false>);
  });
  row("madc.hi{.cc}." + type + " d, a, b, c", [](Warp& w, const Inst& i) {
    carried_lanes<U, 3>(w, i, true, chosen(i, 1), multiply_add<T, true>);
  });
}

}  // namespace

void append_carry_rows(Rows& rows) {
  append_rows<uint32_t>(rows);
  append_rows<int32_t>(rows);
  append_rows<uint64_t>(rows);
  append_rows<int64_t>(rows);
}

}  // namespace nibble::emulator
