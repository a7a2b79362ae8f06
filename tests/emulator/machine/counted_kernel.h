// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A kernel's counters, for the tests of counters.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "runtime/emulator/machine/counter_table.h"
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {

struct Plan {
  std::string body, before;
  Dim3 grid{1, 1, 1}, block{32, 1, 1}, cluster{1, 1, 1};
  std::string target = "sm_90a";
  std::vector<uint32_t> input = std::vector<uint32_t>(4096);
  uint32_t threads = 1;
  uint64_t seed = 0;
};

// Runs once: %rd1 is the input, %rd2 64 KiB of output.
inline KernelSummary count(const Plan& plan) {
  Settings settings;
  settings.counters = true;
  settings.threads = plan.threads;
  settings.seed = plan.seed;
  Machine machine(plan.target, settings);
  CounterTable::all().clear();
  EXPECT_TRUE(machine.load(kernel(plan.body, plan.before, plan.target))) << machine.error;
  if (machine.program == nullptr) return {};
  const uint64_t in = machine.buffer(plan.input);
  const uint64_t out = machine.buffer(std::vector<uint32_t>(16384));
  const auto fault = machine.run("test", plan.grid, plan.block, {in, out}, plan.cluster);
  EXPECT_FALSE(fault) << fault->report;
  const std::vector<KernelSummary> all = CounterTable::all().summaries();
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? KernelSummary{} : all.front();
}

template <class T>
T of(const std::array<T, kInstClasses>& counts, InstClass kind) {
  return counts[static_cast<size_t>(kind)];
}

}  // namespace nibble::emulator
