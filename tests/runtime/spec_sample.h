// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which kernels of a family the tests compile.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/jit/family.h"

namespace nibble::test {

// All legal combinations of the problem's constants with the tuned ones at their default, then each
// other legal value of a tuned constant alone.
std::vector<KernelSpec> every_spec(const Family& family, const Arch& arch);

struct PairSample {
  std::vector<KernelSpec> specs;
  // Pairs of values that no legal spec was found for: "kBias=0 kBiasType=2". Most are those that
  // the family's rule forbids; the search is not exhaustive.
  std::vector<std::string> without_spec;
};

// Each two values of any two constants stand together in at least one spec, where that is legal.
// The same at every call.
PairSample pair_sample(const Family& family, const Arch& arch);

// Each value of every constant stands in at least one spec, where that is legal.
std::vector<KernelSpec> value_sample(const Family& family, const Arch& arch);

// The number of combinations of the problem's constants, legal or not.
size_t problem_combinations(const Family& family);

}  // namespace nibble::test
