// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator returns for every case what the recorded card's driver returned.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "tests/emulator/tensor_maps/cases.h"

namespace nibble::tensor_maps {
namespace {

TEST(TensorMaps, CasesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const Case& test : all_cases()) names.insert(test.name());
  EXPECT_GT(names.size(), 500u);
}

// Rules of the manual that the emulator keeps and the card does not: the map's own alignment, the
// swizzle of interleaved and of im2col::w maps.
bool breaks_unkept_rule(const std::string& name) {
  return name.find("misaligned=") != std::string::npos ||
         name.find("interleave=2") != std::string::npos || name.find("im2col_wide") == 0;
}

TEST(TensorMaps, ReturnWhatTheCardReturned) {
  std::ifstream file(std::string(NIBBLE_SOURCE_DIR) + "/tests/emulator/tensor_maps/h200.txt");
  if (!file) GTEST_SKIP() << "no record of a card";
  std::map<std::string, int> recorded;
  std::string name;
  for (int result = 0; file >> name >> result;) recorded[name] = result;
  setenv("NIBBLE_EMULATOR_QUIET", "1", 1);
  setenv("NIBBLE_EMULATOR_DEVICES", "sm_90a", 1);
  Encoders encoders;
  ASSERT_EQ(encoders.open(NIBBLE_EMULATOR_LIBRARY), "");
  for (const Case& test : all_cases()) {
    const auto found = recorded.find(test.name());
    ASSERT_NE(found, recorded.end()) << test.name();
    if (found->second == CUDA_SUCCESS && breaks_unkept_rule(test.name())) {
      continue;
    }
    EXPECT_EQ(static_cast<int>(encoders.run(test)), found->second) << test.name();
  }
}

}  // namespace
}  // namespace nibble::tensor_maps
