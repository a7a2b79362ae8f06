// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/settings.h"

#include "runtime/emulator/driver/messages.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace nibble::emulator::driver {

namespace {

constexpr std::string_view kDefaultDevices = "sm_100a,sm_103a,sm_90a,sm_120a";
constexpr uint64_t kMaxThreads = 1024;
constexpr uint64_t kMaxSeeds = 1'000'000;
constexpr uint64_t kMaxMultiprocessors = 1024;

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> items;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (comma != 0) items.push_back(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return items;
}

bool flag(const char* name, std::string& error) {
  const std::string_view value = variable(name);
  if (!value.empty() && value != "0" && value != "1") {
    error = std::string(name) + "='" + std::string(value) + "': 0 or 1 is expected";
  }
  return value == "1";
}

// `text` of the variable as a number from 0 to `most`.
template <class T>
void parse(const char* name, std::string_view text, uint64_t most, T& value, std::string& error) {
  const char* const end = text.data() + text.size();
  uint64_t parsed = 0;
  const auto [stop, code] = std::from_chars(text.data(), end, parsed);
  if (code != std::errc() || stop != end || parsed > most) {
    error = std::string(name) + "='" + std::string(text) + "': a number from 0 to " +
            std::to_string(most) + " is expected";
    return;
  }
  value = static_cast<T>(parsed);
}

// The same of the whole variable, where it is set.
template <class T>
void number(const char* name, uint64_t most, T& value, std::string& error) {
  const std::string_view text = variable(name);
  if (!text.empty()) parse(name, text, most, value, error);
}

void read_counters(EnvironmentSettings& result) {
  const std::string_view counters = variable("NIBBLE_EMULATOR_COUNTERS");
  const std::string_view trace = variable("NIBBLE_EMULATOR_TRACE");
  if (counters.ends_with(".json")) {
    result.counters_file = counters;
  } else if (!counters.empty() && counters != "0" && counters != "1") {
    result.error = "NIBBLE_EMULATOR_COUNTERS='" + std::string(counters) +
                   "': 0, 1 or the name of a .json file is expected";
  }
  if (trace.ends_with(".json")) {
    result.trace_file = trace;
  } else if (!trace.empty()) {
    result.error =
        "NIBBLE_EMULATOR_TRACE='" + std::string(trace) + "': the name of a .json file is expected";
  }
  result.machine.counters = counters == "1" || !result.counters_file.empty();
  result.machine.trace = !result.trace_file.empty();
}

void read_devices(EnvironmentSettings& result) {
  constexpr const char* kCounts = "NIBBLE_EMULATOR_MULTIPROCESSORS";
  const std::vector<std::string_view> counts = split(variable(kCounts));
  const std::string_view devices = variable("NIBBLE_EMULATOR_DEVICES");
  for (const std::string_view target : split(devices.empty() ? kDefaultDevices : devices)) {
    const DeviceModel* model = find_model(target);
    if (model == nullptr) {
      result.error = "NIBBLE_EMULATOR_DEVICES: '" + std::string(target) +
                     "' is no target that the emulator knows; the default is " +
                     std::string(kDefaultDevices);
      continue;
    }
    uint32_t multiprocessors = 0;
    if (!counts.empty()) {
      const size_t at = std::min(result.devices.size(), counts.size() - 1);
      parse(kCounts, counts[at], kMaxMultiprocessors, multiprocessors, result.error);
    }
    if (multiprocessors != 0) {
      model = &result.models.emplace_back(*model);
      result.models.back().multiprocessors = multiprocessors;
    }
    result.devices.push_back(model);
  }
}

EnvironmentSettings read_environment() {
  EnvironmentSettings result;
  read_devices(result);
  number("NIBBLE_EMULATOR_THREADS", kMaxThreads, result.machine.threads, result.error);
  number("NIBBLE_EMULATOR_SEED", ~uint64_t{0}, result.machine.seed, result.error);
  number("NIBBLE_EMULATOR_LIMIT", ~uint64_t{0}, result.machine.max_instructions, result.error);
  number("NIBBLE_EMULATOR_SEEDS", kMaxSeeds, result.machine.seeds, result.error);
  result.machine.report = [](const std::string& text) { say(text); };
  for (const std::string_view check : split(variable("NIBBLE_EMULATOR_CHECK"))) {
    if (check == "uninitialized") {
      result.machine.check_uninitialized = true;
    } else if (check == "tensor-fences") {
      result.machine.check_tensor_fences = true;
    } else if (check == "init-fences") {
      result.machine.check_init_fences = true;
    } else if (check == "tensor-waits") {
      result.machine.check_tensor_waits = true;
    } else if (check == "order") {
      result.machine.report = nullptr;
    } else if (check == "no-order") {
      result.machine.check_order = false;
    } else {
      result.error = "NIBBLE_EMULATOR_CHECK: '" + std::string(check) +
                     "' is no check; there are 'order', 'no-order', 'uninitialized', "
                     "'init-fences', 'tensor-fences' and 'tensor-waits'";
    }
  }
  const std::string_view tensor = variable("NIBBLE_EMULATOR_TENSOR");
  result.machine.exact_tensor = tensor == "exact";
  if (!tensor.empty() && tensor != "exact" && tensor != "hardware") {
    result.error =
        "NIBBLE_EMULATOR_TENSOR='" + std::string(tensor) + "': 'hardware' or 'exact' is expected";
  }
  read_counters(result);
  result.quiet = flag("NIBBLE_EMULATOR_QUIET", result.error);
  return result;
}

}  // namespace

const EnvironmentSettings& settings() {
  static const auto* const kSettings = new EnvironmentSettings(read_environment());
  return *kSettings;
}

}  // namespace nibble::emulator::driver
