// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: copies and fills. The synchronous ones are work of the legacy default stream.
#include "runtime/emulator/driver/copy.h"
#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

Place device(CUdeviceptr address) { return {address, Where::kDevice, 0, 0}; }
Place host(const void* pointer) {
  return {reinterpret_cast<uint64_t>(pointer), Where::kHost, 0, 0};
}
Place any(CUdeviceptr address) { return {address, Where::kAny, 0, 0}; }

CUresult copy_bytes(CUstream handle, const Place& to, const Place& from, size_t bytes) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    return copy(driver, stream, to, from, {bytes, 1, 1});
  });
}

CUresult copy_now(const Place& to, const Place& from, size_t bytes) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    return copy(driver, *context.legacy, to, from, {bytes, 1, 1});
  });
}

CUresult fill_rows(CUstream handle, const Place& to, uint32_t value, size_t element, size_t width,
                   size_t height) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    return fill(driver, stream, to, width, height, value, element);
  });
}

CUresult fill_rows_now(const Place& to, uint32_t value, size_t element, size_t width,
                       size_t height) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    return fill(driver, *context.legacy, to, width, height, value, element);
  });
}

// One side of a 2D or 3D copy; CUDA_ERROR_NOT_SUPPORTED for arrays.
CUresult side(CUmemorytype type, const void* pointer, CUdeviceptr address, size_t offset,
              size_t pitch, size_t height, Place& place) {
  place.pitch = pitch;
  place.height = height;
  switch (type) {
    case CU_MEMORYTYPE_HOST:
      place.where = Where::kHost;
      place.address = reinterpret_cast<uint64_t>(pointer) + offset;
      return pointer == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case CU_MEMORYTYPE_DEVICE:
    case CU_MEMORYTYPE_UNIFIED:
      place.where = type == CU_MEMORYTYPE_DEVICE ? Where::kDevice : Where::kAny;
      place.address = address + offset;
      return CUDA_SUCCESS;
    case CU_MEMORYTYPE_ARRAY:
      return not_supported("copying CUDA arrays");
  }
  return CUDA_ERROR_INVALID_VALUE;
}

struct Copy {
  Place to, from;
  Extent extent;
};

CUresult read(const CUDA_MEMCPY2D* request, Copy& result) {
  if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_MEMCPY2D& r = *request;
  result.extent = {r.WidthInBytes, r.Height, 1};
  // A pitch of zero is that of rows without gaps.
  const size_t from_pitch = r.srcPitch == 0 ? r.WidthInBytes : r.srcPitch;
  const size_t to_pitch = r.dstPitch == 0 ? r.WidthInBytes : r.dstPitch;
  const CUresult from =
      side(r.srcMemoryType, r.srcHost, r.srcDevice, r.srcY * from_pitch + r.srcXInBytes, from_pitch,
           r.Height, result.from);
  if (from != CUDA_SUCCESS) return from;
  return side(r.dstMemoryType, r.dstHost, r.dstDevice, r.dstY * to_pitch + r.dstXInBytes, to_pitch,
              r.Height, result.to);
}

CUresult read(const CUDA_MEMCPY3D* request, Copy& result) {
  if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_MEMCPY3D& r = *request;
  if (r.srcLOD != 0 || r.dstLOD != 0) return CUDA_ERROR_INVALID_VALUE;
  result.extent = {r.WidthInBytes, r.Height, r.Depth};
  const size_t from_pitch = r.srcPitch == 0 ? r.WidthInBytes : r.srcPitch;
  const size_t to_pitch = r.dstPitch == 0 ? r.WidthInBytes : r.dstPitch;
  const size_t from_height = r.srcHeight == 0 ? r.Height : r.srcHeight;
  const size_t to_height = r.dstHeight == 0 ? r.Height : r.dstHeight;
  const CUresult from = side(r.srcMemoryType, r.srcHost, r.srcDevice,
                             (r.srcZ * from_height + r.srcY) * from_pitch + r.srcXInBytes,
                             from_pitch, from_height, result.from);
  if (from != CUDA_SUCCESS) return from;
  return side(r.dstMemoryType, r.dstHost, r.dstDevice,
              (r.dstZ * to_height + r.dstY) * to_pitch + r.dstXInBytes, to_pitch, to_height,
              result.to);
}

template <class Request>
CUresult copy_rows(const Request* request, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    Copy wanted;
    const CUresult result = read(request, wanted);
    return result != CUDA_SUCCESS ? result
                                  : copy(driver, stream, wanted.to, wanted.from, wanted.extent);
  });
}

template <class Request>
CUresult copy_rows_now(const Request* request) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    Copy wanted;
    const CUresult result = read(request, wanted);
    return result != CUDA_SUCCESS
               ? result
               : copy(driver, *context.legacy, wanted.to, wanted.from, wanted.extent);
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return copy_now(device(to), host(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyHtoD, cuMemcpyHtoD_v2);
NIBBLE_ALIAS(cuMemcpyHtoD_v2_ptds, cuMemcpyHtoD_v2);
NIBBLE_ENTRY CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes,
                                           CUstream stream) {
  return copy_bytes(stream, device(to), host(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2);

NIBBLE_ENTRY CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return copy_now(host(to), device(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyDtoH, cuMemcpyDtoH_v2);
NIBBLE_ALIAS(cuMemcpyDtoH_v2_ptds, cuMemcpyDtoH_v2);
NIBBLE_ENTRY CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes,
                                           CUstream stream) {
  return copy_bytes(stream, host(to), device(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2);

NIBBLE_ENTRY CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copy_now(device(to), device(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyDtoD, cuMemcpyDtoD_v2);
NIBBLE_ALIAS(cuMemcpyDtoD_v2_ptds, cuMemcpyDtoD_v2);
NIBBLE_ENTRY CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                           CUstream stream) {
  return copy_bytes(stream, device(to), device(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2);

NIBBLE_ENTRY CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copy_now(any(to), any(from), bytes);
}
NIBBLE_ALIAS(cuMemcpy_ptds, cuMemcpy);

NIBBLE_ENTRY CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                    CUstream stream) {
  return copy_bytes(stream, any(to), any(from), bytes);
}

NIBBLE_ENTRY CUresult cuMemcpyPeer(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext,
                                   size_t bytes) {
  return copy_now(device(to), device(from), bytes);
}
NIBBLE_ALIAS(cuMemcpyPeer_ptds, cuMemcpyPeer);

NIBBLE_ENTRY CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext,
                                        size_t bytes, CUstream stream) {
  return copy_bytes(stream, device(to), device(from), bytes);
}

NIBBLE_ENTRY CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* request) { return copy_rows_now(request); }
NIBBLE_ALIAS(cuMemcpy2D, cuMemcpy2D_v2);
NIBBLE_ALIAS(cuMemcpy2D_v2_ptds, cuMemcpy2D_v2);
NIBBLE_ALIAS(cuMemcpy2DUnaligned, cuMemcpy2D_v2);
NIBBLE_ALIAS(cuMemcpy2DUnaligned_v2, cuMemcpy2D_v2);
NIBBLE_ALIAS(cuMemcpy2DUnaligned_v2_ptds, cuMemcpy2D_v2);
NIBBLE_ENTRY CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* request, CUstream stream) {
  return copy_rows(request, stream);
}
NIBBLE_ALIAS(cuMemcpy2DAsync, cuMemcpy2DAsync_v2);

NIBBLE_ENTRY CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* request) { return copy_rows_now(request); }
NIBBLE_ALIAS(cuMemcpy3D, cuMemcpy3D_v2);
NIBBLE_ALIAS(cuMemcpy3D_v2_ptds, cuMemcpy3D_v2);
NIBBLE_ENTRY CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* request, CUstream stream) {
  return copy_rows(request, stream);
}
NIBBLE_ALIAS(cuMemcpy3DAsync, cuMemcpy3DAsync_v2);

NIBBLE_ENTRY CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  return fill_rows_now(device(to), value, 1, count, 1);
}
NIBBLE_ALIAS(cuMemsetD8, cuMemsetD8_v2);
NIBBLE_ALIAS(cuMemsetD8_v2_ptds, cuMemsetD8_v2);
NIBBLE_ENTRY CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count,
                                      CUstream stream) {
  return fill_rows(stream, device(to), value, 1, count, 1);
}
NIBBLE_ENTRY CUresult cuMemsetD2D8_v2(CUdeviceptr to, size_t pitch, unsigned char value,
                                      size_t width, size_t height) {
  return fill_rows_now({to, Where::kDevice, pitch, height}, value, 1, width, height);
}
NIBBLE_ALIAS(cuMemsetD2D8, cuMemsetD2D8_v2);
NIBBLE_ALIAS(cuMemsetD2D8_v2_ptds, cuMemsetD2D8_v2);
NIBBLE_ENTRY CUresult cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value,
                                        size_t width, size_t height, CUstream stream) {
  return fill_rows(stream, {to, Where::kDevice, pitch, height}, value, 1, width, height);
}

NIBBLE_ENTRY CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
  return fill_rows_now(device(to), value, 2, count, 1);
}
NIBBLE_ALIAS(cuMemsetD16, cuMemsetD16_v2);
NIBBLE_ALIAS(cuMemsetD16_v2_ptds, cuMemsetD16_v2);
NIBBLE_ENTRY CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count,
                                       CUstream stream) {
  return fill_rows(stream, device(to), value, 2, count, 1);
}
NIBBLE_ENTRY CUresult cuMemsetD2D16_v2(CUdeviceptr to, size_t pitch, unsigned short value,
                                       size_t width, size_t height) {
  return fill_rows_now({to, Where::kDevice, pitch, height}, value, 2, width, height);
}
NIBBLE_ALIAS(cuMemsetD2D16, cuMemsetD2D16_v2);
NIBBLE_ALIAS(cuMemsetD2D16_v2_ptds, cuMemsetD2D16_v2);
NIBBLE_ENTRY CUresult cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value,
                                         size_t width, size_t height, CUstream stream) {
  return fill_rows(stream, {to, Where::kDevice, pitch, height}, value, 2, width, height);
}

NIBBLE_ENTRY CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
  return fill_rows_now(device(to), value, 4, count, 1);
}
NIBBLE_ALIAS(cuMemsetD32, cuMemsetD32_v2);
NIBBLE_ALIAS(cuMemsetD32_v2_ptds, cuMemsetD32_v2);
NIBBLE_ENTRY CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count,
                                       CUstream stream) {
  return fill_rows(stream, device(to), value, 4, count, 1);
}
NIBBLE_ENTRY CUresult cuMemsetD2D32_v2(CUdeviceptr to, size_t pitch, unsigned value, size_t width,
                                       size_t height) {
  return fill_rows_now({to, Where::kDevice, pitch, height}, value, 4, width, height);
}
NIBBLE_ALIAS(cuMemsetD2D32, cuMemsetD2D32_v2);
NIBBLE_ALIAS(cuMemsetD2D32_v2_ptds, cuMemsetD2D32_v2);
NIBBLE_ENTRY CUresult cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width,
                                         size_t height, CUstream stream) {
  return fill_rows(stream, {to, Where::kDevice, pitch, height}, value, 4, width, height);
}

// Managed memory is where it is: advice and prefetching only have to name it.
NIBBLE_ENTRY CUresult cuMemAdvise_v2(CUdeviceptr address, size_t bytes, CUmem_advise,
                                     CUmemLocation) {
  return with_driver([&](Driver& driver) {
    return check_place(driver, device(address), {bytes, 1, 1});
  });
}
NIBBLE_ENTRY CUresult cuMemAdvise(CUdeviceptr address, size_t bytes, CUmem_advise advice,
                                  CUdevice) {
  return cuMemAdvise_v2(address, bytes, advice, {});
}
NIBBLE_ENTRY CUresult cuMemPrefetchAsync_v2(CUdeviceptr address, size_t bytes, CUmemLocation,
                                            unsigned flags, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream&) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return check_place(driver, device(address), {bytes, 1, 1});
  });
}
NIBBLE_ENTRY CUresult cuMemPrefetchAsync(CUdeviceptr address, size_t bytes, CUdevice,
                                         CUstream stream) {
  return cuMemPrefetchAsync_v2(address, bytes, {}, 0, stream);
}
