// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A context: what belongs together on a device, and dies together when a kernel faults.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/machine/device.h"

namespace nibble::emulator::driver {

class Stream;
struct Context;

struct Device {
  int ordinal = 0;
  const DeviceModel* model = nullptr;
  Context* primary = nullptr;  // never null once the driver runs
  std::mutex mutex;
  unsigned primary_references = 0;
  unsigned primary_flags = 0;
};

constexpr size_t kLimits = 10;  // of CUlimit

// Lives as long as the driver: a destroyed one is no longer found by its handle, no more.
struct Context {
  Context(Device& device, unsigned flags, bool primary);

  const CUcontext handle;
  Device& device;
  const bool primary;
  std::atomic<unsigned> flags;
  unsigned version = 3020;
  std::atomic<bool> alive{true};

  // The error of the first fault: every later call returns it.
  std::atomic<CUresult> fault{CUDA_SUCCESS};
  // Ends the context with `code` and says `report`; of several faults the first counts.
  void fail(CUresult code, std::string_view report);

  // Captures under way on streams that synchronise with the legacy default stream.
  std::atomic<int> blocking_captures{0};

  std::mutex mutex;
  std::array<size_t, kLimits> limits;
  CUfunc_cache cache_config = CU_FUNC_CACHE_PREFER_NONE;

  std::shared_ptr<Stream> legacy;
  // The default stream of the calling thread.
  std::shared_ptr<Stream> per_thread();
  // Takes the default streams of all threads out of their captures.
  void leave_captures();

 private:
  std::map<std::thread::id, std::shared_ptr<Stream>> per_thread_;
};

// Puts a context back to its first state: nothing allocated, nothing loaded, no fault.
void reset(Context& context);

// The contexts of the calling thread, the current one last.
namespace current {
Context* get();  // null: none
void set(Context* context);
void push(Context& context);
Context* pop();  // null: none
}  // namespace current

}  // namespace nibble::emulator::driver
