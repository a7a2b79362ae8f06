// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A kernel family is data: the constants of its Config and the templates that serve it. One table
// feeds the renderer, the label, the keys and the tuner.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/jit/arch.h"

namespace nibble {

struct Constant {
  enum class Origin {
    kProblem,  // follows from the request
    kTuned,    // an axis: any of `values` gives the same bits, at another speed
    kTarget,   // 1 where the target has `feature`
  };
  std::string_view name;     // "kInput": the member of Config
  std::string_view label;    // "input"
  std::string_view meaning;  // with its unit
  Origin origin;
  std::span<const int> values;                    // legal values; kTuned: the default first
  std::span<const std::string_view> value_names;  // for labels, by value; empty: the number
  uint32_t feature = 0;                           // kTarget only
};

struct Variant {
  std::string_view include;  // "quantize/quantize.cuh"
  uint32_t features;         // a target must have all of them
};

struct KernelSpec;
struct UserSource;

struct Family {
  std::string_view name;         // "quantize": also the device function, nibble::quantize<Config>
  std::string_view params_type;  // "QuantizeParams"
  std::span<const Constant> constants;
  // The first that the target can run is used. There may be none: no kernel for that target.
  std::span<const Variant> variants;
  // Bytes of dynamic shared memory of a launch. Null: none.
  int (*dynamic_shared)(const KernelSpec& spec) = nullptr;
  // Whether these values can stand together on the spec's target. Null: any can. The default spec
  // of a target that has a variant is legal.
  bool (*legal)(const KernelSpec& spec) = nullptr;
  // Whether Config says if there is a user's epilogue: kUser, and Epilogue where it is 1.
  bool takes_epilogue = false;
  // The kernel's __launch_bounds__, of what Config and the template say.
  std::string_view launch_bounds = "Config::kThreads";
};

// Every family, for tests, benchmarks and the tuner.
std::span<const Family* const> all_families();

constexpr size_t kMaxConstants = 32;

// One kernel: a plain value, compared and hashed on every launch.
struct KernelSpec {
  const Family* family = nullptr;
  const Arch* arch = nullptr;
  std::array<int32_t, kMaxConstants> values{};  // by the family's constants; unused: 0
  // A user's epilogue, of UserSources: equal texts have equal addresses. Null: none.
  const UserSource* source = nullptr;

  bool operator==(const KernelSpec&) const = default;
  uint64_t hash() const;  // of the family's constants: there are far fewer than kMaxConstants
};

// A spec with every tuned constant at its default and every target constant set.
KernelSpec default_spec(const Family& family, const Arch& arch);

// Null when no variant of the family runs on the spec's target.
const Variant* find_variant(const KernelSpec& spec);

inline bool is_legal(const KernelSpec& spec) {
  return spec.family->legal == nullptr || spec.family->legal(spec);
}
int dynamic_shared_bytes(const KernelSpec& spec);

// "quantize sm_100a input=bf16 threads=256": names the kernel in logs and benchmarks. A user's
// epilogue is "user=" and the first 8 digits of its digest.
std::string label(const KernelSpec& spec);

// The translation unit: the label as a comment, a user's epilogue, Config, one include, one entry
// named "kernel". Requires a variant.
std::string render(const KernelSpec& spec);

}  // namespace nibble
