// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What nibble quantize says at the end: a table for people, an object for programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nibble/context.hpp"
#include "runtime/cli/application.h"
#include "runtime/cli/quantize_checkpoint.h"

namespace nibble::cli {

struct QuantizeReport {
  std::string input;
  std::string output;
  DeviceInfo device;
  uint64_t file_bytes_before = 0;
  uint64_t file_bytes_after = 0;
  double seconds = 0;
};

// "19.52"; "exact" for infinity.
std::string decibels_text(double decibels);

void print_report(const QuantizeReport& report, const std::vector<PlannedTensor>& tensors,
                  Session& session);

}  // namespace nibble::cli
