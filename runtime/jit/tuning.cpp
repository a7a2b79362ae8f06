// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/tuning.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr std::string_view kPower = "2^";

std::string value_text(const Constant& constant, int value) {
  const auto at = static_cast<size_t>(value);
  return at < constant.value_names.size() ? std::string(constant.value_names[at])
                                          : std::to_string(value);
}

// " label=value" of the constants of one origin.
std::string constants_text(const KernelSpec& spec, Origin origin) {
  std::string text;
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    const Constant& constant = spec.family->constants[i];
    if (constant.origin != origin) continue;
    text += ' ';
    text += constant.label;
    text += '=' + value_text(constant, spec.values[i]);
  }
  return text;
}

std::string shape_text(const ShapeClass& shape) {
  std::string text;
  for (const int8_t log2 : shape) {
    if (log2 < 0) continue;
    text += (text.empty() ? "" : "x") + std::string(kPower) + std::to_string(log2);
  }
  return text;
}

std::string problem_text(const KernelSpec& spec, const ShapeClass& shape) {
  return std::string(spec.family->name) + ' ' + std::string(spec.arch->name) +
         constants_text(spec, Origin::kProblem) + ' ' + shape_text(shape);
}

std::string_view next_word(std::string_view* text) {
  const size_t end = text->find(' ');
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return word;
}

std::optional<ShapeClass> parse_shape(std::string_view text) {
  ShapeClass shape;
  shape.fill(-1);
  for (size_t i = 0; i < shape.size() && !text.empty(); ++i) {
    const size_t end = text.find('x');
    std::string_view one = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!one.starts_with(kPower)) return std::nullopt;
    one.remove_prefix(kPower.size());
    const auto [stop, error] = std::from_chars(one.data(), one.data() + one.size(), shape[i]);
    if (error != std::errc() || stop != one.data() + one.size() || shape[i] < 0) {
      return std::nullopt;
    }
  }
  return text.empty() ? std::optional(shape) : std::nullopt;
}

// Gives `spec` the values of all constants of one origin. False unless the words name each of them
// once, in order, with a legal value: as constants_text() writes them.
bool parse_constants(std::string_view* text, Origin origin, KernelSpec* spec) {
  for (size_t i = 0; i < spec->family->constants.size(); ++i) {
    const Constant& constant = spec->family->constants[i];
    if (constant.origin != origin) continue;
    const std::string_view word = next_word(text);
    const auto is_word = [&](int value) {
      return word == std::string(constant.label) + "=" + value_text(constant, value);
    };
    const auto at = std::find_if(constant.values.begin(), constant.values.end(), is_word);
    if (at == constant.values.end()) return false;
    spec->values[i] = *at;
  }
  return true;
}

struct Choice {
  KernelSpec spec;
  ShapeClass shape{};
};

// What a record says, if its words are of a family and configuration that there are.
std::optional<Choice> parse(const cache::TuningRecord& record, const Arch& arch) {
  std::string_view problem = record.problem;
  std::string_view config = record.config;
  const std::string_view name = next_word(&problem);
  for (const Family* family : all_families()) {
    if (family->name != name) continue;
    if (next_word(&problem) != arch.name) return std::nullopt;
    Choice choice{default_spec(*family, arch), {}};
    if (!parse_constants(&problem, Origin::kProblem, &choice.spec) ||
        !parse_constants(&config, Origin::kTuned, &choice.spec)) {
      return std::nullopt;
    }
    const std::optional<ShapeClass> shape = parse_shape(problem);
    if (!shape || !is_legal(choice.spec) || find_variant(choice.spec) == nullptr) {
      return std::nullopt;
    }
    choice.shape = *shape;
    // Nothing is left over and nothing is written in another way.
    const bool same = problem_text(choice.spec, *shape) == record.problem &&
                      config_text(choice.spec) == record.config;
    return same ? std::optional(choice) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

ShapeClass shape_class(const Extents& extents) {
  ShapeClass shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto extent = static_cast<uint64_t>(std::max<int64_t>(extents[i], 0));
    const int floor = static_cast<int>(std::bit_width(extent)) - 1;
    // Up from sqrt(2) 2^floor on. The constant: sqrt(2) 2^63.
    const bool up = floor >= 0 && extent > 0xB504F333F9DE6484u >> (63 - floor);
    shape[i] = static_cast<int8_t>(floor + (up ? 1 : 0));
  }
  return shape;
}

std::string problem_text(const KernelSpec& spec, const Extents& extents) {
  return problem_text(spec, shape_class(extents));
}

std::string config_text(const KernelSpec& spec) {
  const std::string text = constants_text(spec, Origin::kTuned);
  return text.empty() ? text : text.substr(1);
}

std::string gpu_text(const DeviceInfo& device) {
  return device.name + ", " + std::to_string(device.multiprocessors) + " SMs, " +
         std::to_string(device.clock_khz / 1000) + " MHz, memory " +
         std::to_string(device.memory_clock_khz / 1000) + " MHz, driver " +
         std::to_string(device.driver_version / 1000);
}

Tuning::Tuning(const std::vector<cache::TuningRecord>& records, const DeviceInfo& device,
               const Arch& arch, const std::function<std::string(const KernelSpec&)>& templates) {
  const std::string gpu = gpu_text(device);
  for (const cache::TuningRecord& record : records) {
    if (record.gpu != gpu) continue;
    const std::optional<Choice> choice = parse(record, arch);
    if (!choice || record.templates != templates(choice->spec)) continue;
    chosen_.insert_or_assign(key_of(choice->spec, choice->shape), choice->spec);
  }
  active_ = !chosen_.empty();
}

void Tuning::set_trial(TrialState* trial) {
  trial_ = trial;
  active_ = trial != nullptr || !chosen_.empty();
}

size_t Tuning::KeyHash::operator()(const Key& key) const {
  uint64_t h = key.problem.hash();
  for (const int8_t one : key.shape) h = (h ^ static_cast<uint8_t>(one)) * 0x100000001b3u;
  return h;
}

Tuning::Key Tuning::key_of(const KernelSpec& spec, const ShapeClass& shape) {
  Key key{spec, shape};
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    if (spec.family->constants[i].origin == Origin::kTuned) key.problem.values[i] = 0;
  }
  return key;
}

KernelSpec Tuning::look_up(const KernelSpec& spec, const Extents& extents) const {
  if (trial_ != nullptr && trial_->family == spec.family) {
    trial_->asked = spec;
    trial_->extents = extents;
    const KernelSpec& answer = trial_->answer;
    return answer.family == spec.family && key_of(answer, {}) == key_of(spec, {}) ? answer : spec;
  }
  const auto at = chosen_.find(key_of(spec, shape_class(extents)));
  return at == chosen_.end() ? spec : at->second;
}

}  // namespace nibble
