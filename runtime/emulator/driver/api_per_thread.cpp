// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points of programs that are compiled for a default stream per thread: the null stream means
// CU_STREAM_PER_THREAD in them, and all else is the same.
#include "runtime/emulator/driver/entry.h"

namespace {

CUstream own(CUstream stream) { return stream == nullptr ? CU_STREAM_PER_THREAD : stream; }

}  // namespace

extern "C" {
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                           CUcontext from_context, size_t bytes, CUstream stream);
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* request, CUstream stream);
CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* request, CUstream stream);
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream);
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream);
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream);
CUresult cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width,
                           size_t height, CUstream stream);
CUresult cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width,
                            size_t height, CUstream stream);
CUresult cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width,
                            size_t height, CUstream stream);
CUresult cuMemPrefetchAsync(CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream);
CUresult cuMemPrefetchAsync_v2(CUdeviceptr address, size_t bytes, CUmemLocation location,
                               unsigned flags, CUstream stream);
CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream stream);
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream);
CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, size_t bytes, CUmemoryPool pool,
                                 CUstream stream);
CUresult cuStreamGetPriority(CUstream stream, int* priority);
CUresult cuStreamGetFlags(CUstream stream, unsigned* flags);
CUresult cuStreamGetId(CUstream stream, unsigned long long* id);
CUresult cuStreamGetCtx(CUstream stream, CUcontext* context);
CUresult cuStreamGetDevice(CUstream stream, CUdevice* device);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* data,
                             unsigned flags);
CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr address, size_t bytes, unsigned flags);
CUresult cuStreamQuery(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamBeginCapture(CUstream stream);
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph);
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status);
CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id);
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies, size_t* count);
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   const CUgraphEdgeData** edges, size_t* count);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags);
CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z,
                        unsigned dynamic_shared, CUstream stream, void** parameters, void** extra);
CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                   unsigned grid_z, unsigned block_x, unsigned block_y,
                                   unsigned block_z, unsigned dynamic_shared, CUstream stream,
                                   void** parameters);
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUresult cuGraphUpload(CUgraphExec exec, CUstream stream);
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra);
CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* parameters);
}

NIBBLE_ENTRY CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr to, const void* from, size_t bytes,
                                                CUstream stream) {
  return cuMemcpyHtoDAsync_v2(to, from, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpyDtoHAsync_v2_ptsz(void* to, CUdeviceptr from, size_t bytes,
                                                CUstream stream) {
  return cuMemcpyDtoHAsync_v2(to, from, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                                CUstream stream) {
  return cuMemcpyDtoDAsync_v2(to, from, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpyAsync_ptsz(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                         CUstream stream) {
  return cuMemcpyAsync(to, from, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                             CUcontext from_context, size_t bytes,
                                             CUstream stream) {
  return cuMemcpyPeerAsync(to, to_context, from, from_context, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D* request, CUstream stream) {
  return cuMemcpy2DAsync_v2(request, own(stream));
}
NIBBLE_ENTRY CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D* request, CUstream stream) {
  return cuMemcpy3DAsync_v2(request, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD8Async_ptsz(CUdeviceptr to, unsigned char value, size_t count,
                                           CUstream stream) {
  return cuMemsetD8Async(to, value, count, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD16Async_ptsz(CUdeviceptr to, unsigned short value, size_t count,
                                            CUstream stream) {
  return cuMemsetD16Async(to, value, count, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD32Async_ptsz(CUdeviceptr to, unsigned value, size_t count,
                                            CUstream stream) {
  return cuMemsetD32Async(to, value, count, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr to, size_t pitch, unsigned char value,
                                             size_t width, size_t height, CUstream stream) {
  return cuMemsetD2D8Async(to, pitch, value, width, height, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr to, size_t pitch, unsigned short value,
                                              size_t width, size_t height, CUstream stream) {
  return cuMemsetD2D16Async(to, pitch, value, width, height, own(stream));
}
NIBBLE_ENTRY CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr to, size_t pitch, unsigned value,
                                              size_t width, size_t height, CUstream stream) {
  return cuMemsetD2D32Async(to, pitch, value, width, height, own(stream));
}
NIBBLE_ENTRY CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr address, size_t bytes, CUdevice device,
                                              CUstream stream) {
  return cuMemPrefetchAsync(address, bytes, device, own(stream));
}
NIBBLE_ENTRY CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr address, size_t bytes,
                                                 CUmemLocation location, unsigned flags,
                                                 CUstream stream) {
  return cuMemPrefetchAsync_v2(address, bytes, location, flags, own(stream));
}
NIBBLE_ENTRY CUresult cuMemAllocAsync_ptsz(CUdeviceptr* address, size_t bytes, CUstream stream) {
  return cuMemAllocAsync(address, bytes, own(stream));
}
NIBBLE_ENTRY CUresult cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream) {
  return cuMemFreeAsync(address, own(stream));
}
NIBBLE_ENTRY CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* address, size_t bytes,
                                                   CUmemoryPool pool, CUstream stream) {
  return cuMemAllocFromPoolAsync(address, bytes, pool, own(stream));
}
NIBBLE_ENTRY CUresult cuStreamGetPriority_ptsz(CUstream stream, int* priority) {
  return cuStreamGetPriority(own(stream), priority);
}
NIBBLE_ENTRY CUresult cuStreamGetFlags_ptsz(CUstream stream, unsigned* flags) {
  return cuStreamGetFlags(own(stream), flags);
}
NIBBLE_ENTRY CUresult cuStreamGetId_ptsz(CUstream stream, unsigned long long* id) {
  return cuStreamGetId(own(stream), id);
}
NIBBLE_ENTRY CUresult cuStreamGetCtx_ptsz(CUstream stream, CUcontext* context) {
  return cuStreamGetCtx(own(stream), context);
}
NIBBLE_ENTRY CUresult cuStreamGetDevice_ptsz(CUstream stream, CUdevice* device) {
  return cuStreamGetDevice(own(stream), device);
}
NIBBLE_ENTRY CUresult cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned flags) {
  return cuStreamWaitEvent(own(stream), event, flags);
}
NIBBLE_ENTRY CUresult cuStreamAddCallback_ptsz(CUstream stream, CUstreamCallback callback,
                                               void* data, unsigned flags) {
  return cuStreamAddCallback(own(stream), callback, data, flags);
}
NIBBLE_ENTRY CUresult cuStreamAttachMemAsync_ptsz(CUstream stream, CUdeviceptr address,
                                                  size_t bytes, unsigned flags) {
  return cuStreamAttachMemAsync(own(stream), address, bytes, flags);
}
NIBBLE_ENTRY CUresult cuStreamQuery_ptsz(CUstream stream) { return cuStreamQuery(own(stream)); }
NIBBLE_ENTRY CUresult cuStreamSynchronize_ptsz(CUstream stream) {
  return cuStreamSynchronize(own(stream));
}
NIBBLE_ENTRY CUresult cuStreamBeginCapture_ptsz(CUstream stream) {
  return cuStreamBeginCapture(own(stream));
}
NIBBLE_ENTRY CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return cuStreamBeginCapture_v2(own(stream), mode);
}
NIBBLE_ENTRY CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return cuStreamEndCapture(own(stream), graph);
}
NIBBLE_ENTRY CUresult cuStreamIsCapturing_ptsz(CUstream stream, CUstreamCaptureStatus* status) {
  return cuStreamIsCapturing(own(stream), status);
}
NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                                  cuuint64_t* id) {
  return cuStreamGetCaptureInfo(own(stream), status, id);
}
NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo_v2_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                                     cuuint64_t* id, CUgraph* graph,
                                                     const CUgraphNode** dependencies,
                                                     size_t* count) {
  return cuStreamGetCaptureInfo_v2(own(stream), status, id, graph, dependencies, count);
}
NIBBLE_ENTRY CUresult cuStreamGetCaptureInfo_v3_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                                     cuuint64_t* id, CUgraph* graph,
                                                     const CUgraphNode** dependencies,
                                                     const CUgraphEdgeData** edges, size_t* count) {
  return cuStreamGetCaptureInfo_v3(own(stream), status, id, graph, dependencies, edges, count);
}
NIBBLE_ENTRY CUresult cuEventRecord_ptsz(CUevent event, CUstream stream) {
  return cuEventRecord(event, own(stream));
}
NIBBLE_ENTRY CUresult cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream, unsigned flags) {
  return cuEventRecordWithFlags(event, own(stream), flags);
}
NIBBLE_ENTRY CUresult cuLaunchKernel_ptsz(CUfunction function, unsigned grid_x, unsigned grid_y,
                                          unsigned grid_z, unsigned block_x, unsigned block_y,
                                          unsigned block_z, unsigned dynamic_shared,
                                          CUstream stream, void** parameters, void** extra) {
  return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, dynamic_shared,
                        own(stream), parameters, extra);
}
NIBBLE_ENTRY CUresult cuLaunchCooperativeKernel_ptsz(CUfunction function, unsigned grid_x,
                                                     unsigned grid_y, unsigned grid_z,
                                                     unsigned block_x, unsigned block_y,
                                                     unsigned block_z, unsigned dynamic_shared,
                                                     CUstream stream, void** parameters) {
  return cuLaunchCooperativeKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                                   dynamic_shared, own(stream), parameters);
}
NIBBLE_ENTRY CUresult cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn function, void* data) {
  return cuLaunchHostFunc(own(stream), function, data);
}
NIBBLE_ENTRY CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  return cuGraphLaunch(exec, own(stream));
}
NIBBLE_ENTRY CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  return cuGraphUpload(exec, own(stream));
}

NIBBLE_ENTRY CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function,
                                            void** parameters, void** extra) {
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUlaunchConfig changed = *config;
  changed.hStream = own(config->hStream);
  return cuLaunchKernelEx(&changed, function, parameters, extra);
}

NIBBLE_ENTRY CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                                        CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return cuGraphInstantiateWithParams(exec, graph, parameters);
}
