// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: streams and events.
#include <algorithm>

#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

constexpr int kGreatestPriority = -5;

// body(Event&)
template <class Body>
CUresult with_event(CUevent handle, Body&& body) {
  return with_context([&](Driver& driver, Context&) {
    const auto event = driver.events.find(handle);
    return event == nullptr ? CUDA_ERROR_INVALID_HANDLE : body(*event);
  });
}

// Whether the event's last record is done: all is, unless it waits in a graph.
CUresult check_done(Event& event) {
  if (in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
  const std::lock_guard lock(event.mutex);
  const auto capture = event.capture.lock();
  if (capture == nullptr) return CUDA_SUCCESS;
  capture->valid = false;
  return CUDA_ERROR_CAPTURED_EVENT;
}

}  // namespace

NIBBLE_ENTRY CUresult cuStreamCreateWithPriority(CUstream* handle, unsigned flags, int priority) {
  return with_context([&](Driver& driver, Context& context) {
    if (handle == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    auto stream = std::make_shared<Stream>(context, Stream::Kind::kCreated, flags,
                                           std::clamp(priority, kGreatestPriority, 0));
    *handle = stream->handle;
    driver.streams.add(*handle, std::move(stream));
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamCreate(CUstream* handle, unsigned flags) {
  return cuStreamCreateWithPriority(handle, flags, 0);
}

NIBBLE_ENTRY CUresult cuStreamDestroy_v2(CUstream handle) {
  return with_any_context([&](Driver& driver, Context&) {
    const auto stream = driver.streams.remove(handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const auto capture = stream->capture()) capture->valid = false;
    stream->leave_capture();
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuStreamDestroy, cuStreamDestroy_v2);

NIBBLE_ENTRY CUresult cuStreamSynchronize(CUstream handle) {
  return with_stream(handle, [](Driver&, Context&, Stream& stream) {
    const CUresult result = stream.check_wait();
    // The stream's context need not be the current one.
    return result != CUDA_SUCCESS ? result : stream.context.fault.load();
  });
}
NIBBLE_ALIAS(cuStreamQuery, cuStreamSynchronize);

NIBBLE_ENTRY CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    if (flags > 1) return CUDA_ERROR_INVALID_VALUE;
    const auto event = driver.events.find(event_handle);
    return event == nullptr ? CUDA_ERROR_INVALID_HANDLE : wait(stream, *event);
  });
}

NIBBLE_ENTRY CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void* data,
                                          unsigned flags) {
  return with_stream(handle, [&](Driver&, Context& context, Stream& stream) {
    if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (stream.capture() != nullptr) return stream.check_wait();
    return stream.submit(CU_GRAPH_NODE_TYPE_HOST, [&context, handle, callback, data] {
      call_host_function([&] { callback(handle, context.fault, data); });
    });
  });
}

NIBBLE_ENTRY CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *priority = stream.priority;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = stream.flags;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamGetId(CUstream handle, unsigned long long* id) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *id = stream.id;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamGetCtx(CUstream handle, CUcontext* context) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = stream.context.handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamGetDevice(CUstream handle, CUdevice* device) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = stream.context.device.ordinal;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuStreamAttachMemAsync(CUstream handle, CUdeviceptr address, size_t,
                                             unsigned) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream&) {
    const auto region = driver.memory.find(address);
    const bool managed = region && region->kind == MemoryKind::kManaged;
    return managed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

NIBBLE_ENTRY CUresult cuEventCreate(CUevent* handle, unsigned flags) {
  return with_context([&](Driver& driver, Context& context) {
    constexpr unsigned kFlags = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CU_EVENT_INTERPROCESS) != 0) return not_supported("an event between processes");
    if ((flags & ~kFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    auto event = std::make_shared<Event>(context, flags);
    *handle = event->handle;
    driver.events.add(*handle, std::move(event));
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuEventDestroy_v2(CUevent handle) {
  return with_any_context([&](Driver& driver, Context&) {
    return driver.events.remove(handle) == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuEventDestroy, cuEventDestroy_v2);

NIBBLE_ENTRY CUresult cuEventRecordWithFlags(CUevent event_handle, CUstream handle,
                                             unsigned flags) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    if (flags > CU_EVENT_RECORD_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
    const auto event = driver.events.find(event_handle);
    return event == nullptr ? CUDA_ERROR_INVALID_HANDLE : record(*event, stream);
  });
}

NIBBLE_ENTRY CUresult cuEventRecord(CUevent event, CUstream stream) {
  return cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_DEFAULT);
}

NIBBLE_ENTRY CUresult cuEventSynchronize(CUevent handle) { return with_event(handle, check_done); }
NIBBLE_ALIAS(cuEventQuery, cuEventSynchronize);

NIBBLE_ENTRY CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent stop) {
  return with_event(start, [&](Event& first) {
    return with_event(stop, [&](Event& last) {
      if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
      if (((first.flags | last.flags) & CU_EVENT_DISABLE_TIMING) != 0) {
        return CUDA_ERROR_INVALID_HANDLE;
      }
      const auto time_of = [](Event& event) {
        const std::lock_guard lock(event.mutex);
        return event.time;
      };
      const auto from = time_of(first), to = time_of(last);
      if (!from || !to) return CUDA_ERROR_INVALID_HANDLE;
      *milliseconds = std::chrono::duration<float, std::milli>(*to - *from).count();
      return CUDA_SUCCESS;
    });
  });
}
NIBBLE_ALIAS(cuEventElapsedTime, cuEventElapsedTime_v2);
