// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tensor_maps: what a driver library returns for every case. tensor_maps libcuda.so.1 > h200.txt
// on a card makes the record that the emulator is held to.
#include <cstdio>

#include "tests/emulator/tensor_maps/cases.h"

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: tensor_maps LIBRARY\n");
    return 2;
  }
  nibble::tensor_maps::Encoders encoders;
  const std::string wrong = encoders.open(words[1]);
  if (!wrong.empty()) {
    std::fprintf(stderr, "tensor_maps: %s\n", wrong.c_str());
    return 2;
  }
  for (const auto& test : nibble::tensor_maps::all_cases()) {
    std::printf("%s %d\n", test.name().c_str(), static_cast<int>(encoders.run(test)));
    std::fflush(stdout);  // a driver may crash in the next
  }
  return 0;
}
