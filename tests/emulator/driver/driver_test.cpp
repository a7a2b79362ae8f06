// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator's Driver API: results, error codes, logs, faults that stay, streams and events.
#include "tests/emulator/driver/library.h"

#include <numeric>
#include <thread>
#include <vector>

namespace nibble::test {
namespace {

using Driver = DriverTest;

struct AddData {
  static constexpr unsigned kCount = 1000;
  CUdeviceptr a = 0, b = 0, c = 0;
  unsigned count = kCount;
  std::array<void*, 4> parameters{&a, &b, &c, &count};
};

TEST_F(Driver, AddsVectors) {
  AddData data;
  std::vector<float> a(AddData::kCount), b(AddData::kCount), c(AddData::kCount, -1.0f);
  std::iota(a.begin(), a.end(), 0.0f);
  std::iota(b.begin(), b.end(), 0.5f);
  const size_t bytes = AddData::kCount * sizeof(float);
  for (CUdeviceptr* address : {&data.a, &data.b, &data.c}) *address = allocate(bytes);
  call<CUdeviceptr, const void*, size_t>("cuMemcpyHtoD_v2", data.a, a.data(), bytes);
  call<CUdeviceptr, const void*, size_t>("cuMemcpyHtoD_v2", data.b, b.data(), bytes);
  ASSERT_EQ(launch(function("add"), 8, 128, data.parameters.data()), CUDA_SUCCESS);
  ASSERT_EQ((call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", c.data(), data.c, bytes)),
            CUDA_SUCCESS);
  for (size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], 2.0f * static_cast<float>(i) + 0.5f) << i;
}

TEST_F(Driver, NeedsAContext) {
  CUcontext popped = nullptr;
  call<CUcontext*>("cuCtxPopCurrent_v2", &popped);
  EXPECT_EQ(popped, context_);
  CUdeviceptr address = 0;
  EXPECT_EQ((call<CUdeviceptr*, size_t>("cuMemAlloc_v2", &address, 16)),
            CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(call<CUcontext>("cuCtxSetCurrent", context_), CUDA_SUCCESS);
}

TEST_F(Driver, RefusesWrongLaunches) {
  void* none[] = {nullptr};
  EXPECT_EQ(launch(function("bounded"), 1, 64, none), CUDA_SUCCESS);
  EXPECT_EQ(launch(function("bounded"), 1, 96, none), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function("exact"), 1, 32, none), CUDA_SUCCESS);
  EXPECT_EQ(launch(function("exact"), 1, 16, none), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function("bounded"), 0, 32, none), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function("bounded"), 1, 32, none, nullptr, 49153), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(nullptr, 1, 32, none), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(launch(function("add"), 1, 32, nullptr), CUDA_ERROR_INVALID_VALUE);
  const auto stale = reinterpret_cast<CUstream>(uintptr_t{0xDEAD0});
  EXPECT_EQ(launch(function("bounded"), 1, 32, none, stale), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(synchronize(), CUDA_SUCCESS);
}

TEST_F(Driver, LetsDynamicSharedMemoryBeRaised) {
  const CUfunction kernel = function("bounded");
  const auto set = [&](int bytes) {
    return call<CUfunction, CUfunction_attribute, int>(
        "cuFuncSetAttribute", kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
  };
  int most = 0;
  call<int*, CUdevice_attribute, CUdevice>(
      "cuDeviceGetAttribute", &most, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0);
  EXPECT_EQ(set(most + 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(set(most), CUDA_SUCCESS);
  EXPECT_EQ(launch(kernel, 1, 32, nullptr, nullptr, static_cast<unsigned>(most)), CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_SUCCESS);
}

TEST_F(Driver, KeepsAFault) {
  CUdeviceptr wrong = 0x10;
  void* parameters[] = {&wrong};
  EXPECT_EQ(launch(function("store"), 1, 32, parameters), CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr address = 0;
  EXPECT_EQ((call<CUdeviceptr*, size_t>("cuMemAlloc_v2", &address, 16)),
            CUDA_ERROR_ILLEGAL_ADDRESS);
  const auto report =
      reinterpret_cast<const char* (*)()>(dlsym(library(), "nibbleEmulatorLastReport"));
  ASSERT_NE(report, nullptr);
  EXPECT_NE(std::string(report()).find("store"), std::string::npos) << report();
}

TEST_F(Driver, TellsFaultsApart) {
  CUdeviceptr odd = allocate(64) + 2;
  void* parameters[] = {&odd};
  EXPECT_EQ(launch(function("store"), 1, 1, parameters), CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_ERROR_MISALIGNED_ADDRESS);
  // Another context is well.
  CUcontext other = nullptr;
  ASSERT_EQ((call<CUcontext*, unsigned, CUdevice>("cuCtxCreate_v2", &other, 0, 0)), CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_SUCCESS);
  CUmodule module = nullptr;
  call<CUmodule*, const void*>("cuModuleLoadData", &module, kPtx);
  CUfunction trapped = nullptr;
  call<CUfunction*, CUmodule, const char*>("cuModuleGetFunction", &trapped, module, "trapped");
  EXPECT_EQ(launch(trapped, 1, 1, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(synchronize(), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(call<CUcontext>("cuCtxDestroy_v2", other), CUDA_SUCCESS);
}

TEST_F(Driver, LogsWhatIsWrongWithAnImage) {
  std::array<char, 512> log{};
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  const auto load = [&](const void* image) {
    void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
    CUmodule module = nullptr;
    return call<CUmodule*, const void*, unsigned, CUjit_option*, void**>(
        "cuModuleLoadDataEx", &module, image, 2, options, values);
  };
  EXPECT_EQ(load(".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k( {"),
            CUDA_ERROR_INVALID_PTX);
  EXPECT_NE(std::string(log.data()).find("line 4"), std::string::npos) << log.data();
  EXPECT_EQ(load("\x7f"
                 "ELF rest"),
            CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_NE(std::string(log.data()).find("this is a cubin: the emulator executes PTX"),
            std::string::npos);
  EXPECT_EQ(load(nullptr), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Driver, FindsVariables) {
  CUdeviceptr address = 0;
  size_t bytes = 0;
  ASSERT_EQ((call<CUdeviceptr*, size_t*, CUmodule, const char*>("cuModuleGetGlobal_v2", &address,
                                                                &bytes, module_, "counter")),
            CUDA_SUCCESS);
  EXPECT_EQ(bytes, 4u);
  unsigned value = 0;
  call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", &value, address, 4);
  EXPECT_EQ(value, 7u);
}

TEST_F(Driver, ChecksMemoryCalls) {
  const CUdeviceptr address = allocate(100);
  std::array<char, 200> host{};
  EXPECT_EQ((call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", host.data(), address, 101)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ((call<CUdeviceptr, unsigned, size_t>("cuMemsetD32_v2", address + 2, 1, 1)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call<CUdeviceptr>("cuMemFree_v2", address + 4), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call<CUdeviceptr>("cuMemFree_v2", address), CUDA_SUCCESS);
  EXPECT_EQ(call<CUdeviceptr>("cuMemFree_v2", address), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Driver, CopiesRows) {
  constexpr size_t kWidth = 3, kHeight = 4, kPitch = 8;
  const CUdeviceptr address = allocate(kPitch * kHeight);
  call<CUdeviceptr, unsigned char, size_t>("cuMemsetD8_v2", address, 0xEE, kPitch * kHeight);
  std::array<unsigned char, kWidth * kHeight> rows{};
  std::iota(rows.begin(), rows.end(), static_cast<unsigned char>(1));
  CUDA_MEMCPY2D request{};
  request.srcMemoryType = CU_MEMORYTYPE_HOST;
  request.srcHost = rows.data();
  request.srcPitch = kWidth;
  request.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  request.dstDevice = address;
  request.dstPitch = kPitch;
  request.WidthInBytes = kWidth;
  request.Height = kHeight;
  ASSERT_EQ(call<const CUDA_MEMCPY2D*>("cuMemcpy2D_v2", &request), CUDA_SUCCESS);
  std::array<unsigned char, kPitch * kHeight> all{};
  call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", all.data(), address, all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t row = i / kPitch, column = i % kPitch;
    EXPECT_EQ(all[i], column < kWidth ? rows[row * kWidth + column] : 0xEE) << i;
  }
}

TEST_F(Driver, TimesAStream) {
  CUstream stream = nullptr;
  CUevent start = nullptr, stop = nullptr;
  ASSERT_EQ((call<CUstream*, unsigned>("cuStreamCreate", &stream, 1)), CUDA_SUCCESS);
  call<CUevent*, unsigned>("cuEventCreate", &start, 0);
  call<CUevent*, unsigned>("cuEventCreate", &stop, 0);
  float milliseconds = -1;
  const auto elapsed = [&] {
    return call<float*, CUevent, CUevent>("cuEventElapsedTime", &milliseconds, start, stop);
  };
  EXPECT_EQ(elapsed(), CUDA_ERROR_INVALID_HANDLE);  // not recorded yet
  call<CUevent, CUstream>("cuEventRecord", start, stream);
  EXPECT_EQ(launch(function("bounded"), 4, 64, nullptr, stream), CUDA_SUCCESS);
  call<CUevent, CUstream>("cuEventRecord", stop, stream);
  EXPECT_EQ(call<CUevent>("cuEventSynchronize", stop), CUDA_SUCCESS);
  EXPECT_EQ(elapsed(), CUDA_SUCCESS);
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(call<CUstream>("cuStreamDestroy_v2", stream), CUDA_SUCCESS);
  EXPECT_EQ(call<CUstream>("cuStreamDestroy_v2", stream), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Driver, ReplaysAGraph) {
  CUstream stream = nullptr;
  call<CUstream*, unsigned>("cuStreamCreate", &stream, 1);
  CUdeviceptr target = allocate(4);
  void* parameters[] = {&target};
  ASSERT_EQ((call<CUstream, CUstreamCaptureMode>("cuStreamBeginCapture_v2", stream,
                                                 CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)),
            CUDA_SUCCESS);
  call<CUdeviceptr, unsigned, size_t, CUstream>("cuMemsetD32Async", target, 5, 1, stream);
  EXPECT_EQ(launch(function("store"), 1, 1, parameters, stream), CUDA_SUCCESS);
  CUgraph graph = nullptr;
  ASSERT_EQ((call<CUstream, CUgraph*>("cuStreamEndCapture", stream, &graph)), CUDA_SUCCESS);
  unsigned value = 9;
  call<CUdeviceptr, unsigned, size_t>("cuMemsetD32_v2", target, 9, 1);
  CUgraphExec exec = nullptr;
  ASSERT_EQ((call<CUgraphExec*, CUgraph, unsigned long long>("cuGraphInstantiateWithFlags", &exec,
                                                             graph, 0)),
            CUDA_SUCCESS);
  call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", &value, target, 4);
  EXPECT_EQ(value, 9u);  // nothing ran so far
  ASSERT_EQ((call<CUgraphExec, CUstream>("cuGraphLaunch", exec, stream)), CUDA_SUCCESS);
  call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", &value, target, 4);
  EXPECT_EQ(value, 1u);  // the fill, then the kernel
}

TEST_F(Driver, InvalidatesACaptureByAWait) {
  CUstream stream = nullptr;
  call<CUstream*, unsigned>("cuStreamCreate", &stream, 1);
  call<CUstream, CUstreamCaptureMode>("cuStreamBeginCapture_v2", stream,
                                      CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  EXPECT_EQ(call<CUstream>("cuStreamSynchronize", stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CUgraph graph = nullptr;
  EXPECT_EQ((call<CUstream, CUgraph*>("cuStreamEndCapture", stream, &graph)),
            CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(graph, nullptr);
}

TEST_F(Driver, RunsEightThreads) {
  const CUfunction kernel = function("add");
  std::vector<std::thread> threads;
  std::array<bool, 8> right{};
  for (size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&, t] {
      call<CUcontext>("cuCtxSetCurrent", context_);
      AddData data;
      const size_t bytes = AddData::kCount * sizeof(float);
      for (CUdeviceptr* address : {&data.a, &data.b, &data.c}) {
        call<CUdeviceptr*, size_t>("cuMemAlloc_v2", address, bytes);
      }
      std::vector<float> a(AddData::kCount, static_cast<float>(t)), c(AddData::kCount);
      call<CUdeviceptr, const void*, size_t>("cuMemcpyHtoD_v2", data.a, a.data(), bytes);
      call<CUdeviceptr, const void*, size_t>("cuMemcpyHtoD_v2", data.b, a.data(), bytes);
      for (int i = 0; i < 20; ++i) launch(kernel, 8, 128, data.parameters.data());
      call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", c.data(), data.c, bytes);
      right[t] = c == std::vector<float>(AddData::kCount, 2.0f * static_cast<float>(t));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < right.size(); ++t) EXPECT_TRUE(right[t]) << t;
}

}  // namespace
}  // namespace nibble::test
