// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The loop of conversions, whose registers may be wider than the types converted.
#pragma once

#include "runtime/emulator/ops/arithmetic.h"

namespace nibble::emulator {

void append_packed_conversions(Rows& rows);

// Lane `lane` of a register of arg.width bytes, its low bytes as a T.
template <class T>
T load_lane(Warp& warp, const Arg& arg, int lane) {
  T value;
  std::memcpy(&value, warp.reg<const std::byte>(arg) + size_t{arg.width} * lane, sizeof value);
  return value;
}

// Extended to the register: by the sign of a signed integer, else by zeros.
template <class T>
void store_lane(Warp& warp, const Arg& arg, int lane, T value) {
  std::byte* at = warp.reg<std::byte>(arg) + size_t{arg.width} * lane;
  uint64_t bits = 0;
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    bits = static_cast<uint64_t>(int64_t{value});
  } else {
    std::memcpy(&bits, &value, sizeof value);
  }
  std::memcpy(at, &bits, std::min<size_t>(arg.width, sizeof bits));
}

// d = f(sources...) for every active lane, registers of any width not below the types'.
template <class D, class... S, class F>
void lane_by_lane(Warp& warp, const Inst& inst, F f) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      store_lane<D>(warp, inst.arg[0], lane, f(load_lane<S>(warp, inst.arg[I + 1], lane)...));
    }
  }
  (std::index_sequence_for<S...>{});
}

// Whether no register is wider than its type.
template <class D, class... S>
bool fits(const Inst& inst) {
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return inst.arg[0].width == sizeof(D) && ((inst.arg[I + 1].width == sizeof(S)) && ...);
  }
  (std::index_sequence_for<S...>{});
}

// The same as lane_by_lane(), through lanes() where the registers fit.
template <class D, class... S, class F>
void converted(Warp& warp, const Inst& inst, F f) {
  if (fits<D, S...>(inst)) {
    lanes<D, S...>(warp, inst, f);
  } else {
    lane_by_lane<D, S...>(warp, inst, f);
  }
}

}  // namespace nibble::emulator
