// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What was measured to be fastest, asked on every launch: the tuning table of this GPU, read once
// for a context. The tuner writes the table (autotune/); nothing here knows of it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/tuning_table.h"
#include "nibble/context.hpp"
#include "runtime/jit/family.h"

namespace nibble {

// The sizes of a problem in the order its family gives them: rows and columns. Unused: 0.
using Extents = std::array<int64_t, 3>;
// log2 of each, rounded: sizes of one class share a configuration. Unused: -1.
using ShapeClass = std::array<int8_t, 3>;
ShapeClass shape_class(const Extents& extents);

// The texts of a record. A problem is all constants but the tuned ones, and the class of its shape:
// "quantize sm_90a input=bf16 vector=16 layout=128x4 2^14x2^14".
std::string problem_text(const KernelSpec& spec, const Extents& extents);
// The tuned constants: "threads=256 rows=1 blocks=2". Exported for the tuner.
[[gnu::visibility("default")]] std::string config_text(const KernelSpec& spec);
// "NVIDIA H200, 132 SMs, 1980 MHz, memory 3201 MHz, driver 13": times are comparable where this is
// the same.
std::string gpu_text(const DeviceInfo& device);

// A launch's question and what a trial answers to it.
struct TrialState {
  const Family* family = nullptr;  // others are not concerned
  KernelSpec asked;                // the last question: the family's own choice
  Extents extents{};
  KernelSpec answer;  // for questions of the same problem; no family: none
};

class Tuning {
 public:
  Tuning() = default;  // the families' own choices
  // The records for this device that hold: of the templates in use, with legal values. `templates`:
  // the digest of a spec's templates.
  Tuning(const std::vector<cache::TuningRecord>& records, const DeviceInfo& device,
         const Arch& arch, const std::function<std::string(const KernelSpec&)>& templates);

  // `spec` with the tuned constants that the table has for it, if it has any. Takes no lock and
  // allocates nothing.
  KernelSpec choose(const KernelSpec& spec, const Extents& extents) const {
    return active_ ? look_up(spec, extents) : spec;
  }
  size_t size() const { return chosen_.size(); }

  // Whether a trial answers for this family.
  bool on_trial(const Family& family) const {
    return trial_ != nullptr && trial_->family == &family;
  }
  // Null: no trial. Not while others launch in the context.
  void set_trial(TrialState* trial);

 private:
  struct Key {
    KernelSpec problem;  // tuned constants 0
    ShapeClass shape{};
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  static Key key_of(const KernelSpec& spec, const ShapeClass& shape);
  KernelSpec look_up(const KernelSpec& spec, const Extents& extents) const;

  bool active_ = false;
  std::unordered_map<Key, KernelSpec, KeyHash> chosen_;
  TrialState* trial_ = nullptr;
};

}  // namespace nibble
