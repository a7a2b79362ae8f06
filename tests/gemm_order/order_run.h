// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One multiplication on the emulator in a process of its own, with every check of order on and the
// order of warps and of asynchronous work drawn from seeds.
#pragma once

#include <nibble/nibble.hpp>
#include <string>
#include <utility>
#include <vector>

namespace nibble::test {

struct OrderCase {
  const char* name;
  OperandFormat format = OperandFormat::kNvfp4;
  OutputType output = OutputType::kF32;
  int64_t m = 300, n = 200, k = 1500, batch = 1;
  GemmConfig config;
  bool dependent_launch = false;
};

struct Outcome {
  bool ran = false;      // no call failed, and all seeds gave the same result
  bool right = false;    // that of the exact sums
  std::string messages;  // the emulator's reports, and what failed
};

// `templates`: a folder to take them from; empty: those of the library. Scales are 1 and sums stay
// below 2^24 quarters, so that any order of summation is exact.
Outcome run_in_all_orders(const OrderCase& order_case, const std::string& templates, int seeds);

// A copy of the library's templates in which `edits` (a file, a text that is in it exactly once,
// the text to stand there) are made. A text that is not there fails the test.
struct Edit {
  const char* file;
  const char* from;
  const char* to;
};
std::string templates_with(const std::vector<Edit>& edits, const std::string& name);

}  // namespace nibble::test
