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
    EXPECT_EQ(static_cast<int>(encoders.run(test)), found->second) << test.name();
  }
}

}  // namespace
}  // namespace nibble::tensor_maps
