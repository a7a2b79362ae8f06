// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/driver.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "runtime/emulator/driver/counters.h"
#include "runtime/emulator/driver/messages.h"
#include "runtime/emulator/driver/settings.h"

namespace nibble::emulator::driver {

namespace {

// Host and managed memory, and the variables of modules, beyond what the devices have.
constexpr uint64_t kHostBytes = 64ull << 30;

std::atomic<Driver*> the_driver{nullptr};
std::mutex start_mutex;

uint64_t capacity() {
  uint64_t bytes = kHostBytes;
  for (const DeviceModel* model : settings().devices) bytes += model->memory_bytes;
  return bytes;
}

// What this library was compiled for and the CPU does not have; null when it has all.
const char* missing_cpu_feature() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2")) return "AVX2";
#endif
#if defined(__FMA__)
  if (!__builtin_cpu_supports("fma")) return "FMA";
#endif
#endif
  return nullptr;
}

std::chrono::steady_clock::time_point start_time;

void print_counters() {
  report_counters();
  if (!settings().machine.counters) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_time;
  std::fprintf(stderr, "nibble emulator: %llu warp instructions, %.3f s since cuInit\n",
               static_cast<unsigned long long>(executed_warp_instructions()), elapsed.count());
}

}  // namespace

Driver::Driver() : memory(capacity(), settings().machine.check_uninitialized) {
  int ordinal = 0;
  for (const DeviceModel* model : settings().devices) {
    Device& device = devices.emplace_back();
    device.ordinal = ordinal++;
    device.model = model;
    device.primary = &new_context(device, 0, true);
  }
}

Context& Driver::new_context(Device& device, unsigned flags, bool primary) {
  auto context = std::make_shared<Context>(device, flags, primary);
  context->alive = !primary;
  const std::lock_guard lock(mutex_);
  all_contexts_.push_back(context);
  contexts.add(context->handle, context);
  return *context;
}

CUresult start() {
  const std::lock_guard lock(start_mutex);
  if (the_driver != nullptr) return CUDA_SUCCESS;
  if (const char* const feature = missing_cpu_feature()) {
    say("this build needs a CPU with " + std::string(feature) +
        "; build with -DNIBBLE_EMULATOR_MARCH=x86-64 for this one");
    return CUDA_ERROR_NO_DEVICE;
  }
  if (!settings().error.empty()) {
    say(settings().error);
    return CUDA_ERROR_NO_DEVICE;
  }
  // Never destroyed: a program may call the driver while it exits.
  the_driver = new Driver;
  start_time = std::chrono::steady_clock::now();
  if (settings().machine.counters || settings().machine.trace) std::atexit(print_counters);
  return CUDA_SUCCESS;
}

Driver* started() { return the_driver; }

}  // namespace nibble::emulator::driver
