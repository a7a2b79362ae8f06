// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls that are wrong, late or too many: an error code, never a crash.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/emulator/driver/library.h"

namespace nibble::test {
namespace {

class Misuse : public DriverTest {};

TEST_F(Misuse, CopyOfFreedMemory) {
  const CUdeviceptr address = allocate(64);
  ASSERT_EQ(call<CUdeviceptr>("cuMemFree_v2", address), CUDA_SUCCESS);
  char bytes[64] = {};
  const auto host = reinterpret_cast<CUdeviceptr>(bytes);
  EXPECT_EQ((call<CUdeviceptr, CUdeviceptr, size_t>("cuMemcpy", host, address, 64)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ((call<CUdeviceptr, CUdeviceptr, size_t>("cuMemcpy", address, host, 64)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ((call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", reinterpret_cast<void*>(address),
                                              allocate(64), 64)),
            CUDA_ERROR_INVALID_VALUE);
}

class Captured : public Misuse {
 protected:
  void begin() {
    ASSERT_EQ((call<CUstream*, unsigned>("cuStreamCreate", &stream_, 0)), CUDA_SUCCESS);
    ASSERT_EQ((call<CUstream, CUstreamCaptureMode>("cuStreamBeginCapture_v2", stream_,
                                                   CU_STREAM_CAPTURE_MODE_RELAXED)),
              CUDA_SUCCESS);
  }
  CUgraphExec end() {
    CUgraphExec exec = nullptr;
    EXPECT_EQ((call<CUstream, CUgraph*>("cuStreamEndCapture", stream_, &graph_)), CUDA_SUCCESS);
    EXPECT_EQ((call<CUgraphExec*, CUgraph, unsigned long long>("cuGraphInstantiateWithFlags", &exec,
                                                               graph_, 0)),
              CUDA_SUCCESS);
    return exec;
  }
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
};

TEST_F(Captured, FillOfMemoryThatIsFreedLater) {
  const CUdeviceptr address = allocate(1 << 20);
  begin();
  ASSERT_EQ((call<CUdeviceptr, unsigned char, size_t, CUstream>("cuMemsetD8Async", address, 1,
                                                                1 << 20, stream_)),
            CUDA_SUCCESS);
  const CUgraphExec exec = end();
  ASSERT_EQ(call<CUdeviceptr>("cuMemFree_v2", address), CUDA_SUCCESS);
  call<CUgraphExec, CUstream>("cuGraphLaunch", exec, stream_);
  EXPECT_EQ(synchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

// A chain longer than the host's stack is deep, in a graph, its executable and the stream.
TEST_F(Captured, LongCapture) {
  const CUdeviceptr address = allocate(4);
  begin();
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_EQ(
        (call<CUdeviceptr, unsigned, size_t, CUstream>("cuMemsetD32Async", address, i, 1, stream_)),
        CUDA_SUCCESS);
  }
  const CUgraphExec exec = end();
  EXPECT_EQ(call<CUgraph>("cuGraphDestroy", graph_), CUDA_SUCCESS);
  EXPECT_EQ((call<CUgraphExec, CUstream>("cuGraphLaunch", exec, stream_)), CUDA_SUCCESS);
  EXPECT_EQ(call<CUgraphExec>("cuGraphExecDestroy", exec), CUDA_SUCCESS);
  unsigned last = 0;
  EXPECT_EQ((call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", &last, address, 4)), CUDA_SUCCESS);
  EXPECT_EQ(last, 199'999u);
}

// The capture of a thread's default stream ends with what the context had; the next one counts.
TEST_F(Misuse, CaptureWhileTheContextIsReset) {
  CUcontext primary = nullptr;
  ASSERT_EQ((call<CUcontext*, CUdevice>("cuDevicePrimaryCtxRetain", &primary, 1)), CUDA_SUCCESS);
  ASSERT_EQ(call<CUcontext>("cuCtxPushCurrent_v2", primary), CUDA_SUCCESS);
  const auto begin = [](CUstream stream) {
    return call<CUstream, CUstreamCaptureMode>("cuStreamBeginCapture_v2", stream,
                                               CU_STREAM_CAPTURE_MODE_RELAXED);
  };
  CUgraph graph = nullptr;
  EXPECT_EQ(begin(CU_STREAM_PER_THREAD), CUDA_SUCCESS);
  EXPECT_EQ(call<CUdevice>("cuDevicePrimaryCtxReset_v2", 1), CUDA_SUCCESS);
  EXPECT_EQ((call<CUstream, CUgraph*>("cuStreamEndCapture", CU_STREAM_PER_THREAD, &graph)),
            CUDA_ERROR_ILLEGAL_STATE);
  EXPECT_EQ(begin(CU_STREAM_PER_THREAD), CUDA_SUCCESS);
  EXPECT_EQ(call<CUstream>("cuStreamSynchronize", CU_STREAM_LEGACY),
            CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  EXPECT_EQ((call<CUstream, CUgraph*>("cuStreamEndCapture", CU_STREAM_PER_THREAD, &graph)),
            CUDA_SUCCESS);
  EXPECT_EQ(call<CUgraph>("cuGraphDestroy", graph), CUDA_SUCCESS);
  CUcontext popped = nullptr;
  EXPECT_EQ(call<CUcontext*>("cuCtxPopCurrent_v2", &popped), CUDA_SUCCESS);
  EXPECT_EQ(call<CUdevice>("cuDevicePrimaryCtxRelease_v2", 1), CUDA_SUCCESS);
}

TEST_F(Misuse, OccupancyWithSharedMemoryThatWraps) {
  // Static (none), dynamic and reserved (1024) bytes would be none altogether.
  int blocks = -1;
  EXPECT_EQ((call<int*, CUfunction, int, size_t>("cuOccupancyMaxActiveBlocksPerMultiprocessor",
                                                 &blocks, function("add"), 32, ~size_t{0} - 1023)),
            CUDA_SUCCESS);
  EXPECT_EQ(blocks, 0);
}

TEST_F(Misuse, BufferForAKernelWithoutParameters) {
  size_t size = 16;
  char buffer[16] = {};
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  EXPECT_EQ((call<CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  CUstream, void**, void**>("cuLaunchKernel", function("bounded"), 1, 1, 1, 32, 1,
                                            1, 0, nullptr, nullptr, extra)),
            CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_SUCCESS);
}

TEST_F(Misuse, EmptyLogOfAModuleThatLoads) {
  char log[16] = "x";
  CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log, reinterpret_cast<void*>(uintptr_t{16})};
  CUmodule module = nullptr;
  EXPECT_EQ((call<CUmodule*, const void*, unsigned, CUjit_option*, void**>(
                "cuModuleLoadDataEx", &module, kPtx, 2, options, values)),
            CUDA_SUCCESS);
  EXPECT_STREQ(log, "");
}

TEST_F(Misuse, BusNumbersBeyondAnInt) {
  CUdevice device = 0;
  for (const char* const text : {"80000000:0", "0:FFFFFFFF:0", "0:3F:0"}) {
    EXPECT_EQ((call<CUdevice*, const char*>("cuDeviceGetByPCIBusId", &device, text)),
              CUDA_ERROR_INVALID_DEVICE)
        << text;
  }
}

TEST_F(Misuse, EnumerationsBeyondTheirs) {
  for (const int beyond : {-1, 16, 0x7FFFFFFF}) {
    int value = 0;
    EXPECT_EQ((call<int*, CUfunction_attribute, CUfunction>(
                  "cuFuncGetAttribute", &value, static_cast<CUfunction_attribute>(beyond),
                  function("add"))),
              CUDA_ERROR_INVALID_VALUE);
  }
}

// Files whose headers promise more than they hold, or a pointer.
TEST_F(Misuse, FatBinariesThatLie) {
  const std::string path = (std::filesystem::temp_directory_path() / "nibble_fat_binary").string();
  const auto load = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    CUmodule module = nullptr;
    return call<CUmodule*, const char*>("cuModuleLoad", &module, path.c_str());
  };
  const auto header = [](uint64_t size, uint32_t entry_header, uint64_t entry_size) {
    std::string bytes(80, '\0');
    const auto put = [&](size_t at, auto value) {
      std::memcpy(bytes.data() + at, &value, sizeof value);
    };
    put(0, uint32_t{0xBA55ED50});
    put(6, uint16_t{16});
    put(8, size);
    put(16, uint16_t{1});
    put(20, entry_header);
    put(24, entry_size);
    put(44, uint32_t{90});
    return bytes;
  };
  EXPECT_EQ(load(header(64, 64, 0)), CUDA_ERROR_INVALID_PTX);  // an empty text
  EXPECT_EQ(load(header(1 << 30, 64, 1 << 29)), CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(load(header(64, 0xFFFFFFF0, 0xF0)), CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(load(header(~0ull, 64, ~0ull - 64)), CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(load("\xB1\x43\x62\x46\x01" + std::string(40, 'x')), CUDA_ERROR_INVALID_IMAGE);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace nibble::test
