// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The unit of execution: 32 lanes that execute one decoded instruction at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

constexpr int kWarpSize = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

class Block;

class Warp {
 public:
  // Lanes that execute the current instruction: the running fragment's lanes under its guard.
  uint32_t active = 0;
  // The condition code CC.CF of add.cc and its kin, a bit a lane.
  uint32_t carry = 0;

  // The 32-lane array behind an operand. T's size must be the register's or (for wider registers)
  // the caller widens by arg.width.
  template <class T>
  T* reg(const Arg& arg) {
    return reinterpret_cast<T*>(frame_ + arg.offset);
  }

  // The 32-bit lane mask behind a predicate operand, negation applied.
  uint32_t predicate(const Arg& arg) const {
    const uint32_t mask = *reinterpret_cast<const uint32_t*>(frame_ + arg.offset);
    return arg.negated ? ~mask : mask;
  }
  // Sets the active lanes of a predicate; kNoArg (the sink) is ignored.
  void set_predicate(const Arg& arg, uint32_t mask) {
    if (arg.offset == kNoArg) return;
    auto* bits = reinterpret_cast<uint32_t*>(frame_ + arg.offset);
    *bits = (*bits & ~active) | (mask & active);
  }

 private:
  std::byte* frame_ = nullptr;
};

}  // namespace nibble::emulator
