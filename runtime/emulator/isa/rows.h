// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How ops/ files write bodies and rows: lanes() runs a pure function over the active lanes,
// typed_rows() makes one row for each type of a list.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

// d = f(sources...) for every active lane. Arg 0 is d, args 1.. are the sources, read as the types
// given. f must be defined for all bit patterns. Sources may be the destination.
// Always inlined, so that a function passed by pointer is seen and the loop vectorises.
template <class D, class... S, class F>
[[gnu::always_inline]] inline void lanes(Warp& warp, const Inst& inst, F f) {
  [&]<size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    D* d = warp.reg<D>(inst.arg[0]);
    const uint32_t active = warp.active;
    if (active == kAllLanes) {
      alignas(64) D result[kWarpSize];  // apart from the sources, so that the loop vectorises
      for (int lane = 0; lane < kWarpSize; ++lane) {
        result[lane] = f(warp.reg<const S>(inst.arg[I + 1])[lane]...);
      }
      std::memcpy(d, result, sizeof result);
    } else {
      for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
        const int lane = std::countr_zero(rest);
        d[lane] = f(warp.reg<const S>(inst.arg[I + 1])[lane]...);
      }
    }
  }
  (std::index_sequence_for<S...>{});
}

// The manual's name of a C++ type, for rows: uint32_t is "u32".
template <class T>
constexpr std::string_view type_name();
template <>
constexpr std::string_view type_name<uint8_t>() {
  return "u8";
}
template <>
constexpr std::string_view type_name<uint16_t>() {
  return "u16";
}
template <>
constexpr std::string_view type_name<uint32_t>() {
  return "u32";
}
template <>
constexpr std::string_view type_name<uint64_t>() {
  return "u64";
}
template <>
constexpr std::string_view type_name<int8_t>() {
  return "s8";
}
template <>
constexpr std::string_view type_name<int16_t>() {
  return "s16";
}
template <>
constexpr std::string_view type_name<int32_t>() {
  return "s32";
}
template <>
constexpr std::string_view type_name<int64_t>() {
  return "s64";
}
template <>
constexpr std::string_view type_name<float>() {
  return "f32";
}
template <>
constexpr std::string_view type_name<double>() {
  return "f64";
}

// One row for each type T: every "%t" of the spelling becomes the type's name, and the body is
// body.template operator()<T>(), a lambda returning a Body:
//   typed_rows<uint16_t, uint32_t>(rows, "add.%t d, a, b", {}, []<class T>() -> Body { ... });
template <class... T, class MakeBody>
void typed_rows(Rows& rows, std::string_view spelling, Requires target, MakeBody body) {
  auto spelled = [&](std::string_view type) {
    std::string text(spelling);
    for (size_t at; (at = text.find("%t")) != std::string::npos;) text.replace(at, 2, type);
    return text;
  };
  (rows.push_back({spelled(type_name<T>()), target, body.template operator()<T>()}), ...);
}

}  // namespace nibble::emulator
