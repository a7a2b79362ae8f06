// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Runs the command inside a test.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/cli/application.h"

namespace nibble::cli {

struct Ran {
  int exit = 0;
  std::string out;
  std::string err;

  // What --json printed; discarded where it is no JSON.
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

inline Ran run_command(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  Ran ran;
  ran.exit = run(arguments, out, err, false);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace nibble::cli
