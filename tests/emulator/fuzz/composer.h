// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Small kernels out of the instruction table: rows drawn at random, spelled with operands of the
// kinds and the types that they take, most of the time.
#pragma once

#include <string>
#include <vector>

#include "runtime/emulator/isa/pattern.h"
#include "tests/emulator/fuzz/random.h"

namespace nibble::fuzz {

class Composer {
 public:
  Composer();

  // A module with one kernel `kernel(u64 a, u64 b, 128-byte m)` of a few instructions.
  std::string compose(Random& random) const;

 private:
  std::string statement(const std::string& target, Random& random) const;

  std::vector<emulator::Pattern> patterns_;
};

}  // namespace nibble::fuzz
