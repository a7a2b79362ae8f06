// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/settings.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace nibble::emulator::driver {

namespace {

constexpr std::string_view kDefaultDevices = "sm_100a,sm_103a,sm_90a,sm_120a";
constexpr uint32_t kMaxThreads = 1024;

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

EnvironmentSettings read_environment() {
  EnvironmentSettings result;
  const std::string_view devices = variable("NIBBLE_EMULATOR_DEVICES");
  for (const std::string_view target : split(devices.empty() ? kDefaultDevices : devices)) {
    const DeviceModel* const model = find_model(target);
    if (model == nullptr) {
      result.error = "NIBBLE_EMULATOR_DEVICES: '" + std::string(target) +
                     "' is no target that the emulator knows; the default is " +
                     std::string(kDefaultDevices);
    } else {
      result.devices.push_back(model);
    }
  }
  const std::string_view threads = variable("NIBBLE_EMULATOR_THREADS");
  if (!threads.empty()) {
    const char* const end = threads.data() + threads.size();
    const auto [stop, code] = std::from_chars(threads.data(), end, result.machine.threads);
    if (code != std::errc() || stop != end || result.machine.threads > kMaxThreads) {
      result.error = "NIBBLE_EMULATOR_THREADS='" + std::string(threads) + "': a number from 0 to " +
                     std::to_string(kMaxThreads) + " is expected";
    }
  }
  for (const std::string_view check : split(variable("NIBBLE_EMULATOR_CHECK"))) {
    if (check == "uninitialized") {
      result.machine.check_uninitialized = true;
    } else {
      result.error = "NIBBLE_EMULATOR_CHECK: '" + std::string(check) +
                     "' is no check; there is 'uninitialized'";
    }
  }
  const std::string_view tensor = variable("NIBBLE_EMULATOR_TENSOR");
  result.machine.exact_tensor = tensor == "exact";
  if (!tensor.empty() && tensor != "exact" && tensor != "hardware") {
    result.error =
        "NIBBLE_EMULATOR_TENSOR='" + std::string(tensor) + "': 'hardware' or 'exact' is expected";
  }
  result.counters = flag("NIBBLE_EMULATOR_COUNTERS", result.error);
  result.quiet = flag("NIBBLE_EMULATOR_QUIET", result.error);
  return result;
}

}  // namespace

const EnvironmentSettings& settings() {
  static const auto* const kSettings = new EnvironmentSettings(read_environment());
  return *kSettings;
}

}  // namespace nibble::emulator::driver
