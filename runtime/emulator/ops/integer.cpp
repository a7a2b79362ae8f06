// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic: PTX ISA 9.7.1. Carries are in carry.cpp, bit fields in bit_field.cpp.
#include <limits>

#include "runtime/emulator/ops/integer.h"

namespace nibble::emulator {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
T wrap_add(T a, T b) {
  return static_cast<T>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b));
}
template <class T>
T wrap_sub(T a, T b) {
  return static_cast<T>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b));
}
int32_t clamp32(int64_t x) {
  return static_cast<int32_t>(std::clamp<int64_t>(x, std::numeric_limits<int32_t>::min(),
                                                  std::numeric_limits<int32_t>::max()));
}

// By zero: quotient and remainder have all bits set, as GPUs give.
template <class T>
T divide(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return wrap_sub(T{0}, a);
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
  return static_cast<T>(a % b);
}

// The low 24 bits of a and b, multiplied: 48 bits.
template <class T>
int64_t product24(T a, T b) {
  constexpr int kUnused = 8;
  const int64_t x = static_cast<T>(static_cast<uint32_t>(a) << kUnused) >> kUnused;
  const int64_t y = static_cast<T>(static_cast<uint32_t>(b) << kUnused) >> kUnused;
  return x * y;
}
template <class T>
T low24(T a, T b) {
  return static_cast<T>(product24(a, b));
}
template <class T>
T high24(T a, T b) {
  return static_cast<T>(product24(a, b) >> 16);
}

// Element `i` of a packed word, from the lowest, of type T.
template <class T>
int32_t packed(uint32_t word, int i) {
  return static_cast<T>(word >> (i * 8 * static_cast<int>(sizeof(T))));
}

// Sum of four products of bytes, and of two products of a half and a byte, plus c.
template <class A, class B>
uint32_t dot4(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; ++i) c += static_cast<uint32_t>(packed<A>(a, i) * packed<B>(b, i));
  return c;
}
template <class A, class B>
uint32_t dot2(uint32_t a, uint32_t b, uint32_t c, int first) {
  for (int i = 0; i < 2; ++i) {
    c += static_cast<uint32_t>(packed<A>(a, i) * packed<B>(b, first + i));
  }
  return c;
}

template <class T>
Body add_body() {
  return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, wrap_add<T>); };
}
template <class T>
Body sub_body() {
  return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, wrap_sub<T>); };
}

void append_sum_rows(Rows& rows) {
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int64_t>(
      rows, "add.%t d, a, b", {}, []<class T>() { return add_body<T>(); });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int64_t>(
      rows, "sub.%t d, a, b", {}, []<class T>() { return sub_body<T>(); });
  rows.push_back({"add{.sat}.s32 d, a, b", {}, [](Warp& w, const Inst& i) {
                    if (i.choice[0] == kAbsent) return add_body<int32_t>()(w, i);
                    lanes<int32_t, int32_t, int32_t>(
                        w, i, [](int64_t a, int64_t b) { return clamp32(a + b); });
                  }});
  rows.push_back({"sub{.sat}.s32 d, a, b", {}, [](Warp& w, const Inst& i) {
                    if (i.choice[0] == kAbsent) return sub_body<int32_t>()(w, i);
                    lanes<int32_t, int32_t, int32_t>(
                        w, i, [](int64_t a, int64_t b) { return clamp32(a - b); });
                  }});
  rows.push_back({"add.{u16x2,s16x2} d:b32, a:b32, b:b32", {90}, [](Warp& w, const Inst& i) {
                    elements<2, uint16_t, uint16_t, uint16_t>(w, i, wrap_add<uint16_t>);
                  }});
}

void append_product_rows(Rows& rows) {
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "mul.lo.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, multiply_low<T>); };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "mul.hi.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, multiply_high<T>); };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "mad.lo.%t d, a, b, c", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) {
          lanes<T, T, T, T>(w, i, [](T a, T b, T c) { return wrap_add(multiply_low(a, b), c); });
        };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "mad.hi.%t d, a, b, c", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) {
          lanes<T, T, T, T>(w, i, [](T a, T b, T c) { return wrap_add(multiply_high(a, b), c); });
        };
      });
  rows.push_back({"mad.hi.sat.s32 d, a, b, c", {}, [](Warp& w, const Inst& i) {
                    lanes<int32_t, int32_t, int32_t, int32_t>(
                        w, i, [](int32_t a, int32_t b, int32_t c) {
                          return clamp32(int64_t{multiply_high(a, b)} + c);
                        });
                  }});
}

template <class W, class T>
void append_wide_rows(Rows& rows) {
  const std::string narrow(type_name<T>());
  const std::string wide(type_name<W>());
  rows.push_back({"mul.wide." + narrow + " d:" + wide + ", a, b", {}, [](Warp& w, const Inst& i) {
                    lanes<W, T, T>(w, i, [](T a, T b) {
                      return static_cast<W>(static_cast<W>(a) * static_cast<W>(b));
                    });
                  }});
  rows.push_back(
      {"mad.wide." + narrow + " d:" + wide + ", a, b, c:" + wide, {}, [](Warp& w, const Inst& i) {
         lanes<W, T, T, W>(w, i, [](T a, T b, W c) {
           return wrap_add(static_cast<W>(static_cast<W>(a) * static_cast<W>(b)), c);
         });
       }});
}

void append_24_bit_rows(Rows& rows) {
  typed_rows<uint32_t, int32_t>(rows, "mul24.{hi,lo}.%t d, a, b", {}, []<class T>() -> Body {
    return [](Warp& w, const Inst& i) {
      lanes<T, T, T>(w, i, i.choice[0] == 0 ? high24<T> : low24<T>);
    };
  });
  typed_rows<uint32_t, int32_t>(rows, "mad24.{hi,lo}.%t d, a, b, c", {}, []<class T>() -> Body {
    return [](Warp& w, const Inst& i) {
      const auto product = i.choice[0] == 0 ? high24<T> : low24<T>;
      lanes<T, T, T, T>(w, i, [=](T a, T b, T c) { return wrap_add(product(a, b), c); });
    };
  });
  rows.push_back({"mad24.hi.sat.s32 d, a, b, c", {}, [](Warp& w, const Inst& i) {
                    lanes<int32_t, int32_t, int32_t, int32_t>(
                        w, i, [](int32_t a, int32_t b, int32_t c) {
                          return clamp32(int64_t{high24(a, b)} + c);
                        });
                  }});
}

void append_quotient_rows(Rows& rows) {
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "div.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, divide<T>); };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "rem.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, remainder<T>); };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "sad.%t d, a, b, c", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) {
          lanes<T, T, T, T>(w, i, [](T a, T b, T c) {
            return wrap_add(c, a < b ? wrap_sub(b, a) : wrap_sub(a, b));
          });
        };
      });
}

// min and max: `relu` then clamps to zero from below.
template <int n, class T>
void minimum(Warp& w, const Inst& i, T least) {
  elements<n, T, T, T>(w, i, [=](T a, T b) { return std::max(std::min(a, b), least); });
}
template <int n, class T>
void maximum(Warp& w, const Inst& i, T least) {
  elements<n, T, T, T>(w, i, [=](T a, T b) { return std::max(std::max(a, b), least); });
}
template <class T>
T least(const Inst& i) {  // of a row whose first group is {.relu}
  return i.choice[0] == 0 ? T{0} : std::numeric_limits<T>::min();
}

void append_order_rows(Rows& rows) {
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "min.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { minimum<1, T>(w, i, std::numeric_limits<T>::min()); };
      });
  typed_rows<uint16_t, uint32_t, uint64_t, int16_t, int32_t, int64_t>(
      rows, "max.%t d, a, b", {}, []<class T>() -> Body {
        return [](Warp& w, const Inst& i) { maximum<1, T>(w, i, std::numeric_limits<T>::min()); };
      });
  const Requires hopper{90};
  rows.insert(rows.end(),
              {{"min.relu.s32 d, a, b", hopper,
                [](Warp& w, const Inst& i) { minimum<1, int32_t>(w, i, 0); }},
               {"max.relu.s32 d, a, b", hopper,
                [](Warp& w, const Inst& i) { maximum<1, int32_t>(w, i, 0); }},
               {"min.u16x2 d:b32, a:b32, b:b32", hopper,
                [](Warp& w, const Inst& i) { minimum<2, uint16_t>(w, i, 0); }},
               {"max.u16x2 d:b32, a:b32, b:b32", hopper,
                [](Warp& w, const Inst& i) { maximum<2, uint16_t>(w, i, 0); }},
               {"min{.relu}.s16x2 d:b32, a:b32, b:b32", hopper,
                [](Warp& w, const Inst& i) { minimum<2, int16_t>(w, i, least<int16_t>(i)); }},
               {"max{.relu}.s16x2 d:b32, a:b32, b:b32", hopper,
                [](Warp& w, const Inst& i) { maximum<2, int16_t>(w, i, least<int16_t>(i)); }}});
  typed_rows<int16_t, int32_t, int64_t>(rows, "abs.%t d, a", {}, []<class T>() -> Body {
    return [](Warp& w, const Inst& i) {
      lanes<T, T>(w, i, [](T a) { return a < 0 ? wrap_sub(T{0}, a) : a; });
    };
  });
  typed_rows<int16_t, int32_t, int64_t>(rows, "neg.%t d, a", {}, []<class T>() -> Body {
    return [](Warp& w, const Inst& i) { lanes<T, T>(w, i, [](T a) { return wrap_sub(T{0}, a); }); };
  });
}

template <class A, class B>
void append_dot_rows(Rows& rows, const std::string& types) {
  const std::string operands = types + " d:b32, a:b32, b:b32, c:b32";
  rows.push_back({"dp4a" + operands, {61}, [](Warp& w, const Inst& i) {
                    lanes<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, dot4<A, B>);
                  }});
  using Wide = std::conditional_t<std::is_signed_v<A>, int16_t, uint16_t>;
  rows.push_back({"dp2a.{lo,hi}" + operands, {61}, [](Warp& w, const Inst& i) {
                    const int first = i.choice[0] == 0 ? 0 : 2;
                    lanes<uint32_t, uint32_t, uint32_t, uint32_t>(
                        w, i, [=](uint32_t a, uint32_t b, uint32_t c) {
                          return dot2<Wide, B>(a, b, c, first);
                        });
                  }});
}

}  // namespace

void append_integer_rows(Rows& rows) {
  append_sum_rows(rows);
  append_product_rows(rows);
  append_wide_rows<uint32_t, uint16_t>(rows);
  append_wide_rows<uint64_t, uint32_t>(rows);
  append_wide_rows<int32_t, int16_t>(rows);
  append_wide_rows<int64_t, int32_t>(rows);
  append_24_bit_rows(rows);
  append_quotient_rows(rows);
  append_order_rows(rows);
  append_dot_rows<uint8_t, uint8_t>(rows, ".u32.u32");
  append_dot_rows<uint8_t, int8_t>(rows, ".u32.s32");
  append_dot_rows<int8_t, uint8_t>(rows, ".s32.u32");
  append_dot_rows<int8_t, int8_t>(rows, ".s32.s32");
  append_carry_rows(rows);
  append_bit_field_rows(rows);
}

}  // namespace nibble::emulator
