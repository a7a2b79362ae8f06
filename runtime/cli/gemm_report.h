// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What nibble gemm says about a multiplication, for people and as JSON.
#pragma once

#include <optional>
#include <string>

#include "runtime/cli/application.h"
#include "runtime/cli/gemm_reference.h"
#include "runtime/cli/gemm_run.h"

namespace nibble::cli {

struct GemmReport {
  std::string a, b, output;  // as given; empty where there are no files
  int64_t m = 0, n = 0, k = 0;
  DeviceInfo device;
  const GemmJob* job = nullptr;
  const GemmAnswer* answer = nullptr;  // null: only explained
  std::optional<ProductError> error;   // none: a user's epilogue, which only the device runs
  const GemmExplanation* explanation = nullptr;
};

void print_report(const GemmReport& report, Session& session);

}  // namespace nibble::cli
