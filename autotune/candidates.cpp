// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/candidates.h"

#include <algorithm>
#include <random>

namespace nibble::autotune {

namespace {

// Draws for each candidate that is still wanted: enough for a small space to be found whole, and a
// bound where nearly nothing is legal.
constexpr size_t kDraws = 64;

// The places of the constants that can be tuned.
std::vector<size_t> axes(const Family& family) {
  std::vector<size_t> places;
  for (size_t i = 0; i < family.constants.size(); ++i) {
    if (family.constants[i].origin == Constant::Origin::kTuned) places.push_back(i);
  }
  return places;
}

void add(std::vector<KernelSpec>* list, const KernelSpec& spec) {
  if (is_legal(spec) && std::find(list->begin(), list->end(), spec) == list->end()) {
    list->push_back(spec);
  }
}

}  // namespace

std::vector<KernelSpec> candidates(const KernelSpec& chosen, size_t most, uint64_t seed) {
  const std::vector<size_t> places = axes(*chosen.family);
  std::vector<KernelSpec> list{chosen};
  for (const size_t place : places) {
    for (const int value : chosen.family->constants[place].values) {
      KernelSpec spec = chosen;
      spec.values[place] = value;
      add(&list, spec);
    }
  }
  // The engine's numbers are the same everywhere; those of the library's distributions are not.
  std::mt19937_64 random(seed);
  for (size_t draws = most * kDraws; draws > 0 && list.size() < most; --draws) {
    KernelSpec spec = chosen;
    for (const size_t place : places) {
      const auto values = chosen.family->constants[place].values;
      spec.values[place] = values[random() % values.size()];
    }
    add(&list, spec);
  }
  return list;
}

}  // namespace nibble::autotune
