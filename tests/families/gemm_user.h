// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Users' epilogues, in CUDA and again for the host.
#pragma once

#include <random>
#include <vector>

#include "tests/families/gemm_case.h"

namespace nibble::test {

// The CUDA source; empty for kNone.
std::string_view user_source(GemmUser user);

// What the functor reads by row and column, [rows, columns] without a gap; empty where it does not.
std::vector<uint8_t> user_table(GemmUser user, int64_t rows, int64_t columns,
                                std::mt19937_64& random);

// The same as the source, on the host.
float user_value(GemmUser user, const std::vector<uint8_t>& table, int64_t columns, float value,
                 int64_t row, int64_t column);

// The bytes of the source's Epilogue. `table`: in device memory.
std::vector<uint8_t> user_arguments(GemmUser user, DevicePointer table, int64_t columns);

}  // namespace nibble::test
