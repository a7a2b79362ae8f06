// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The ways to quantise that are measured beside the plain one.
#pragma once

#include <string>
#include <vector>

#include "bench/device_problem.h"

namespace nibble::bench {

struct QuantizeVariant {
  std::string name;
  QuantizeRequest options;  // all but the operands
  double goal;              // of the ratio to the copy, for large matrices
};
std::vector<QuantizeVariant> quantize_variants();

// The variant's request for a set of the problem's operands, 128x4 layout, amax given. The
// transposed copy, and codes of eight bits, go where the dequantised matrix would.
QuantizeRequest request_of(const QuantizeVariant& variant, const DeviceProblem& problem, int set);

// Of the input and all outputs, without padding, each counted once.
int64_t bytes_of(const QuantizeVariant& variant, const QuantizeRequest& request);

}  // namespace nibble::bench
