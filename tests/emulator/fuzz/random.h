// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A generator whose draws depend on the seed and the input's number alone, on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace nibble::fuzz {

class Random {
 public:
  Random(uint64_t seed, uint64_t input) : state_(seed * 0x9E3779B97F4A7C15u ^ (input << 20)) {
    next();
  }

  uint64_t next() {  // splitmix64
    uint64_t value = state_ += 0x9E3779B97F4A7C15u;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
  }
  // 0 to count - 1; 0 for a count of 0.
  size_t below(size_t count) { return count == 0 ? 0 : next() % count; }
  bool one_in(size_t count) { return below(count) == 0; }
  template <class List>
  auto& pick(List& list) {
    return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
  }

  // Numbers at which code decides: small, powers of two and their neighbours, the ends, any.
  uint64_t number() {
    switch (below(6)) {
      case 0:
        return below(20);
      case 1:
        return (uint64_t{1} << below(64)) - 1 + below(3);
      case 2:
        return 0 - (uint64_t{1} << below(64)) + below(3);
      case 3:
        return 16 * below(300);
      case 4:
        return next() >> below(64);
      default:
        return below(1000);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace nibble::fuzz
