// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Users' epilogues, in CUDA and again for the host.
#pragma once

#include <vector>

#include "tests/families/gemm_case.h"

namespace nibble::test {

// The CUDA source; empty for kNone.
std::string_view user_source(GemmUser user);

// The same on the host. `table`: [rows, columns] for kTable.
float user_value(GemmUser user, const std::vector<float>& table, int64_t columns, float value,
                 int64_t row, int64_t column);

// The bytes of the source's Epilogue. `table`: kTable's in device memory.
std::vector<uint8_t> user_arguments(GemmUser user, DevicePointer table, int64_t columns);

}  // namespace nibble::test
