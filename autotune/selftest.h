// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every kind of kernel on the device at hand, held against the trusted one: what a tuner checks,
// without its times.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autotune/requests.h"
#include "autotune/tune.h"

namespace nibble::autotune {

// Of each family all options, types and layouts in turn, on ragged shapes; on a GPU large ones too.
std::vector<Problem> selftest_problems(const DeviceInfo& device);

struct Checked {
  std::string problem;            // as records name it
  std::vector<Outcome> outcomes;  // kRight, kWrong or kFailed; the default first
};

// The family's own choice and others, `most` in all or fewer where there are no more, drawn by the
// seed. kUnsupported: there is no such kernel for this target.
Result<Checked> check_problem(const Context& context, const Problem& problem, size_t most,
                              uint64_t seed);

}  // namespace nibble::autotune
