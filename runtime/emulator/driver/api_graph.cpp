// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: stream capture and graphs.
#include <algorithm>

#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

std::shared_ptr<Graph> new_graph() {
  auto graph = std::make_shared<Graph>();
  graph->handle = new_handle<CUgraph>();
  return graph;
}

// body(Driver&, Graph&)
template <class Body>
CUresult with_graph(CUgraph handle, Body&& body) {
  return with_driver([&](Driver& driver) {
    const auto graph = driver.graphs.find(handle);
    return graph == nullptr ? CUDA_ERROR_INVALID_VALUE : body(driver, *graph);
  });
}

CUresult instantiate(CUgraphExec* exec, CUgraph handle, cuuint64_t flags) {
  return with_graph(handle, [&](Driver& driver, Graph& graph) {
    constexpr cuuint64_t kKnown = 1 | 2 | 8;  // auto free, upload, node priorities
    if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & 4) != 0) return not_supported("launching a graph from a kernel");
    if ((flags & ~kKnown) != 0) return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_shared<GraphExec>();
    made->handle = new_handle<CUgraphExec>();
    made->flags = flags;
    {
      const std::lock_guard lock(graph.mutex);
      made->nodes = graph.nodes;
    }
    *exec = made->handle;
    driver.graph_execs.add(made->handle, made);
    return CUDA_SUCCESS;
  });
}

CUresult capture_info(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id,
                      CUgraph* graph, const CUgraphNode** dependencies, size_t* count) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    // As long as the thread asks for no other.
    thread_local std::vector<CUgraphNode> nodes;
    nodes.clear();
    const auto capture = stream.capture();
    *status = capture == nullptr ? CU_STREAM_CAPTURE_STATUS_NONE
              : capture->valid   ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                 : CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    if (capture == nullptr) return CUDA_SUCCESS;
    for (const auto& node : stream.capture_dependencies()) nodes.push_back(node->handle);
    if (id != nullptr) *id = capture->id;
    if (graph != nullptr) *graph = capture->graph->handle;
    if (dependencies != nullptr) *dependencies = nodes.data();
    if (count != nullptr) *count = nodes.size();
    return CUDA_SUCCESS;
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (mode < 0 || mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
    return stream.begin_capture(mode, new_graph());
  });
}

NIBBLE_ENTRY CUresult cuStreamBeginCapture(CUstream handle) {
  return cuStreamBeginCapture_v2(handle, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

NIBBLE_ENTRY CUresult cuStreamEndCapture(CUstream handle, CUgraph* result) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Graph> graph;
    const CUresult code = stream.end_capture(graph);
    *result = graph == nullptr ? nullptr : graph->handle;
    if (graph != nullptr) driver.graphs.add(graph->handle, graph);
    return code;
  });
}

NIBBLE_ENTRY CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  return with_stream(handle, [&](Driver&, Context& context, Stream& stream) {
    if (stream.kind == Stream::Kind::kLegacy && context.blocking_captures > 0) {
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    return capture_info(stream.kind == Stream::Kind::kPerThread ? CU_STREAM_PER_THREAD : handle,
                        status, nullptr, nullptr, nullptr, nullptr);
  });
}

NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus* status,
                                             cuuint64_t* id) {
  return capture_info(handle, status, id, nullptr, nullptr, nullptr);
}

NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus* status,
                                                cuuint64_t* id, CUgraph* graph,
                                                const CUgraphNode** dependencies, size_t* count) {
  return capture_info(handle, status, id, graph, dependencies, count);
}

NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus* status,
                                                cuuint64_t* id, CUgraph* graph,
                                                const CUgraphNode** dependencies,
                                                const CUgraphEdgeData** edges, size_t* count) {
  if (edges != nullptr) *edges = nullptr;  // all edges are plain
  return capture_info(handle, status, id, graph, dependencies, count);
}

NIBBLE_ENTRY CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return with_driver([&](Driver&) {
    if (mode == nullptr || *mode < 0 || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *mode = exchange_capture_mode(*mode);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuGraphCreate(CUgraph* handle, unsigned flags) {
  return with_driver([&](Driver& driver) {
    if (handle == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const auto graph = new_graph();
    *handle = graph->handle;
    driver.graphs.add(graph->handle, graph);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuGraphDestroy(CUgraph handle) {
  return with_driver([&](Driver& driver) {
    return driver.graphs.remove(handle) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
  return with_graph(handle, [&](Driver&, Graph& graph) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(graph.mutex);
    if (nodes == nullptr) {
      *count = graph.nodes.size();
      return CUDA_SUCCESS;
    }
    for (size_t i = 0; i < *count; ++i) {
      nodes[i] = i < graph.nodes.size() ? graph.nodes[i]->handle : nullptr;
    }
    *count = std::min(*count, graph.nodes.size());
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph,
                                                  unsigned long long flags) {
  return instantiate(exec, graph, flags);
}

NIBBLE_ENTRY CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph,
                                            CUgraphNode* error_node, char* log, size_t log_bytes) {
  if (error_node != nullptr) *error_node = nullptr;
  if (log != nullptr && log_bytes > 0) *log = '\0';
  return instantiate(exec, graph, 0);
}
NIBBLE_ALIAS(cuGraphInstantiate, cuGraphInstantiate_v2);

NIBBLE_ENTRY CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                                   CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  if (parameters == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = instantiate(exec, graph, parameters->flags);
  parameters->hErrNode_out = nullptr;
  parameters->result_out =
      result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  return result;
}

NIBBLE_ENTRY CUresult cuGraphExecDestroy(CUgraphExec handle) {
  return with_driver([&](Driver& driver) {
    return driver.graph_execs.remove(handle) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuGraphLaunch(CUgraphExec exec_handle, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    const auto exec = driver.graph_execs.find(exec_handle);
    if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
    // Launches of one executable graph do not overlap.
    return stream.submit(CU_GRAPH_NODE_TYPE_GRAPH, [exec] {
      const std::lock_guard lock(exec->mutex);
      run_nodes(exec->nodes);
    });
  });
}

NIBBLE_ENTRY CUresult cuGraphUpload(CUgraphExec exec, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream&) {
    return driver.graph_execs.find(exec) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}
