// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and byte permutation: PTX ISA 9.7.8 and prmt.
#include <array>

#include "runtime/emulator/ops/integer.h"

namespace nibble::emulator {
namespace {

// One row for each untyped width and one for predicates.
template <class F>
void append_logic(Rows& rows, const std::string& opcode, F) {
  auto body = []<class U>() -> Body {
    return [](Warp& w, const Inst& i) {
      lanes<U, U, U>(w, i, [](U a, U b) { return static_cast<U>(F{}(a, b)); });
    };
  };
  rows.push_back({opcode + ".b16 d, a, b", {}, body.template operator()<uint16_t>()});
  rows.push_back({opcode + ".b32 d, a, b", {}, body.template operator()<uint32_t>()});
  rows.push_back({opcode + ".b64 d, a, b", {}, body.template operator()<uint64_t>()});
  rows.push_back({opcode + ".pred p:pred, a:pred, b:pred", {}, [](Warp& w, const Inst& i) {
                    w.set_predicate(i.arg[0], F{}(w.predicate(i.arg[1]), w.predicate(i.arg[2])));
                  }});
}

template <class F>
void append_unary(Rows& rows, const std::string& opcode, F) {
  auto body = []<class U>() -> Body {
    return [](Warp& w, const Inst& i) {
      lanes<U, U>(w, i, [](U a) { return static_cast<U>(F{}(a)); });
    };
  };
  rows.push_back({opcode + ".b16 d, a", {}, body.template operator()<uint16_t>()});
  rows.push_back({opcode + ".b32 d, a", {}, body.template operator()<uint32_t>()});
  rows.push_back({opcode + ".b64 d, a", {}, body.template operator()<uint64_t>()});
}

// Shift amounts beyond the width give zeros, or copies of the sign.
template <class T>
T shift_left(T a, uint32_t b) {
  using Wide =
      std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;  // no wider: vectors are full
  const Wide shifted = Wide{a} << (b & (8 * sizeof(Wide) - 1));
  return select(b < 8 * sizeof(T), static_cast<T>(shifted), T{0});
}
template <class T>
T shift_right(T a, uint32_t b) {
  constexpr uint32_t kTop = 8 * sizeof(T) - 1;
  const T shifted = static_cast<T>(a >> std::min(b, kTop));
  if constexpr (std::is_signed_v<T>) return shifted;
  return select(b <= kTop, shifted, T{0});
}

// The upper (left) or lower (right) word of {b, a} shifted by c: modulo 32, or clamped to 32.
uint32_t funnel(uint32_t a, uint32_t b, uint32_t c, bool left, bool clamp) {
  const uint32_t n = c & 31;
  const uint32_t shifted =
      left ? b << n | a >> 1 >> (31 - n) : a >> n | b << 1 << (31 - n);  // the other's by 32 - n
  return select(clamp && c >= 32, left ? a : b, shifted);
}

// A table of eight bits, that of a = 4, b = 2, c = 1 summed, as the exclusive or of products of a,
// b and c: bit i of `terms` says whether the product of i's letters is among them.
class Lookup {
 public:
  explicit Lookup(uint32_t table) {
    uint32_t terms = table;
    terms ^= (terms & 0x55) << 1;
    terms ^= (terms & 0x33) << 2;
    terms ^= (terms & 0x0F) << 4;
    for (int i = 0; i < 8; ++i) term_[i] = 0 - ((terms >> i) & 1);
  }
  uint32_t operator()(uint32_t a, uint32_t b, uint32_t c) const {
    const uint32_t with_a = (((term_[7] & c) ^ term_[6]) & b) ^ (term_[5] & c) ^ term_[4];
    const uint32_t without_a = (((term_[3] & c) ^ term_[2]) & b) ^ (term_[1] & c) ^ term_[0];
    return (with_a & a) ^ without_a;
  }

 private:
  uint32_t term_[8];  // all ones or zero
};
void lookup_lanes(Warp& warp, const Inst& inst, const Arg& d, int first, uint32_t* result) {
  const uint32_t* a = warp.reg<const uint32_t>(inst.arg[first]);
  const uint32_t* b = warp.reg<const uint32_t>(inst.arg[first + 1]);
  const uint32_t* c = warp.reg<const uint32_t>(inst.arg[first + 2]);
  const Lookup lookup(warp.reg<const uint32_t>(inst.arg[first + 3])[0]);
  for (int lane = 0; lane < kWarpSize; ++lane) result[lane] = lookup(a[lane], b[lane], c[lane]);
  if (d.offset == kNoArg) return;
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    warp.reg<uint32_t>(d)[lane] = result[lane];
  }
}

// The source byte of each destination byte, a nibble each from the lowest, by the two low bits of
// the selector.
constexpr std::array<std::array<uint32_t, 4>, 6> kPermuteModes = {{
    {0x3210, 0x4321, 0x5432, 0x6543},  // .f4e
    {0x5670, 0x6701, 0x7012, 0x0123},  // .b4e
    {0x0000, 0x1111, 0x2222, 0x3333},  // .rc8
    {0x3210, 0x3211, 0x3222, 0x3333},  // .ecl
    {0x0000, 0x1110, 0x2210, 0x3210},  // .ecr
    {0x1010, 0x3232, 0x1010, 0x3232},  // .rc16
}};
uint32_t permute(uint32_t a, uint32_t b, uint32_t selectors) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t selector = selectors >> (4 * i);
    const auto byte = static_cast<uint8_t>(bytes >> (8 * (selector & 7)));
    const uint32_t sign = 0xFFu * (byte >> 7);
    result |= ((selector & 8) != 0 ? sign : byte) << (8 * i);
  }
  return result;
}

void append_shift_rows(Rows& rows) {
  auto left = []<class T>() -> Body {
    return [](Warp& w, const Inst& i) { lanes<T, T, uint32_t>(w, i, shift_left<T>); };
  };
  rows.push_back({"shl.b16 d, a, b:u32", {}, left.operator()<uint16_t>()});
  rows.push_back({"shl.b32 d, a, b:u32", {}, left.operator()<uint32_t>()});
  rows.push_back({"shl.b64 d, a, b:u32", {}, left.operator()<uint64_t>()});
  auto right = []<class T>() -> Body {
    return [](Warp& w, const Inst& i) { lanes<T, T, uint32_t>(w, i, shift_right<T>); };
  };
  rows.push_back({"shr.{b16,u16} d, a, b:u32", {}, right.operator()<uint16_t>()});
  rows.push_back({"shr.{b32,u32} d, a, b:u32", {}, right.operator()<uint32_t>()});
  rows.push_back({"shr.{b64,u64} d, a, b:u32", {}, right.operator()<uint64_t>()});
  typed_rows<int16_t, int32_t, int64_t>(rows, "shr.%t d, a, b:u32", {}, right);
  rows.push_back({"shf.{l,r}.{clamp,wrap}.b32 d, a, b, c:u32", {}, [](Warp& w, const Inst& i) {
                    with_flag(i.choice[0] == 0, [&](auto is_left) {
                      with_flag(i.choice[1] == 0, [&](auto clamps) {
                        lanes<uint32_t, uint32_t, uint32_t, uint32_t>(
                            w, i, [](uint32_t a, uint32_t b, uint32_t c) {
                              return funnel(a, b, c, decltype(is_left)::value,
                                            decltype(clamps)::value);
                            });
                      });
                    });
                  }});
}

}  // namespace

void append_logic_rows(Rows& rows) {
  append_logic(rows, "and", [](auto a, auto b) { return a & b; });
  append_logic(rows, "or", [](auto a, auto b) { return a | b; });
  append_logic(rows, "xor", [](auto a, auto b) { return a ^ b; });
  append_unary(rows, "not", [](auto a) { return ~a; });
  append_unary(rows, "cnot", [](auto a) { return a == 0 ? 1 : 0; });
  rows.push_back({"not.pred p:pred, a:pred", {}, [](Warp& w, const Inst& i) {
                    w.set_predicate(i.arg[0], ~w.predicate(i.arg[1]));
                  }});
  append_shift_rows(rows);
  rows.push_back({"lop3.b32 d, a, b, c, immLut", {}, [](Warp& w, const Inst& i) {
                    const Lookup lookup(w.reg<const uint32_t>(i.arg[4])[0]);
                    lanes<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, lookup);
                  }});
  rows.push_back(
      {"lop3.{or,and}.b32 d|p:pred, a, b, c, immLut, q:pred", {70}, [](Warp& w, const Inst& i) {
         uint32_t result[kWarpSize];
         const uint32_t q = w.predicate(i.arg[6]);
         lookup_lanes(w, i, i.arg[0], 2, result);
         const uint32_t nonzero = mask_of_lanes([&](int lane) { return result[lane] != 0; });
         w.set_predicate(i.arg[1], i.choice[0] == 0 ? nonzero | q : nonzero & q);
       }});
  rows.push_back(
      {"prmt.b32{.f4e,.b4e,.rc8,.ecl,.ecr,.rc16} d, a, b, c", {}, [](Warp& w, const Inst& i) {
         if (!chosen(i, 1)) {
           return lanes<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, permute);
         }
         const auto& mode = kPermuteModes[i.choice[1]];
         lanes<uint32_t, uint32_t, uint32_t, uint32_t>(
             w, i, [&](uint32_t a, uint32_t b, uint32_t c) { return permute(a, b, mode[c & 3]); });
       }});
}

}  // namespace nibble::emulator
