// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The sample of specs holds every legal pair of values: all combinations of a small family are
// looked at to tell.
#include "tests/runtime/spec_sample.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace nibble {
namespace {

using Origin = Constant::Origin;

constexpr int kFew[] = {0, 1};
constexpr int kThree[] = {4, 5, 6};
constexpr int kMany[] = {1, 2, 4, 8, 16, 32};
constexpr Variant kVariants[] = {{"none.cuh", kTcgen05}};
constexpr Constant kConstants[] = {
    {"kThreads", "threads", "", Origin::kTuned, kMany, {}},
    {"kBias", "bias", "", Origin::kProblem, kFew, {}},
    {"kBiasType", "bias_type", "", Origin::kProblem, kThree, {}},
    {"kStages", "stages", "", Origin::kTuned, kMany, {}},
    {"kTile", "tile", "", Origin::kTuned, kMany, {}},
    {"kHasTensorCores", "tensor", "", Origin::kTarget, kFew, {}, kTcgen05},
};
// A bias type other than the first needs a bias; stages and tile fit a memory of 64, in which one
// of the two must be large where there is a bias.
bool legal(const KernelSpec& spec) {
  const bool bias = spec.values[1] != 0;
  const int memory = spec.values[3] * spec.values[4];
  if (!bias && spec.values[2] != kThree[0]) return false;
  return memory <= 64 && (!bias || memory >= 4);
}
const Family kFamily{"sampled", "Params", kConstants, kVariants, nullptr, legal};

using PairOfValues = std::array<int, 4>;

std::set<PairOfValues> pairs_of(const std::vector<KernelSpec>& specs) {
  std::set<PairOfValues> pairs;
  for (const KernelSpec& spec : specs) {
    for (int a = 0; a < 5; ++a) {
      for (int b = a + 1; b < 5; ++b) {
        pairs.insert(
            {a, spec.values[static_cast<size_t>(a)], b, spec.values[static_cast<size_t>(b)]});
      }
    }
  }
  return pairs;
}

std::vector<KernelSpec> all_legal(const Arch& arch) {
  std::vector<KernelSpec> specs{default_spec(kFamily, arch)};
  for (size_t i = 0; i < 5; ++i) {
    std::vector<KernelSpec> grown;
    for (const KernelSpec& spec : specs) {
      for (int value : kConstants[i].values) {
        grown.push_back(spec);
        grown.back().values[i] = value;
      }
    }
    specs = std::move(grown);
  }
  std::erase_if(specs, [](const KernelSpec& spec) { return !legal(spec); });
  return specs;
}

TEST(SpecSample, HoldsEveryLegalPair) {
  const Arch& arch = *find_arch("sm_100a");
  const test::PairSample sample = test::pair_sample(kFamily, arch);
  const std::vector<KernelSpec> all = all_legal(arch);
  EXPECT_EQ(pairs_of(sample.specs), pairs_of(all));
  EXPECT_LT(sample.specs.size() * 5, all.size());
  for (const KernelSpec& spec : sample.specs) EXPECT_TRUE(legal(spec)) << label(spec);
  EXPECT_FALSE(sample.without_spec.empty());
  EXPECT_EQ(sample.without_spec.front(), "kBias=0 kBiasType=5");
}

TEST(SpecSample, IsTheSameAtEveryCall) {
  const Arch& arch = *find_arch("sm_100a");
  EXPECT_EQ(test::pair_sample(kFamily, arch).specs, test::pair_sample(kFamily, arch).specs);
}

TEST(SpecSample, OfValuesHoldsEachValue) {
  const std::vector<KernelSpec> specs = test::value_sample(kFamily, *find_arch("sm_100a"));
  for (size_t i = 0; i < 5; ++i) {
    std::set<int> seen;
    for (const KernelSpec& spec : specs) seen.insert(spec.values[i]);
    EXPECT_EQ(seen.size(), kConstants[i].values.size()) << kConstants[i].name;
  }
  EXPECT_LE(specs.size(), 10u);  // 6 at best
  for (const KernelSpec& spec : specs) EXPECT_TRUE(legal(spec)) << label(spec);
}

TEST(SpecSample, EverySpecLeavesOutWhatIsIllegal) {
  const std::vector<KernelSpec> specs = test::every_spec(kFamily, *find_arch("sm_100a"));
  // No bias: one type. A bias needs more than the default tile, which is not the problem's to say.
  // Then 5 other values of each tuned constant.
  EXPECT_EQ(specs.size(), 1u + 15u);
  EXPECT_EQ(test::problem_combinations(kFamily), 6u);
}

}  // namespace
}  // namespace nibble
