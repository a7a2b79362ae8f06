// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls about order: streams, events, captures, graphs, host functions.
#include <array>

#include "tests/emulator/fuzz/driver_world.h"

namespace nibble::fuzz {
namespace {

CUstream stream_of(World& world) { return world.handle<CUstream>(Kind::kStream); }
CUevent event_of(World& world) { return world.handle<CUevent>(Kind::kEvent); }

void create_stream(World& world, void* function) {
  auto* const stream = world.out<CUstream>();
  world.keep(Kind::kStream,
             call<CUstream*, unsigned, int>(function, stream, world.any<unsigned>(1),
                                            static_cast<int>(world.random.number())),
             stream);
}
void create_event(World& world, void* function) {
  auto* const event = world.out<CUevent>();
  world.keep(Kind::kEvent, call<CUevent*, unsigned>(function, event, world.any<unsigned>(3)),
             event);
}
void begin_capture(World& world, void* function) {
  call<CUstream, CUstreamCaptureMode>(
      function, stream_of(world),
      world.random.one_in(2) ? CU_STREAM_CAPTURE_MODE_RELAXED : world.any<CUstreamCaptureMode>(2));
}
void end_capture(World& world, void* function) {
  auto* const graph = world.out<CUgraph>();
  world.keep(Kind::kGraph, call<CUstream, CUgraph*>(function, stream_of(world), graph), graph);
}
void capture_info(World& world, void* function) {
  auto* const nodes = world.out<const CUgraphNode*>();
  auto* const count = world.out<size_t>();
  auto* const graph = world.out<CUgraph>();
  const CUresult result =
      call<CUstream, CUstreamCaptureStatus*, cuuint64_t*, CUgraph*, const CUgraphNode**, size_t*>(
          function, stream_of(world), world.out<CUstreamCaptureStatus>(), world.out<cuuint64_t>(),
          graph, nodes, count);
  world.keep(Kind::kGraph, result, graph);
  if (nodes == nullptr || count == nullptr || *nodes == nullptr) return;
  for (size_t i = 0; i < *count; ++i) world.keep(Kind::kNode, result, *nodes + i);
}
void create_graph(World& world, void* function) {
  if (!world.random.one_in(4)) return;  // an empty one: those of captures have more to find
  auto* const graph = world.out<CUgraph>();
  world.keep(Kind::kGraph, call<CUgraph*, unsigned>(function, graph, world.any<unsigned>(1)),
             graph);
}
void graph_nodes(World& world, void* function) {
  std::array<CUgraphNode, 8> nodes{};
  size_t count = world.random.below(9);
  call<CUgraph, CUgraphNode*, size_t*>(function, world.handle<CUgraph>(Kind::kGraph),
                                       world.random.one_in(3) ? nullptr : nodes.data(),
                                       world.random.one_in(16) ? nullptr : &count);
}
void instantiate(World& world, void* function) {
  auto* const exec = world.out<CUgraphExec>();
  world.keep(Kind::kExec,
             call<CUgraphExec*, CUgraph, unsigned long long>(
                 function, exec, world.handle<CUgraph>(Kind::kGraph),
                 world.random.one_in(3) ? world.any<unsigned long long>(8) : 0),
             exec);
}
void instantiate_with_parameters(World& world, void* function) {
  auto* const exec = world.out<CUgraphExec>();
  CUDA_GRAPH_INSTANTIATE_PARAMS parameters{};
  parameters.flags = world.any<cuuint64_t>(8);
  world.keep(Kind::kExec,
             call<CUgraphExec*, CUgraph, CUDA_GRAPH_INSTANTIATE_PARAMS*>(
                 function, exec, world.handle<CUgraph>(Kind::kGraph),
                 world.random.one_in(16) ? nullptr : &parameters),
             exec);
}

// What a stream calls may call nothing; it tries.
void* launch_in_host_function = nullptr;
void host_function(void* data) {
  if (launch_in_host_function == nullptr) return;
  call<CUstream>(launch_in_host_function, static_cast<CUstream>(data));
}
void stream_callback(CUstream stream, CUresult, void*) { host_function(stream); }

void launch_host_function(World& world, void* function) {
  call<CUstream, CUhostFn, void*>(function, stream_of(world),
                                  world.random.one_in(16) ? nullptr : host_function,
                                  stream_of(world));
}
void add_callback(World& world, void* function) {
  call<CUstream, CUstreamCallback, void*, unsigned>(
      function, stream_of(world), world.random.one_in(16) ? nullptr : stream_callback, nullptr,
      world.any<unsigned>(1));
}
void synchronize(World& world, void* function) {
  launch_in_host_function = function;
  call<CUstream>(function, stream_of(world));
}

template <class Value>
void stream_value(World& world, void* function) {
  call<CUstream, Value*>(function, stream_of(world), world.out<Value>());
}

constexpr Call kCalls[] = {
    {"cuStreamCreateWithPriority", create_stream},
    {"cuStreamCreateWithPriority", create_stream},
    {"cuStreamDestroy_v2",
     [](World& world, void* function) { call<CUstream>(function, stream_of(world)); }},
    {"cuStreamSynchronize", synchronize},
    {"cuStreamQuery", synchronize},
    {"cuStreamWaitEvent",
     [](World& world, void* function) {
       call<CUstream, CUevent, unsigned>(function, stream_of(world), event_of(world),
                                         world.any<unsigned>(1));
     }},
    {"cuStreamGetPriority", stream_value<int>},
    {"cuStreamGetFlags", stream_value<unsigned>},
    {"cuStreamGetId", stream_value<unsigned long long>},
    {"cuStreamGetCtx", stream_value<CUcontext>},
    {"cuStreamIsCapturing", stream_value<CUstreamCaptureStatus>},
    {"cuStreamBeginCapture_v2", begin_capture},
    {"cuStreamBeginCapture_v2", begin_capture},
    {"cuStreamEndCapture", end_capture},
    {"cuStreamEndCapture", end_capture},
    {"cuStreamEndCapture_ptsz", end_capture},
    {"cuStreamGetCaptureInfo_v2", capture_info},
    {"cuThreadExchangeStreamCaptureMode",
     [](World& world, void* function) {
       auto* const mode = world.out<CUstreamCaptureMode>();
       if (mode != nullptr) *mode = world.any<CUstreamCaptureMode>(2);
       call<CUstreamCaptureMode*>(function, mode);
     }},
    {"cuEventCreate", create_event},
    {"cuEventCreate", create_event},
    {"cuEventDestroy_v2",
     [](World& world, void* function) { call<CUevent>(function, event_of(world)); }},
    {"cuEventRecordWithFlags",
     [](World& world, void* function) {
       call<CUevent, CUstream, unsigned>(function, event_of(world), stream_of(world),
                                         world.any<unsigned>(1));
     }},
    {"cuEventSynchronize",
     [](World& world, void* function) { call<CUevent>(function, event_of(world)); }},
    {"cuEventElapsedTime_v2",
     [](World& world, void* function) {
       call<float*, CUevent, CUevent>(function, world.out<float>(), event_of(world),
                                      event_of(world));
     }},
    {"cuGraphCreate", create_graph},
    {"cuGraphDestroy",
     [](World& world, void* function) {
       call<CUgraph>(function, world.handle<CUgraph>(Kind::kGraph));
     }},
    {"cuGraphGetNodes", graph_nodes},
    {"cuGraphInstantiateWithFlags", instantiate},
    {"cuGraphInstantiateWithFlags", instantiate},
    {"cuGraphInstantiateWithParams", instantiate_with_parameters},
    {"cuGraphExecDestroy",
     [](World& world, void* function) {
       call<CUgraphExec>(function, world.handle<CUgraphExec>(Kind::kExec));
     }},
    {"cuGraphLaunch",
     [](World& world, void* function) {
       call<CUgraphExec, CUstream>(function, world.handle<CUgraphExec>(Kind::kExec),
                                   stream_of(world));
     }},
    {"cuGraphLaunch",
     [](World& world, void* function) {
       call<CUgraphExec, CUstream>(function, world.handle<CUgraphExec>(Kind::kExec),
                                   stream_of(world));
     }},
    {"cuLaunchHostFunc", launch_host_function},
    {"cuStreamAddCallback", add_callback},
};

}  // namespace

std::span<const Call> stream_calls() { return kCalls; }

}  // namespace nibble::fuzz
