// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls about memory: allocations, pools, copies, fills, pointers, tensor maps.
#include "tests/emulator/fuzz/driver_world.h"

namespace nibble::fuzz {
namespace {

constexpr uint64_t kMostKept = 1 << 20;  // bytes: larger ones are tried and given back

// Memory with copies of at most kHostBytes to hold. `free` takes what is larger at once.
void keep(World& world, CUresult result, const CUdeviceptr* address, uint64_t bytes) {
  if (address == nullptr) return;
  world.keep_memory(result, *address, bytes > kMostKept ? kMostKept : bytes);
}

uint64_t kept_size(World& world) {
  const uint64_t bytes = world.size();
  // From gibibytes on the devices refuse; between, filling would take the time of many inputs.
  return bytes > kMostKept && bytes < (uint64_t{1} << 42) ? bytes % kMostKept : bytes;
}

void allocate(World& world, void* function) {
  const uint64_t bytes = kept_size(world);
  auto* const address = world.out<CUdeviceptr>();
  keep(world, call<CUdeviceptr*, size_t>(function, address, bytes), address, bytes);
}

void allocate_managed(World& world, void* function) {
  const uint64_t bytes = kept_size(world);
  auto* const address = world.out<CUdeviceptr>();
  keep(world,
       call<CUdeviceptr*, size_t, unsigned>(function, address, bytes, world.any<unsigned>(4)),
       address, bytes);
}

void allocate_host(World& world, void* function) {
  const uint64_t bytes = kept_size(world);
  auto* const address = world.out<void*>();
  const CUresult result =
      call<void**, size_t, unsigned>(function, address, bytes, world.any<unsigned>(7));
  if (address != nullptr) world.keep_memory(result, reinterpret_cast<uint64_t>(*address), bytes);
}

void allocate_pitch(World& world, void* function) {
  const uint64_t width = world.random.one_in(20) ? world.random.number() : world.random.below(900);
  const uint64_t height = world.random.below(20);
  auto* const address = world.out<CUdeviceptr>();
  auto* const pitch = world.out<size_t>();
  const bool is_large = width > kMostKept && width < (uint64_t{1} << 42);
  keep(world,
       call<CUdeviceptr*, size_t*, size_t, size_t, unsigned>(
           function, address, pitch, is_large ? 64 : width, height, world.any<unsigned>(16)),
       address, width * height);
}

void allocate_async(World& world, void* function) {
  const uint64_t bytes = kept_size(world);
  auto* const address = world.out<CUdeviceptr>();
  keep(world,
       call<CUdeviceptr*, size_t, CUstream>(function, address, bytes,
                                            world.handle<CUstream>(Kind::kStream)),
       address, bytes);
}

void allocate_from_pool(World& world, void* function) {
  const uint64_t bytes = kept_size(world);
  auto* const address = world.out<CUdeviceptr>();
  keep(world,
       call<CUdeviceptr*, size_t, CUmemoryPool, CUstream>(function, address, bytes,
                                                          world.handle<CUmemoryPool>(Kind::kPool),
                                                          world.handle<CUstream>(Kind::kStream)),
       address, bytes);
}

void get_pool(World& world, void* function) {
  auto* const pool = world.out<CUmemoryPool>();
  world.keep(Kind::kPool, call<CUmemoryPool*, CUdevice>(function, pool, world.device()), pool);
}

void pool_attribute(World& world, void* function) {
  call<CUmemoryPool, CUmemPool_attribute, void*>(function, world.handle<CUmemoryPool>(Kind::kPool),
                                                 world.any<CUmemPool_attribute>(9),
                                                 world.out<uint64_t>());
}

void copy_in(World& world, void* function) {
  call<CUdeviceptr, const void*, size_t>(function, world.device_address(), world.host_or_null(),
                                         world.host_size());
}
void copy_in_async(World& world, void* function) {
  call<CUdeviceptr, const void*, size_t, CUstream>(function, world.device_address(),
                                                   world.host_or_null(), world.host_size(),
                                                   world.handle<CUstream>(Kind::kStream));
}
void copy_out(World& world, void* function) {
  call<void*, CUdeviceptr, size_t>(function, world.host_or_null(), world.device_address(),
                                   world.host_size());
}
void copy_out_async(World& world, void* function) {
  call<void*, CUdeviceptr, size_t, CUstream>(function, world.host_or_null(), world.device_address(),
                                             world.host_size(),
                                             world.handle<CUstream>(Kind::kStream));
}
void copy_on_device(World& world, void* function) {
  call<CUdeviceptr, CUdeviceptr, size_t>(function, world.device_address(), world.device_address(),
                                         world.size());
}
void copy_unified(World& world, void* function) {
  call<CUdeviceptr, CUdeviceptr, size_t>(function, world.unified_address(), world.unified_address(),
                                         world.host_size());
}
void copy_unified_async(World& world, void* function) {
  call<CUdeviceptr, CUdeviceptr, size_t, CUstream>(function, world.unified_address(),
                                                   world.unified_address(), world.host_size(),
                                                   world.handle<CUstream>(Kind::kStream));
}

// Rows that stay in the program's memory where a side is there: 16 of at most 900 bytes.
template <class Side>
void fill_side(World& world, Side set) {
  const auto type = world.any<CUmemorytype>(4);
  set(type, world.host_or_null(), world.random.one_in(3) ? 0 : world.random.below(1000));
}

CUDA_MEMCPY2D rows(World& world) {
  CUDA_MEMCPY2D copy{};
  fill_side(world, [&](CUmemorytype type, std::byte* host, size_t pitch) {
    copy.srcMemoryType = type;
    copy.srcHost = host;
    copy.srcDevice =
        type == CU_MEMORYTYPE_UNIFIED ? world.unified_address() : world.device_address();
    copy.srcPitch = pitch;
  });
  fill_side(world, [&](CUmemorytype type, std::byte* host, size_t pitch) {
    copy.dstMemoryType = type;
    copy.dstHost = host;
    copy.dstDevice =
        type == CU_MEMORYTYPE_UNIFIED ? world.unified_address() : world.device_address();
    copy.dstPitch = pitch;
  });
  copy.WidthInBytes = world.random.below(900);
  copy.Height = world.random.below(17);
  copy.srcY = world.random.below(4);
  copy.dstXInBytes = world.random.below(20);
  if (copy.srcMemoryType == CU_MEMORYTYPE_DEVICE && copy.dstMemoryType == CU_MEMORYTYPE_DEVICE &&
      world.random.one_in(4)) {
    size_t* const fields[] = {&copy.WidthInBytes, &copy.Height,   &copy.srcY,
                              &copy.srcPitch,     &copy.dstPitch, &copy.dstY};
    *world.random.pick(fields) = world.random.number();
  }
  return copy;
}

CUDA_MEMCPY3D slices(World& world) {
  const CUDA_MEMCPY2D flat = rows(world);
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = flat.srcMemoryType;
  copy.srcHost = flat.srcHost;
  copy.srcDevice = flat.srcDevice;
  copy.srcPitch = flat.srcPitch;
  copy.dstMemoryType = flat.dstMemoryType;
  copy.dstHost = flat.dstHost;
  copy.dstDevice = flat.dstDevice;
  copy.dstPitch = flat.dstPitch;
  copy.WidthInBytes = flat.WidthInBytes;
  copy.Height = flat.Height;
  copy.srcY = flat.srcY;
  copy.Depth = world.random.below(3);
  copy.srcLOD = world.random.one_in(20) ? 1 : 0;
  if (flat.srcMemoryType == CU_MEMORYTYPE_DEVICE && flat.dstMemoryType == CU_MEMORYTYPE_DEVICE) {
    if (world.random.one_in(4)) copy.Depth = world.random.number();
    if (world.random.one_in(4)) copy.srcHeight = world.random.number();
    if (world.random.one_in(4)) copy.dstZ = world.random.number();
  }
  return copy;
}

void copy_rows(World& world, void* function) {
  const CUDA_MEMCPY2D copy = rows(world);
  call<const CUDA_MEMCPY2D*>(function, world.random.one_in(24) ? nullptr : &copy);
}
void copy_rows_async(World& world, void* function) {
  const CUDA_MEMCPY2D copy = rows(world);
  call<const CUDA_MEMCPY2D*, CUstream>(function, world.random.one_in(24) ? nullptr : &copy,
                                       world.handle<CUstream>(Kind::kStream));
}
void copy_slices(World& world, void* function) {
  const CUDA_MEMCPY3D copy = slices(world);
  call<const CUDA_MEMCPY3D*>(function, world.random.one_in(24) ? nullptr : &copy);
}

template <class Value>
void fill(World& world, void* function) {
  call<CUdeviceptr, Value, size_t>(function, world.device_address(),
                                   static_cast<Value>(world.random.next()), world.size());
}
template <class Value>
void fill_async(World& world, void* function) {
  call<CUdeviceptr, Value, size_t, CUstream>(function, world.device_address(),
                                             static_cast<Value>(world.random.next()), world.size(),
                                             world.handle<CUstream>(Kind::kStream));
}
template <class Value>
void fill_rows(World& world, void* function) {
  call<CUdeviceptr, size_t, Value, size_t, size_t>(
      function, world.device_address(), world.size(), static_cast<Value>(world.random.next()),
      world.size(), world.random.one_in(8) ? world.random.number() : world.random.below(9));
}

void free_host(World& world, void* function) {
  call<void*>(function, reinterpret_cast<void*>(world.device_address()));
}
void pointer_attribute(World& world, void* function) {
  call<void*, CUpointer_attribute, CUdeviceptr>(
      function, world.out<uint64_t>(), world.any<CUpointer_attribute>(21), world.device_address());
}
void pointer_attributes(World& world, void* function) {
  CUpointer_attribute attributes[4];
  void* data[4];
  for (size_t i = 0; i < 4; ++i) {
    attributes[i] = world.any<CUpointer_attribute>(21);
    data[i] = world.out<uint64_t>();
  }
  call<unsigned, CUpointer_attribute*, void**, CUdeviceptr>(
      function, static_cast<unsigned>(world.random.below(5)), attributes, data,
      world.device_address());
}
void set_pointer_attribute(World& world, void* function) {
  call<const void*, CUpointer_attribute, CUdeviceptr>(
      function, world.out<uint64_t>(), world.any<CUpointer_attribute>(21), world.device_address());
}

// The arguments of a tensor map: one that is right, then some of them changed.
struct Map {
  explicit Map(World& world) {
    Random& random = world.random;
    address = reinterpret_cast<void*>(world.device_address());
    rank = 1 + static_cast<cuuint32_t>(random.below(5));
    for (size_t i = 0; i < 5; ++i) {
      sizes[i] = 16 * (1 + random.below(8));
      strides[i] = i == 0 ? 16 * (1 + random.below(20)) : strides[i - 1] * (1 + random.below(9));
      box[i] = static_cast<cuuint32_t>(8 << random.below(4));
      steps[i] = 1;
    }
    for (size_t changes = random.below(4); changes > 0; --changes) {
      const size_t at = random.below(5);
      switch (random.below(7)) {
        case 0:
          sizes[at] = random.number();
          break;
        case 1:
          strides[at] = random.number();
          break;
        case 2:
          box[at] = static_cast<cuuint32_t>(random.number());
          break;
        case 3:
          steps[at] = static_cast<cuuint32_t>(random.number());
          break;
        case 4:
          lower[at] = static_cast<int>(random.number());
          break;
        case 5:
          upper[at] = static_cast<int>(random.number());
          break;
        default:
          rank = static_cast<cuuint32_t>(random.number());
      }
    }
    type = world.any<CUtensorMapDataType>(15);
    interleave =
        random.one_in(2) ? CU_TENSOR_MAP_INTERLEAVE_NONE : world.any<CUtensorMapInterleave>(2);
    swizzle = world.any<CUtensorMapSwizzle>(6);
    promotion = world.any<CUtensorMapL2promotion>(3);
    fill = world.any<CUtensorMapFloatOOBfill>(1);
    result = random.one_in(30) ? nullptr : &map;
  }

  CUtensorMap map{};
  CUtensorMap* result = nullptr;
  void* address = nullptr;
  cuuint32_t rank = 0;
  cuuint64_t sizes[5] = {}, strides[5] = {};
  cuuint32_t box[5] = {}, steps[5] = {};
  int lower[5] = {}, upper[5] = {};
  CUtensorMapDataType type;
  CUtensorMapInterleave interleave;
  CUtensorMapSwizzle swizzle;
  CUtensorMapL2promotion promotion;
  CUtensorMapFloatOOBfill fill;
};

void encode_tiled(World& world, void* function) {
  Map m(world);
  call<CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
       const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
       CUtensorMapL2promotion, CUtensorMapFloatOOBfill>(
      function, m.result, m.type, m.rank, m.address, world.random.one_in(30) ? nullptr : m.sizes,
      m.strides, world.random.one_in(30) ? nullptr : m.box, m.steps, m.interleave, m.swizzle,
      m.promotion, m.fill);
}
void encode_im2col(World& world, void* function) {
  Map m(world);
  call<CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
       const int*, const int*, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,
       CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill>(
      function, m.result, m.type, m.rank, m.address, m.sizes, m.strides,
      world.random.one_in(30) ? nullptr : m.lower, m.upper, m.box[0], m.box[1], m.steps,
      m.interleave, m.swizzle, m.promotion, m.fill);
}
void encode_wide(World& world, void* function) {
  Map m(world);
  call<CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
       int, int, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,
       CUtensorMapIm2ColWideMode, CUtensorMapSwizzle, CUtensorMapL2promotion,
       CUtensorMapFloatOOBfill>(function, m.result, m.type, m.rank, m.address, m.sizes, m.strides,
                                m.lower[0], m.upper[0], m.box[0], m.box[1], m.steps, m.interleave,
                                world.any<CUtensorMapIm2ColWideMode>(1), m.swizzle, m.promotion,
                                m.fill);
}
void replace_address(World& world, void* function) {
  CUtensorMap map{};
  for (auto& word : map.opaque) word = world.random.one_in(2) ? 0 : world.random.number();
  map.opaque[0] = world.random.one_in(4) ? map.opaque[0] : 0x50414D524F534E54;
  call<CUtensorMap*, void*>(function, world.random.one_in(20) ? nullptr : &map,
                            reinterpret_cast<void*>(world.device_address()));
}

constexpr Call kCalls[] = {
    {"cuMemAlloc_v2", allocate},
    {"cuMemAlloc_v2", allocate},
    {"cuMemAllocManaged", allocate_managed},
    {"cuMemHostAlloc", allocate_host},
    {"cuMemAllocPitch_v2", allocate_pitch},
    {"cuMemAllocAsync", allocate_async},
    {"cuMemAllocFromPoolAsync", allocate_from_pool},
    {"cuDeviceGetDefaultMemPool", get_pool},
    {"cuMemPoolGetAttribute", pool_attribute},
    {"cuMemPoolSetAttribute", pool_attribute},
    {"cuMemPoolTrimTo",
     [](World& world, void* function) {
       call<CUmemoryPool, size_t>(function, world.handle<CUmemoryPool>(Kind::kPool), world.size());
     }},
    {"cuMemFree_v2",
     [](World& world, void* function) { call<CUdeviceptr>(function, world.device_address()); }},
    {"cuMemFreeAsync",
     [](World& world, void* function) {
       call<CUdeviceptr, CUstream>(function, world.device_address(),
                                   world.handle<CUstream>(Kind::kStream));
     }},
    {"cuMemFreeHost", free_host},
    {"cuMemHostUnregister", free_host},
    {"cuMemcpyHtoD_v2", copy_in},
    {"cuMemcpyHtoDAsync_v2", copy_in_async},
    {"cuMemcpyDtoH_v2", copy_out},
    {"cuMemcpyDtoHAsync_v2", copy_out_async},
    {"cuMemcpyDtoD_v2", copy_on_device},
    {"cuMemcpy", copy_unified},
    {"cuMemcpyAsync", copy_unified_async},
    {"cuMemcpy2D_v2", copy_rows},
    {"cuMemcpy2DAsync_v2", copy_rows_async},
    {"cuMemcpy3D_v2", copy_slices},
    {"cuMemsetD8_v2", fill<unsigned char>},
    {"cuMemsetD16_v2", fill<unsigned short>},
    {"cuMemsetD32_v2", fill<unsigned>},
    {"cuMemsetD8Async", fill_async<unsigned char>},
    {"cuMemsetD32Async", fill_async<unsigned>},
    {"cuMemsetD2D8_v2", fill_rows<unsigned char>},
    {"cuMemsetD2D16_v2", fill_rows<unsigned short>},
    {"cuMemsetD2D32_v2", fill_rows<unsigned>},
    {"cuMemGetInfo_v2",
     [](World& world, void* function) {
       call<size_t*, size_t*>(function, world.out<size_t>(), world.out<size_t>());
     }},
    {"cuMemGetAddressRange_v2",
     [](World& world, void* function) {
       call<CUdeviceptr*, size_t*, CUdeviceptr>(function, world.out<CUdeviceptr>(),
                                                world.out<size_t>(), world.device_address());
     }},
    {"cuPointerGetAttribute", pointer_attribute},
    {"cuPointerGetAttributes", pointer_attributes},
    {"cuPointerSetAttribute", set_pointer_attribute},
    {"cuMemHostGetDevicePointer_v2",
     [](World& world, void* function) {
       call<CUdeviceptr*, void*, unsigned>(function, world.out<CUdeviceptr>(),
                                           reinterpret_cast<void*>(world.device_address()),
                                           world.any<unsigned>(1));
     }},
    {"cuMemHostGetFlags",
     [](World& world, void* function) {
       call<unsigned*, void*>(function, world.out<unsigned>(),
                              reinterpret_cast<void*>(world.device_address()));
     }},
    {"cuMemPrefetchAsync",
     [](World& world, void* function) {
       call<CUdeviceptr, size_t, CUdevice, CUstream>(function, world.device_address(), world.size(),
                                                     world.device(),
                                                     world.handle<CUstream>(Kind::kStream));
     }},
    {"cuMemAdvise",
     [](World& world, void* function) {
       call<CUdeviceptr, size_t, CUmem_advise, CUdevice>(function, world.device_address(),
                                                         world.size(), world.any<CUmem_advise>(6),
                                                         world.device());
     }},
    {"cuTensorMapEncodeTiled", encode_tiled},
    {"cuTensorMapEncodeTiled", encode_tiled},
    {"cuTensorMapEncodeIm2col", encode_im2col},
    {"cuTensorMapEncodeIm2colWide", encode_wide},
    {"cuTensorMapReplaceAddress", replace_address},
};

}  // namespace

std::span<const Call> memory_calls() { return kCalls; }

}  // namespace nibble::fuzz
