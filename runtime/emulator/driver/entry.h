// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What every entry point of the driver is made of: exported under its C name, no exception leaves
// it, and it needs a started driver or a context that is well.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "runtime/emulator/driver/driver.h"
#include "runtime/emulator/driver/messages.h"

#define NIBBLE_ENTRY extern "C" __attribute__((visibility("default")))
// A second symbol of an entry point above.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declared name does not stand in parentheses
#define NIBBLE_ALIAS(name, entry) NIBBLE_ENTRY decltype(entry) name __attribute__((alias(#entry)))

namespace nibble::emulator::driver {

template <class Body>
CUresult guard(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    say(std::string("internal error: ") + error.what());
    return CUDA_ERROR_UNKNOWN;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

// body(Driver&)
template <class Body>
CUresult with_driver(Body&& body) noexcept {
  return guard([&] {
    Driver* const driver = started();
    return driver == nullptr ? CUDA_ERROR_NOT_INITIALIZED : body(*driver);
  });
}

// body(Driver&, Context&): the current context, whatever its state.
template <class Body>
CUresult with_any_context(Body&& body) noexcept {
  return with_driver([&](Driver& driver) {
    Context* const context = current::get();
    if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return body(driver, *context);
  });
}

// body(Driver&, Context&): the current context, without a fault.
template <class Body>
CUresult with_context(Body&& body) noexcept {
  return with_any_context([&](Driver& driver, Context& context) {
    const CUresult fault = context.fault;
    return fault != CUDA_SUCCESS ? fault : body(driver, context);
  });
}

// The same for a call that may not happen while the thread's captures forbid it.
template <class Body>
CUresult with_context_unsafe(Body&& body) noexcept {
  return with_context([&](Driver& driver, Context& context) {
    const CUresult captured = check_unsafe_call();
    return captured != CUDA_SUCCESS ? captured : body(driver, context);
  });
}

// body(Driver&, Device&)
template <class Body>
CUresult with_device(CUdevice device, Body&& body) noexcept {
  return with_driver([&](Driver& driver) {
    if (device < 0 || device >= static_cast<int>(driver.devices.size())) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
    return body(driver, driver.devices[static_cast<size_t>(device)]);
  });
}

// body(Driver&, Context&, Stream&)
template <class Body>
CUresult with_stream(CUstream handle, Body&& body) noexcept {
  return with_context([&](Driver& driver, Context& context) {
    const std::shared_ptr<Stream> stream = find_stream(driver, context, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    return body(driver, stream->context, *stream);
  });
}

inline CUresult not_supported(const std::string& what) {
  say(what + " is not supported by the emulator");
  return CUDA_ERROR_NOT_SUPPORTED;
}

}  // namespace nibble::emulator::driver
