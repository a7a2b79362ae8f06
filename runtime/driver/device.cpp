// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/driver/device.h"

#include <array>
#include <charconv>

#include "runtime/driver/shared_library.h"
#include "runtime/result.h"

namespace nibble {

namespace {

constexpr std::string_view kDefaultEmulated = "sm_100a";

std::string known_targets() {
  std::string text;
  for (const Arch& arch : all_archs()) text += (text.empty() ? "" : ", ") + std::string(arch.name);
  return text;
}

Result<const Arch*> parse_target(std::string_view name) {
  if (const Arch* arch = find_arch(name)) return arch;
  return Status(Code::kInvalidArgument,
                "target '" + std::string(name) + "' is not one of " + known_targets());
}

// Retains the primary context of GPU `ordinal` and reads its properties.
Result<OpenedDevice> open_ordinal(std::shared_ptr<const DriverApi> driver, int ordinal) {
  const DriverApi& api = *driver;
  CUdevice device = 0;
  NIBBLE_TRY(api.check(api.cuDeviceGet(&device, ordinal), "cuDeviceGet"));
  auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    api.cuDeviceGetAttribute(&value, which, device);
    return value;
  };
  const int major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  const int minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  OpenedDevice opened;
  std::array<char, 256> name{};
  NIBBLE_TRY(api.check(api.cuDeviceGetName(name.data(), name.size(), device), "cuDeviceGetName"));
  opened.arch = arch_for_capability(major, minor);
  if (opened.arch == nullptr) {
    return Status(Code::kUnsupported, std::string(name.data()) + " has compute capability " +
                                          std::to_string(major) + "." + std::to_string(minor) +
                                          ": no target of nibble runs on it (" + known_targets() +
                                          ")");
  }
  size_t memory = 0;
  NIBBLE_TRY(api.check(api.cuDeviceTotalMem(&memory, device), "cuDeviceTotalMem"));
  NIBBLE_TRY(
      api.check(api.cuDevicePrimaryCtxRetain(&opened.context, device), "cuDevicePrimaryCtxRetain"));
  DeviceInfo& info = opened.info;
  info.name = name.data();
  info.target = opened.arch->name;
  info.available = true;
  info.ordinal = ordinal;
  info.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.clock_khz = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  info.memory_clock_khz = attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  info.shared_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  info.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  info.memory_bytes = static_cast<int64_t>(memory);
  info.driver_version = api.version;
  info.driver_library = api.path;
  opened.driver = std::move(driver);
  return opened;
}

Result<OpenedDevice> open_gpu(const Options& options, int ordinal) {
  NIBBLE_TRY_ASSIGN(std::shared_ptr<const DriverApi> driver,
                    DriverApi::load(options.driver_library));
  int count = 0;
  NIBBLE_TRY(driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount"));
  if (ordinal < 0 || ordinal >= count) {
    return Status(Code::kNoDevice, "GPU " + std::to_string(ordinal) + " is not there: " +
                                       driver->path + " reports " + std::to_string(count));
  }
  return open_ordinal(std::move(driver), ordinal);
}

// The emulator offers a GPU of each architecture; the one of the target is taken.
Result<OpenedDevice> open_emulated(const Options& options, const Arch& arch) {
  const std::string path = options.emulator_library.empty()
                               ? own_folder() + "/libnibble-cuda-emulator.so"
                               : options.emulator_library;
  NIBBLE_TRY_ASSIGN(std::shared_ptr<const DriverApi> driver, DriverApi::load(path));
  int count = 0;
  NIBBLE_TRY(driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount"));
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    Result<OpenedDevice> opened = open_ordinal(driver, ordinal);
    if (!opened.ok()) continue;
    if (opened->arch->major != arch.major || opened->arch->minor != arch.minor) continue;
    opened->arch = &arch;
    opened->info.target = arch.name;
    opened->info.emulated = true;
    return opened;
  }
  return Status(Code::kNoDevice,
                "the emulator " + path + " offers no device for " + std::string(arch.name));
}

Result<OpenedDevice> open_default(const Options& options, const Log& log) {
  Result<OpenedDevice> gpu = open_gpu(options, 0);
  if (gpu.ok()) return gpu;
  log(LogLevel::kWarning, "no usable GPU (" + gpu.status().to_string() + "): running on the CPU, " +
                              "emulating " + std::string(kDefaultEmulated) +
                              "; set NIBBLE_DEVICE to choose");
  return open_emulated(options, *find_arch(kDefaultEmulated));
}

}  // namespace

Result<OpenedDevice> open_device(const Options& options, const Log& log) {
  const std::string_view text = options.device;
  if (text.empty()) return open_default(options, log);
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view which =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (kind == "cuda") {
    int ordinal = 0;
    const char* end = which.data() + which.size();
    const bool number = which.empty() || std::from_chars(which.data(), end, ordinal).ptr == end;
    if (number) return open_gpu(options, ordinal);
  } else if (kind == "emulator") {
    NIBBLE_TRY_ASSIGN(const Arch* arch, parse_target(which.empty() ? kDefaultEmulated : which));
    return open_emulated(options, *arch);
  } else if (kind == "none") {
    NIBBLE_TRY_ASSIGN(const Arch* arch, parse_target(which.empty() ? kDefaultEmulated : which));
    OpenedDevice opened;
    opened.arch = arch;
    opened.info.target = arch->name;
    return opened;
  }
  return Status(Code::kInvalidArgument,
                "device '" + std::string(text) +
                    "' is not 'cuda', 'cuda:N', 'emulator:TARGET' or 'none:TARGET'");
}

}  // namespace nibble
