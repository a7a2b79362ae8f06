// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Damages text: bytes, words, numbers, lines; pieces of other texts; nesting and repetition.
#pragma once

#include <string>
#include <vector>

#include "tests/emulator/fuzz/random.h"

namespace nibble::fuzz {

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  // One seed, or the shortest of several drawn: short inputs are more inputs.
  const std::string& seed(Random& random) const;
  // `text` after one to four changes.
  std::string mutate(std::string text, Random& random) const;

 private:
  void change(std::string& text, Random& random) const;
  void change_word(std::string& text, Random& random) const;
  void change_line(std::string& text, Random& random) const;
  void splice(std::string& text, Random& random) const;

  const std::vector<std::string>& seeds_;
};

}  // namespace nibble::fuzz
