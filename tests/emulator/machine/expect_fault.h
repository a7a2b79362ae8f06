// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

// `run.fault` is of the kind, its report has all words.
template <class Outcome>
void expect_fault(const Outcome& run, Fault::Kind kind, const std::vector<std::string>& words) {
  ASSERT_TRUE(run.fault.has_value());
  EXPECT_EQ(run.fault->kind, kind) << run.fault->report;
  for (const std::string& word : words) {
    EXPECT_NE(run.fault->report.find(word), std::string::npos) << "lacks '" << word << "':\n"
                                                               << run.fault->report;
  }
}

}  // namespace nibble::emulator
