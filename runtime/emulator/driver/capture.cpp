// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Stream capture: work becomes nodes of a graph. Streams join through events and must have been
// waited for by the first stream when the capture ends.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "runtime/emulator/driver/driver.h"

namespace nibble::emulator::driver {

namespace {

// Captures under way that forbid unsafe calls: global ones to every thread, thread-local ones to
// the thread that began them.
struct ActiveCaptures {
  std::mutex mutex;
  std::vector<std::weak_ptr<Capture>> captures;
};

ActiveCaptures& active() {
  static auto* const kActive = new ActiveCaptures;
  return *kActive;
}

thread_local CUstreamCaptureMode t_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

// All nodes that `nodes` come after, themselves included.
std::set<const GraphNode*> collect(const NodeList& nodes) {
  std::set<const GraphNode*> reached;
  std::vector<const GraphNode*> open;
  const auto reach = [&](const NodeList& found) {
    for (const auto& node : found) {
      if (reached.insert(node.get()).second) open.push_back(node.get());
    }
  };
  reach(nodes);
  while (!open.empty()) {
    const GraphNode* const node = open.back();
    open.pop_back();
    reach(node->dependencies);
  }
  return reached;
}

}  // namespace

CUstreamCaptureMode exchange_capture_mode(CUstreamCaptureMode mode) {
  return std::exchange(t_mode, mode);
}

CUresult check_unsafe_call() {
  if (in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
  if (t_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  ActiveCaptures& all = active();
  const std::lock_guard lock(all.mutex);
  CUresult result = CUDA_SUCCESS;
  for (const std::weak_ptr<Capture>& weak : all.captures) {
    const std::shared_ptr<Capture> capture = weak.lock();
    if (capture == nullptr) continue;
    const bool own = capture->thread == std::this_thread::get_id();
    const bool forbids = capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL
                             ? own || t_mode == CU_STREAM_CAPTURE_MODE_GLOBAL
                             : capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && own;
    if (!forbids) continue;
    capture->valid = false;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

GraphNode::~GraphNode() {
  NodeList last = std::move(dependencies);  // those that nobody else holds go with this node
  while (!last.empty()) {
    const std::shared_ptr<const GraphNode> node = std::move(last.back());
    last.pop_back();
    if (node.use_count() != 1) continue;
    std::move(node->dependencies.begin(), node->dependencies.end(), std::back_inserter(last));
    node->dependencies.clear();
  }
}

std::shared_ptr<const GraphNode> Graph::add(CUgraphNodeType type, Context& context, Work work,
                                            NodeList dependencies) {
  auto node = std::make_shared<GraphNode>();
  node->type = type;
  node->context = &context;
  node->work = std::move(work);
  node->dependencies = std::move(dependencies);
  const std::lock_guard lock(mutex);
  nodes.push_back(node);
  return node;
}

void run_nodes(const NodeList& nodes) {
  for (const auto& node : nodes) {
    if (node->context->fault != CUDA_SUCCESS) return;
    if (node->work) node->work();
  }
}

std::shared_ptr<Capture> Stream::capture() const {
  const std::lock_guard lock(mutex_);
  return capture_;
}

NodeList Stream::capture_dependencies() const {
  const std::lock_guard lock(mutex_);
  return dependencies_;
}

void Stream::set_capture_dependencies(NodeList nodes) {
  const std::lock_guard lock(mutex_);
  dependencies_ = std::move(nodes);
}

CUresult Stream::begin_capture(CUstreamCaptureMode mode, std::shared_ptr<Graph> graph) {
  if (kind == Kind::kLegacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const std::lock_guard lock(mutex_);
  if (capture_ != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  auto capture = std::make_shared<Capture>();
  capture->graph = std::move(graph);
  capture->origin = this;
  capture->mode = mode;
  capture->id = next_handle_value();
  capture->thread = std::this_thread::get_id();
  capture->joined.push_back(shared_from_this());
  ActiveCaptures& all = active();
  {
    const std::lock_guard active_lock(all.mutex);
    std::erase_if(all.captures, [](const auto& weak) { return weak.expired(); });
    all.captures.push_back(capture);
  }
  capture_ = std::move(capture);
  dependencies_.clear();
  if (blocking()) ++context.blocking_captures;
  return CUDA_SUCCESS;
}

CUresult Stream::join(const std::shared_ptr<Capture>& capture, const NodeList& nodes) {
  if (kind == Kind::kLegacy) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  const std::lock_guard lock(mutex_);
  if (capture_ != nullptr && capture_ != capture) {
    capture_->valid = false;
    capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (!capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (capture_ == nullptr) {
    capture_ = capture;
    dependencies_.clear();
    if (blocking()) ++context.blocking_captures;
    const std::lock_guard graph_lock(capture->graph->mutex);
    capture->joined.push_back(shared_from_this());
  }
  for (const auto& node : nodes) {
    if (std::find(dependencies_.begin(), dependencies_.end(), node) == dependencies_.end()) {
      dependencies_.push_back(node);
    }
  }
  return CUDA_SUCCESS;
}

void Stream::leave_capture() {
  const std::lock_guard lock(mutex_);
  if (capture_ == nullptr) return;
  capture_.reset();
  dependencies_.clear();
  if (blocking()) --context.blocking_captures;
}

CUresult Stream::end_capture(std::shared_ptr<Graph>& graph) {
  const std::shared_ptr<Capture> capturing = capture();
  if (capturing == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  if (capturing->origin != this) {
    capturing->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  if (capturing->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
      capturing->thread != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  const std::set<const GraphNode*> reached = collect(capture_dependencies());
  bool all_reached = true;
  std::vector<std::shared_ptr<Stream>> joined;
  {
    const std::lock_guard lock(capturing->graph->mutex);
    joined = capturing->joined;
  }
  for (const std::shared_ptr<Stream>& stream : joined) {
    for (const auto& node : stream->capture_dependencies()) {
      all_reached = all_reached && reached.count(node.get()) > 0;
    }
    stream->leave_capture();
  }
  // The streams hold the capture and it them: let go.
  capturing->joined.clear();
  if (!capturing->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (!all_reached) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  graph = capturing->graph;
  // An event may hold the capture no longer than it lasts.
  ActiveCaptures& all = active();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.captures, [&](const auto& weak) { return weak.lock() == capturing; });
  return CUDA_SUCCESS;
}

}  // namespace nibble::emulator::driver
