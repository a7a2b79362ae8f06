// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Measures in a process of its own: nothing is loaded or warm that the parent did not load, and
// what a library reads from the environment once can differ between measurements.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace nibble::bench {

struct ChildOutput {
  std::vector<double> numbers;
  std::string messages;  // what the child wrote to stderr, to its last exit handler
};

// Runs `measure` in a forked child that has `environment` set. The caller must be single-threaded.
// A child that fails, or says why by returning nothing, ends this program with its messages.
ChildOutput in_child(const std::vector<std::pair<std::string, std::string>>& environment,
                     const std::function<std::vector<double>()>& measure);

}  // namespace nibble::bench
