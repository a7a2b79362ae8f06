// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/context.h"

#include <algorithm>

#include "runtime/emulator/driver/driver.h"
#include "runtime/emulator/driver/messages.h"

namespace nibble::emulator::driver {

namespace {

// By CUlimit: stack, printf buffer, heap, synchronisation depth, pending launches, L2 fetch
// granularity, persisting L2 bytes, shared memory, and two of graphics. The driver's defaults.
constexpr std::array<size_t, kLimits> kDefaultLimits{1024, 8 << 20, 8 << 20, 2, 2048,
                                                     64,   0,       0,       0, 0};

}  // namespace

Context::Context(Device& device, unsigned flags, bool primary)
    : handle(new_handle<CUcontext>()),
      device(device),
      primary(primary),
      flags(flags),
      limits(kDefaultLimits),
      legacy(std::make_shared<Stream>(*this, Stream::Kind::kLegacy, CU_STREAM_DEFAULT, 0)) {}

void Context::fail(CUresult code, std::string_view report) {
  CUresult expected = CUDA_SUCCESS;
  if (fault.compare_exchange_strong(expected, code)) say(report);
}

std::shared_ptr<Stream> Context::per_thread() {
  const std::lock_guard lock(mutex);
  std::shared_ptr<Stream>& stream = per_thread_[std::this_thread::get_id()];
  if (stream == nullptr) {
    stream = std::make_shared<Stream>(*this, Stream::Kind::kPerThread, CU_STREAM_DEFAULT, 0);
  }
  return stream;
}

void Context::leave_captures() {
  const std::lock_guard lock(mutex);
  for (const auto& [thread, stream] : per_thread_) stream->leave_capture();
}

void reset(Context& context) {
  Driver& driver = *started();
  driver.functions.remove_if([&](const LoadedFunction& it) { return it.context == &context; });
  driver.modules.remove_if([&](const LoadedModule& it) { return it.context == &context; });
  driver.streams.remove_if([&](Stream& it) {
    const bool own = &it.context == &context;
    if (own) it.leave_capture();
    return own;
  });
  context.leave_captures();
  driver.events.remove_if([&](const Event& it) { return &it.context == &context; });
  driver.memory.free_all(context);
  {
    const std::lock_guard lock(context.mutex);
    context.limits = kDefaultLimits;
  }
  context.blocking_captures = 0;
  context.fault = CUDA_SUCCESS;
}

namespace current {

namespace {

thread_local std::vector<Context*> t_stack;

}  // namespace

Context* get() { return t_stack.empty() ? nullptr : t_stack.back(); }

void set(Context* context) {
  if (!t_stack.empty()) t_stack.pop_back();
  if (context != nullptr) t_stack.push_back(context);
}

void push(Context& context) { t_stack.push_back(&context); }

Context* pop() {
  Context* const context = get();
  if (context != nullptr) t_stack.pop_back();
  return context;
}

}  // namespace current

}  // namespace nibble::emulator::driver
