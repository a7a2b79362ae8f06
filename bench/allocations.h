// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counts what this program allocates through operator new, in every object linked into it.
#pragma once

#include <cstdint>

namespace nibble::bench {

uint64_t allocations();  // so far, all threads

}  // namespace nibble::bench
