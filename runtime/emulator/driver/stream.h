// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Streams, events and the graphs that streams are captured into. All work goes through
// Stream::submit, which runs it before it returns: the one place for an asynchronous engine.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/driver/context.h"
#include "runtime/emulator/driver/handles.h"

namespace nibble::emulator::driver {

struct Driver;

using Work = std::function<void()>;

struct GraphNode {
  GraphNode() = default;
  ~GraphNode();  // without recursion: captures make chains of any length
  GraphNode(const GraphNode&) = delete;
  GraphNode& operator=(const GraphNode&) = delete;

  CUgraphNode handle = new_handle<CUgraphNode>();
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  Context* context = nullptr;
  Work work;
  mutable std::vector<std::shared_ptr<const GraphNode>> dependencies;  // ~GraphNode takes them
};
using NodeList = std::vector<std::shared_ptr<const GraphNode>>;

// Nodes are in an order in which they may run: a node comes after all that it depends on.
struct Graph {
  CUgraph handle = nullptr;
  std::mutex mutex;
  NodeList nodes;

  std::shared_ptr<const GraphNode> add(CUgraphNodeType type, Context& context, Work work,
                                       NodeList dependencies);
};

struct GraphExec {
  CUgraphExec handle = nullptr;
  std::mutex mutex;
  NodeList nodes;
  cuuint64_t flags = 0;
};

// Runs the nodes in their order; stops at a fault.
void run_nodes(const NodeList& nodes);

struct Capture {
  std::shared_ptr<Graph> graph;
  Stream* origin = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  cuuint64_t id = 0;
  std::thread::id thread;
  std::atomic<bool> valid{true};
  std::vector<std::shared_ptr<Stream>> joined;
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  enum class Kind : uint8_t { kCreated, kLegacy, kPerThread };
  Stream(Context& context, Kind kind, unsigned flags, int priority);

  const CUstream handle;
  const cuuint64_t id;
  Context& context;
  const Kind kind;
  const unsigned flags;
  const int priority;

  // Runs `work` after all that was submitted before, or adds it to the graph that is captured.
  CUresult submit(CUgraphNodeType type, Work work);

  CUresult begin_capture(CUstreamCaptureMode mode, std::shared_ptr<Graph> graph);
  // Null graph with an error for a capture that went wrong; it is over then.
  CUresult end_capture(std::shared_ptr<Graph>& graph);
  std::shared_ptr<Capture> capture() const;  // null: none
  NodeList capture_dependencies() const;
  void set_capture_dependencies(NodeList nodes);
  // Makes this stream part of another's capture, after `nodes`.
  CUresult join(const std::shared_ptr<Capture>& capture, const NodeList& nodes);
  // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, and the capture is invalid, when there is one: of calls
  // that wait.
  CUresult check_wait() const;
  void leave_capture();

 private:
  bool blocking() const { return (flags & CU_STREAM_NON_BLOCKING) == 0; }

  std::mutex execution_;
  mutable std::mutex mutex_;
  std::shared_ptr<Capture> capture_;
  NodeList dependencies_;
};

struct Event {
  Event(Context& context, unsigned flags);

  const CUevent handle;
  Context& context;
  const unsigned flags;

  std::mutex mutex;
  std::optional<std::chrono::steady_clock::time_point> time;  // of the last record
  std::weak_ptr<Capture> capture;                             // that it was last recorded in
  NodeList nodes;
};

// The stream behind a handle; null, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD name the default
// streams of `context`. Null for a stale one.
std::shared_ptr<Stream> find_stream(Driver& driver, Context& context, CUstream handle);

// Records `event` at the end of what `stream` holds.
CUresult record(Event& event, Stream& stream);
// Lets `stream` go on after the last record of `event`.
CUresult wait(Stream& stream, Event& event);

// CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED while a capture under way forbids calls that may wait for
// the device (allocation, synchronous copies); that capture is invalid then.
CUresult check_unsafe_call();
// Swaps the calling thread's mode, which says how captures of others bear on its calls.
CUstreamCaptureMode exchange_capture_mode(CUstreamCaptureMode mode);
// Whether the calling thread is in a host function of a stream, where no call is allowed.
bool in_host_function();
// Calls `function` as a stream does.
void call_host_function(const std::function<void()>& function);

}  // namespace nibble::emulator::driver
