// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A launch that is run with many seeds.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

// Two warps write their numbers to one word; `after` is done with it by all threads.
std::string race_of_two(const std::string& after) {
  return ".version 8.0\n.target sm_90a\n.address_size 64\n"
         ".visible .entry test(.param .u64 out) {\n"
         ".reg .u32 %r<4>; .reg .u64 %d<2>; .shared .b32 word;\n"
         "mov.u32 %r0, %tid.x; shr.u32 %r1, %r0, 5;\n"
         "st.shared.u32 [word], %r1;\n"
         "bar.sync 0;\n" +
         after + "ret;\n}\n";
}

const char* const kStore =
    "ld.shared.u32 %r2, [word]; ld.param.u64 %d0, [out]; st.global.u32 [%d0], %r2;\n";

std::vector<std::string>& reports() {
  static std::vector<std::string> all;
  return all;
}

std::optional<Fault> run_seeds(const std::string& text, bool is_fault) {
  Settings settings;
  settings.threads = 1;
  settings.seed = 5;
  settings.seeds = 40;
  if (!is_fault) settings.report = [](const std::string& report) { reports().push_back(report); };
  settings.check_order = !is_fault;
  reports().clear();
  Machine machine("sm_90a", settings);
  EXPECT_TRUE(machine.load(text)) << machine.error;
  return machine.run("test", {1, 1, 1}, {64, 1, 1}, {machine.buffer<uint32_t>({7})});
}

TEST(Seeds, APairOfInstructionsIsReportedOnceWithItsSeed) {
  EXPECT_FALSE(run_seeds(race_of_two(""), false).has_value());
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_NE(reports()[0].find("race: writes shared memory"), std::string::npos) << reports()[0];
  EXPECT_NE(reports()[0].find("\n  seed: 5"), std::string::npos) << reports()[0];
}

TEST(Seeds, ResultsThatDifferAreReported) {
  EXPECT_FALSE(run_seeds(race_of_two(kStore), false).has_value());
  ASSERT_EQ(reports().size(), 2u);
  EXPECT_NE(reports()[1].find("differs between the seeds 5 and "), std::string::npos)
      << reports()[1];
}

TEST(Seeds, ResultsThatDifferAreAFaultWhereFindingsAre) {
  const std::optional<Fault> fault = run_seeds(race_of_two(kStore), true);
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->kind, Fault::Kind::kRace);
  EXPECT_NE(fault->report.find("depends on the order"), std::string::npos) << fault->report;
}

}  // namespace
}  // namespace nibble::emulator
