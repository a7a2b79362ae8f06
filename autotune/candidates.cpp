// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/candidates.h"

#include <algorithm>
#include <random>
#include <span>

namespace nibble::autotune {

namespace {

// Spaces of no more combinations are looked through whole; of others, so many draws are made for
// each candidate that is still wanted: a bound where nearly nothing is legal.
constexpr size_t kSmallSpace = 1 << 17;
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

// The specs that differ from `spec` in nothing but these constants, from the first to the last.
class Space {
 public:
  Space(const KernelSpec& spec, const std::vector<size_t>& places) : spec_(spec), places_(places) {
    for (const size_t place : places) {
      // Beyond kSmallSpace only that it is large matters.
      size_ = std::min(size_ * values(place).size(), 2 * kSmallSpace);
    }
  }
  size_t size() const { return size_; }
  KernelSpec at(size_t number) const {
    KernelSpec spec = spec_;
    for (const size_t place : places_) {
      spec.values[place] = values(place)[number % values(place).size()];
      number /= values(place).size();
    }
    return spec;
  }
  KernelSpec drawn(std::mt19937_64& random) const {
    KernelSpec spec = spec_;
    for (const size_t place : places_) {
      spec.values[place] = values(place)[random() % values(place).size()];
    }
    return spec;
  }

 private:
  std::span<const int> values(size_t place) const { return spec_.family->constants[place].values; }

  const KernelSpec& spec_;
  const std::vector<size_t>& places_;
  size_t size_ = 1;
};

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
  const Space space(chosen, places);
  if (space.size() > kSmallSpace) {
    for (size_t draws = most * kDraws; draws > 0 && list.size() < most; --draws) {
      add(&list, space.drawn(random));
    }
    return list;
  }
  std::vector<KernelSpec> legal;
  for (size_t i = 0; i < space.size(); ++i) {
    if (const KernelSpec spec = space.at(i); is_legal(spec)) legal.push_back(spec);
  }
  for (size_t left = legal.size(); left > 0 && list.size() < most; --left) {
    std::swap(legal[random() % left], legal[left - 1]);
    add(&list, legal[left - 1]);
  }
  return list;
}

}  // namespace nibble::autotune
