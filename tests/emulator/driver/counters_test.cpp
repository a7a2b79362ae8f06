// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The functions that programs find in the library to count launches.
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/emulator/driver/counters.h"
#include "tests/emulator/driver/library.h"

namespace nibble::test {
namespace {

template <class Function>
Function* find(const char* name, Function*) {
  return reinterpret_cast<Function*>(dlsym(library(), name));
}

class CountersTest : public DriverTest {
 protected:
  void run_add(unsigned blocks) {
    CUdeviceptr words = allocate(4096);
    unsigned n = blocks * 32;
    void* parameters[] = {&words, &words, &words, &n};
    ASSERT_EQ(launch(function("add"), blocks, 32, parameters), CUDA_SUCCESS);
    ASSERT_EQ(synchronize(), CUDA_SUCCESS);
  }
};

TEST_F(CountersTest, EnabledForSomeLaunches) {
  auto* const enable = find("nibble_emulator_counters_enable", &nibble_emulator_counters_enable);
  auto* const reset = find("nibble_emulator_counters_reset", &nibble_emulator_counters_reset);
  auto* const json = find("nibble_emulator_counters_json", &nibble_emulator_counters_json);
  ASSERT_TRUE(enable != nullptr && reset != nullptr && json != nullptr);
  const auto read = [&] {
    std::vector<char> text(json(nullptr, 0) + 1);
    EXPECT_EQ(json(text.data(), text.size()), text.size() - 1);
    return nlohmann::json::parse(text.data());
  };
  reset();
  run_add(1);
  EXPECT_TRUE(read()["kernels"].empty());
  enable(1);
  run_add(2);
  run_add(3);
  enable(0);
  run_add(4);
  const nlohmann::json counted = read()["kernels"];
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_EQ(counted[0]["launches"], 2);
  EXPECT_EQ(counted[0]["blocks"], 5);
  EXPECT_EQ(counted[0]["warp_instructions"], 5 * 19);
  EXPECT_EQ(counted[0]["instructions"]["store global"], 5);
  char few[8];
  json(few, sizeof few);
  EXPECT_EQ(std::string(few), "{\"schem");
  reset();
  EXPECT_TRUE(read()["kernels"].empty());
}

}  // namespace
}  // namespace nibble::test
