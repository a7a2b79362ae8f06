// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/spec_sample.h"

#include <random>
#include <set>
#include <tuple>

namespace nibble::test {

namespace {

using Origin = Constant::Origin;

// Constant and value, twice; the first constant comes before the second.
using Pair = std::tuple<size_t, int, size_t, int>;

std::string name_of(const Family& family, size_t constant, int value) {
  return std::string(family.constants[constant].name) + "=" + std::to_string(value);
}

class Sampler {
 public:
  Sampler(const Family& family, const Arch& arch)
      : family_(family), default_(default_spec(family, arch)) {
    for (size_t i = 0; i < family.constants.size(); ++i) {
      if (family.constants[i].origin != Origin::kTarget) free_.push_back(i);
    }
  }

  PairSample pairs() {
    for (size_t a = 0; a < free_.size(); ++a) {
      for (size_t b = a + 1; b < free_.size(); ++b) {
        for (int first : family_.constants[free_[a]].values) {
          for (int second : family_.constants[free_[b]].values) {
            missing_.insert({free_[a], first, free_[b], second});
          }
        }
      }
    }
    add(default_);
    while (!missing_.empty()) {
      const Pair wanted = *missing_.begin();
      const auto [a, first, b, second] = wanted;
      KernelSpec spec = default_;
      spec.values[a] = first;
      spec.values[b] = second;
      if (make_legal(spec, {a, b})) {
        add(with_more_missing_pairs(spec, {a, b}));
      } else {
        missing_.erase(wanted);
        sample_.without_spec.push_back(name_of(family_, a, first) + " " +
                                       name_of(family_, b, second));
      }
    }
    return std::move(sample_);
  }

  std::vector<KernelSpec> values() {
    std::set<std::pair<size_t, int>> missing;
    for (size_t i : free_) {
      for (int value : family_.constants[i].values) missing.insert({i, value});
    }
    const auto add_values = [&](const KernelSpec& spec) {
      for (size_t i : free_) missing.erase({i, spec.values[i]});
      sample_.specs.push_back(spec);
    };
    add_values(default_);
    while (!missing.empty()) {
      const auto [constant, value] = *missing.begin();
      missing.erase(missing.begin());
      KernelSpec spec = default_;
      spec.values[constant] = value;
      if (!make_legal(spec, {constant})) continue;
      std::set<size_t> changed{constant};
      for (const auto& [other, wanted] : missing) {
        KernelSpec tried = spec;
        tried.values[other] = wanted;
        if (changed.count(other) > 0 || !is_legal(tried)) continue;
        changed.insert(other);
        spec = tried;
      }
      add_values(spec);
    }
    return std::move(sample_.specs);
  }

 private:
  int draw_value(size_t constant) {
    const auto& values = family_.constants[constant].values;
    return values[random_() % values.size()];
  }

  // Changes other constants than `fixed` until the spec is legal: few at first, then more of them.
  bool make_legal(KernelSpec& spec, const std::set<size_t>& fixed) {
    constexpr int kTries = 4000;
    const KernelSpec start = spec;
    for (int tries = 0; tries < kTries; ++tries) {
      if (is_legal(spec)) return true;
      spec = start;
      const size_t changes =
          1 + random_() % (1 + static_cast<size_t>(tries) * free_.size() / kTries);
      for (size_t i = 0; i < changes; ++i) {
        const size_t constant = free_[random_() % free_.size()];
        if (fixed.count(constant) == 0) spec.values[constant] = draw_value(constant);
      }
    }
    return false;
  }

  size_t count_missing(const KernelSpec& spec) const {
    size_t count = 0;
    for (size_t a = 0; a < free_.size(); ++a) {
      for (size_t b = a + 1; b < free_.size(); ++b) {
        count += missing_.count({free_[a], spec.values[free_[a]], free_[b], spec.values[free_[b]]});
      }
    }
    return count;
  }

  // Climbs: one constant after the other takes the value that adds most, where it stays legal.
  KernelSpec with_more_missing_pairs(KernelSpec spec, const std::set<size_t>& fixed) const {
    size_t best = count_missing(spec);
    for (bool better = true; better;) {
      better = false;
      for (size_t constant : free_) {
        if (fixed.count(constant) > 0) continue;
        for (int value : family_.constants[constant].values) {
          KernelSpec tried = spec;
          tried.values[constant] = value;
          if (!is_legal(tried)) continue;
          if (const size_t count = count_missing(tried); count > best) {
            best = count;
            spec = tried;
            better = true;
          }
        }
      }
    }
    return spec;
  }

  void add(const KernelSpec& spec) {
    sample_.specs.push_back(spec);
    for (size_t a = 0; a < free_.size(); ++a) {
      for (size_t b = a + 1; b < free_.size(); ++b) {
        missing_.erase({free_[a], spec.values[free_[a]], free_[b], spec.values[free_[b]]});
      }
    }
  }

  const Family& family_;
  const KernelSpec default_;
  std::vector<size_t> free_;  // constants that do not follow from the target
  std::set<Pair> missing_;
  PairSample sample_;
  std::mt19937 random_{1};  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same sample at every run
};

}  // namespace

std::vector<KernelSpec> every_spec(const Family& family, const Arch& arch) {
  std::vector<KernelSpec> specs{default_spec(family, arch)};
  for (size_t i = 0; i < family.constants.size(); ++i) {
    const Constant& constant = family.constants[i];
    if (constant.origin != Origin::kProblem) continue;
    std::vector<KernelSpec> grown;
    for (const KernelSpec& spec : specs) {
      for (int value : constant.values) {
        grown.push_back(spec);
        grown.back().values[i] = value;
      }
    }
    specs = std::move(grown);
  }
  for (size_t i = 0; i < family.constants.size(); ++i) {
    const Constant& constant = family.constants[i];
    if (constant.origin != Origin::kTuned) continue;
    for (int value : constant.values.subspan(1)) {
      specs.push_back(default_spec(family, arch));
      specs.back().values[i] = value;
    }
  }
  std::erase_if(specs, [](const KernelSpec& spec) { return !is_legal(spec); });
  return specs;
}

PairSample pair_sample(const Family& family, const Arch& arch) {
  return Sampler(family, arch).pairs();
}

std::vector<KernelSpec> value_sample(const Family& family, const Arch& arch) {
  return Sampler(family, arch).values();
}

size_t problem_combinations(const Family& family) {
  size_t count = 1;
  for (const Constant& constant : family.constants) {
    if (constant.origin == Origin::kProblem) count *= constant.values.size();
  }
  return count;
}

}  // namespace nibble::test
