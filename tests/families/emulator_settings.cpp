// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Small matrices fill some of the emulated GPUs and leave others idle: there are defaults of the
// families for either.
#include <gtest/gtest.h>

#include <cstdlib>

namespace nibble::test {
namespace {

// Before the emulator is loaded. What is set stays.
class EmulatorSettings : public testing::Environment {
 public:
  void SetUp() override {
    setenv("NIBBLE_EMULATOR_DEVICES", "sm_100a,sm_103a,sm_90a,sm_120a", 0);
    setenv("NIBBLE_EMULATOR_MULTIPROCESSORS", "0,1,1,0", 0);
  }
};
const auto* const kSettings = testing::AddGlobalTestEnvironment(new EmulatorSettings);

}  // namespace
}  // namespace nibble::test
