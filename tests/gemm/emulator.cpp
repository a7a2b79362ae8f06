// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/gemm/emulator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace nibble::test {

namespace {

// Before the emulator is loaded. What is set stays.
class EmulatorSettings : public testing::Environment {
 public:
  void SetUp() override {
    setenv("NIBBLE_EMULATOR_CHECK", "order,tensor-fences,tensor-waits,uninitialized", 0);
    setenv("NIBBLE_EMULATOR_MULTIPROCESSORS", "8", 0);
    setenv("NIBBLE_EMULATOR_SEED", "1", 0);
    setenv("NIBBLE_EMULATOR_SEEDS", "2", 0);
  }
};
const auto* const kSettings = testing::AddGlobalTestEnvironment(new EmulatorSettings);

}  // namespace

Context& emulated_context(const char* device) {
  static auto& contexts = *new std::map<std::string, Result<Context>>;
  auto found = contexts.find(device);
  if (found == contexts.end()) {
    Options options = Options::from_environment();
    options.device = device;
    found = contexts.emplace(device, Context::create(options)).first;
  }
  EXPECT_TRUE(found->second.ok()) << found->second.status().to_string();
  return found->second.value();
}

}  // namespace nibble::test
