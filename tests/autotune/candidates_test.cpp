// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Candidates: legal, the default first, every single change, bounded, the same for a seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "autotune/candidates.h"

namespace nibble::autotune {
namespace {

constexpr size_t kMost = 40;
constexpr uint64_t kSeed = 7;

// The constants that two specs of one family do not agree in.
std::vector<size_t> differences(const KernelSpec& a, const KernelSpec& b) {
  std::vector<size_t> places;
  for (size_t i = 0; i < a.family->constants.size(); ++i) {
    if (a.values[i] != b.values[i]) places.push_back(i);
  }
  return places;
}

struct Case {
  const Family* family;
  const Arch* arch;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Family* family : all_families()) {
    for (const Arch& arch : all_archs()) {
      if (find_variant(default_spec(*family, arch)) != nullptr) all.push_back({family, &arch});
    }
  }
  return all;
}

TEST(Candidates, AreLegalDistinctAndDifferInTunedConstantsOnly) {
  ASSERT_FALSE(cases().empty());
  for (const auto& [family, arch] : cases()) {
    const KernelSpec chosen = default_spec(*family, *arch);
    const std::vector<KernelSpec> list = candidates(chosen, kMost, kSeed);
    ASSERT_FALSE(list.empty());
    EXPECT_EQ(list.front(), chosen);
    std::set<std::string> labels;
    for (const KernelSpec& spec : list) {
      EXPECT_TRUE(is_legal(spec)) << label(spec);
      EXPECT_TRUE(labels.insert(label(spec)).second) << label(spec);
      for (const size_t place : differences(spec, chosen)) {
        const Constant& constant = family->constants[place];
        EXPECT_EQ(constant.origin, Constant::Origin::kTuned) << constant.name;
        EXPECT_EQ(std::count(constant.values.begin(), constant.values.end(), spec.values[place]), 1)
            << label(spec);
      }
    }
  }
}

TEST(Candidates, KeepEverySingleChangeHoweverFewAreWanted) {
  for (const auto& [family, arch] : cases()) {
    const KernelSpec chosen = default_spec(*family, *arch);
    const std::vector<KernelSpec> list = candidates(chosen, 1, kSeed);
    size_t expected = 1;
    for (size_t place = 0; place < family->constants.size(); ++place) {
      if (family->constants[place].origin != Constant::Origin::kTuned) continue;
      for (const int value : family->constants[place].values) {
        KernelSpec spec = chosen;
        spec.values[place] = value;
        if (spec == chosen || !is_legal(spec)) continue;
        ++expected;
        EXPECT_NE(std::find(list.begin(), list.end(), spec), list.end()) << label(spec);
      }
    }
    EXPECT_EQ(list.size(), expected) << family->name;
    EXPECT_LE(candidates(chosen, kMost, kSeed).size(), std::max(kMost, expected));
  }
}

TEST(Candidates, ASmallSpaceIsFoundWhole) {
  static constexpr int kFew[] = {1, 2, 4};
  static constexpr int kMany[] = {8, 16, 32, 64, 128};
  static constexpr Constant kConstants[] = {
      {"kA", "a", "", Constant::Origin::kTuned, kFew, {}},
      {"kB", "b", "", Constant::Origin::kTuned, kMany, {}},
      {"kC", "c", "", Constant::Origin::kProblem, kFew, {}},
  };
  // a * b >= 32: 12 of 15, the default among them.
  static const Family kFamily{
      .name = "test",
      .params_type = "",
      .constants = kConstants,
      .variants = {},
      .legal = [](const KernelSpec& spec) { return spec.values[0] * spec.values[1] >= 32; }};
  KernelSpec chosen = default_spec(kFamily, all_archs().front());
  chosen.values[1] = 64;
  chosen.values[2] = 2;
  const std::vector<KernelSpec> list = candidates(chosen, 64, kSeed);
  EXPECT_EQ(list.size(), 12u);
  for (const KernelSpec& spec : list) EXPECT_EQ(spec.values[2], 2);
  EXPECT_EQ(candidates(chosen, 9, kSeed).size(), 9u);
}

// Where one configuration in a thousand is legal, and none next to the default.
TEST(Candidates, FewLegalOnesAreFoundAmongMany) {
  static constexpr int kTwenty[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                    10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  static constexpr Constant kConstants[] = {
      {"kA", "a", "", Constant::Origin::kTuned, kTwenty, {}},
      {"kB", "b", "", Constant::Origin::kTuned, kTwenty, {}},
      {"kC", "c", "", Constant::Origin::kTuned, kTwenty, {}},
  };
  static const Family kFamily{.name = "test",
                              .params_type = "",
                              .constants = kConstants,
                              .variants = {},
                              .legal = [](const KernelSpec& spec) {
                                const auto& v = spec.values;
                                return v[0] == v[1] && v[1] == v[2];
                              }};
  const KernelSpec chosen = default_spec(kFamily, all_archs().front());
  EXPECT_EQ(candidates(chosen, 64, kSeed).size(), 20u);
  EXPECT_EQ(candidates(chosen, 7, kSeed).size(), 7u);
}

TEST(Candidates, ASeedGivesTheSameList) {
  for (const auto& [family, arch] : cases()) {
    const KernelSpec chosen = default_spec(*family, *arch);
    EXPECT_EQ(candidates(chosen, kMost, 1), candidates(chosen, kMost, 1));
  }
}

}  // namespace
}  // namespace nibble::autotune
