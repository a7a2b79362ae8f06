// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a run of the tuner found, as a table and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "autotune/tune.h"

namespace nibble::cli {

std::string fixed(double value, int decimals);

// The fastest first. `bytes`: of a launch.
void print_outcomes(const autotune::Report& report, int64_t bytes, std::ostream& out);
nlohmann::ordered_json outcomes_json(const autotune::Report& report);

}  // namespace nibble::cli
