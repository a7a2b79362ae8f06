// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which configurations of a kernel to try.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/jit/family.h"

namespace nibble::autotune {

// `chosen` first, then every legal spec that differs from it in one tuned constant, then a sample
// of the other legal ones up to `most` in all. A seed gives the same list everywhere.
std::vector<KernelSpec> candidates(const KernelSpec& chosen, size_t most, uint64_t seed);

}  // namespace nibble::autotune
