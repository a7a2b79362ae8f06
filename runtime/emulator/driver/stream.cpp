// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/stream.h"

#include "runtime/emulator/driver/driver.h"

namespace nibble::emulator::driver {

namespace {

thread_local bool t_in_host_function = false;

}  // namespace

bool in_host_function() { return t_in_host_function; }

void call_host_function(const std::function<void()>& function) {
  t_in_host_function = true;
  function();
  t_in_host_function = false;
}

Stream::Stream(Context& context, Kind kind, unsigned flags, int priority)
    : handle(new_handle<CUstream>()),
      id(next_handle_value()),
      context(context),
      kind(kind),
      flags(flags),
      priority(priority) {}

CUresult Stream::submit(CUgraphNodeType type, Work work) {
  if (in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
  {
    const std::lock_guard lock(mutex_);
    if (capture_ != nullptr) {
      if (!capture_->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
      dependencies_ = {
          capture_->graph->add(type, context, std::move(work), std::move(dependencies_))};
      return CUDA_SUCCESS;
    }
  }
  // The legacy default stream would wait for the streams that are being captured.
  if (kind == Kind::kLegacy && context.blocking_captures > 0) {
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  const std::lock_guard lock(execution_);
  if (context.fault == CUDA_SUCCESS) work();
  return CUDA_SUCCESS;
}

CUresult Stream::check_wait() const {
  if (in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
  const std::shared_ptr<Capture> capturing = capture();
  if (capturing != nullptr) {
    capturing->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (kind == Kind::kLegacy && context.blocking_captures > 0) {
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  return CUDA_SUCCESS;
}

Event::Event(Context& context, unsigned flags)
    : handle(new_handle<CUevent>()), context(context), flags(flags) {}

std::shared_ptr<Stream> find_stream(Driver& driver, Context& context, CUstream handle) {
  if (handle == nullptr || handle == CU_STREAM_LEGACY) return context.legacy;
  if (handle == CU_STREAM_PER_THREAD) return context.per_thread();
  return driver.streams.find(handle);
}

CUresult record(Event& event, Stream& stream) {
  if (&event.context != &stream.context) return CUDA_ERROR_INVALID_HANDLE;
  if (const std::shared_ptr<Capture> capture = stream.capture()) {
    if (!capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    const std::lock_guard lock(event.mutex);
    event.capture = capture;
    event.nodes = stream.capture_dependencies();
    event.time.reset();
    return CUDA_SUCCESS;
  }
  return stream.submit(CU_GRAPH_NODE_TYPE_EVENT_RECORD, [&event] {
    const std::lock_guard lock(event.mutex);
    event.capture.reset();
    event.nodes.clear();
    event.time = std::chrono::steady_clock::now();
  });
}

CUresult wait(Stream& stream, Event& event) {
  std::shared_ptr<Capture> captured;
  NodeList nodes;
  bool recorded = false;
  {
    const std::lock_guard lock(event.mutex);
    captured = event.capture.lock();
    nodes = event.nodes;
    recorded = event.time.has_value();
  }
  if (captured != nullptr) return stream.join(captured, nodes);
  const std::shared_ptr<Capture> capturing = stream.capture();
  if (capturing != nullptr && recorded) {
    capturing->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  // Work submitted before has run, whatever its stream.
  return in_host_function() ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

}  // namespace nibble::emulator::driver
