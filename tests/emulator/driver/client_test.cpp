// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A program of someone else's: compiled against the toolkit's cuda.h, it finds every entry point
// through cuGetProcAddress, as loaders do, and under the symbol that cuda.h makes of its name.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#if __has_include(<cuda.h>)
#include <cuda.h>
#endif

namespace {

#ifdef CUDA_VERSION

constexpr const char* kDouble = R"(
.version 7.0
.target sm_80
.address_size 64
.visible .entry twice(.param .u64 pa)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [pa];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r2, [%rd3];
  add.u32 %r2, %r2, %r2;
  st.global.u32 [%rd3], %r2;
  ret;
}
)";

#define NIBBLE_TEXT_OF(name) #name
#define NIBBLE_TEXT(name) NIBBLE_TEXT_OF(name)  // of what cuda.h's macros make of `name`

void* open_library() {
  setenv("NIBBLE_EMULATOR_QUIET", "1", 0);
  return dlopen(NIBBLE_EMULATOR_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

struct Client {
  void* library = open_library();
  decltype(&cuGetProcAddress) find =
      reinterpret_cast<decltype(&cuGetProcAddress)>(dlsym(library, NIBBLE_TEXT(cuGetProcAddress)));

  template <class Function>
  Function* get(const char* name, cuuint64_t flags = CU_GET_PROC_ADDRESS_DEFAULT) {
    void* function = nullptr;
    CUdriverProcAddressQueryResult status{};
    EXPECT_EQ(find(name, &function, CUDA_VERSION, flags, &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SUCCESS) << name;
    return reinterpret_cast<Function*>(function);
  }
};

TEST(Client, LaunchesThroughProcAddresses) {
  Client client;
  ASSERT_NE(client.find, nullptr);
  ASSERT_EQ(client.get<decltype(cuInit)>("cuInit")(0), CUDA_SUCCESS);
  CUcontext context = nullptr;
  const auto retain = client.get<decltype(cuDevicePrimaryCtxRetain)>("cuDevicePrimaryCtxRetain");
  ASSERT_EQ(retain(&context, 0), CUDA_SUCCESS);
  ASSERT_EQ(client.get<decltype(cuCtxSetCurrent)>("cuCtxSetCurrent")(context), CUDA_SUCCESS);
  CUmodule module = nullptr;
  const auto load = client.get<decltype(cuModuleLoadData)>("cuModuleLoadData");
  ASSERT_EQ(load(&module, kDouble), CUDA_SUCCESS);
  CUfunction twice = nullptr;
  const auto get = client.get<decltype(cuModuleGetFunction)>("cuModuleGetFunction");
  ASSERT_EQ(get(&twice, module, "twice"), CUDA_SUCCESS);
  std::vector<unsigned> values{1, 2, 3, 4, 5, 6, 7, 0x80000001};
  const size_t bytes = values.size() * sizeof(unsigned);
  CUdeviceptr address = 0;
  ASSERT_EQ(client.get<decltype(cuMemAlloc)>("cuMemAlloc")(&address, bytes), CUDA_SUCCESS);
  const auto to_device = client.get<decltype(cuMemcpyHtoD)>("cuMemcpyHtoD");
  ASSERT_EQ(to_device(address, values.data(), bytes), CUDA_SUCCESS);
  void* parameters[] = {&address};
  const auto launch = client.get<decltype(cuLaunchKernel)>(
      "cuLaunchKernel", CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
  ASSERT_EQ(launch(twice, 1, 1, 1, 8, 1, 1, 0, nullptr, parameters, nullptr), CUDA_SUCCESS);
  const auto to_host = client.get<decltype(cuMemcpyDtoH)>("cuMemcpyDtoH");
  ASSERT_EQ(to_host(values.data(), address, bytes), CUDA_SUCCESS);
  EXPECT_EQ(values, (std::vector<unsigned>{2, 4, 6, 8, 10, 12, 14, 2}));
  EXPECT_EQ(client.get<decltype(cuCtxSetCurrent)>("cuCtxSetCurrent")(nullptr), CUDA_SUCCESS);
  const auto release = client.get<decltype(cuDevicePrimaryCtxRelease)>("cuDevicePrimaryCtxRelease");
  EXPECT_EQ(release(0), CUDA_SUCCESS);
}

TEST(Client, IsToldOfMissingNames) {
  Client client;
  void* function = &client;
  CUdriverProcAddressQueryResult status{};
  EXPECT_EQ(client.find("cuNoSuchCall", &function, CUDA_VERSION, 0, &status), CUDA_SUCCESS);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  EXPECT_EQ(function, nullptr);
}

TEST(Client, FindsTheSymbolsThatCudaHNames) {
  Client client;
  for (const char* symbol : {NIBBLE_TEXT(cuCtxCreate),
                             NIBBLE_TEXT(cuCtxDestroy),
                             NIBBLE_TEXT(cuCtxPopCurrent),
                             NIBBLE_TEXT(cuCtxPushCurrent),
                             NIBBLE_TEXT(cuDeviceGetUuid),
                             NIBBLE_TEXT(cuDeviceTotalMem),
                             NIBBLE_TEXT(cuDevicePrimaryCtxRelease),
                             NIBBLE_TEXT(cuDevicePrimaryCtxReset),
                             NIBBLE_TEXT(cuDevicePrimaryCtxSetFlags),
                             NIBBLE_TEXT(cuEventDestroy),
                             NIBBLE_TEXT(cuEventElapsedTime),
                             NIBBLE_TEXT(cuGraphInstantiate),
                             NIBBLE_TEXT(cuLinkCreate),
                             NIBBLE_TEXT(cuMemAdvise),
                             NIBBLE_TEXT(cuMemAlloc),
                             NIBBLE_TEXT(cuMemAllocHost),
                             NIBBLE_TEXT(cuMemAllocPitch),
                             NIBBLE_TEXT(cuMemFree),
                             NIBBLE_TEXT(cuMemGetAddressRange),
                             NIBBLE_TEXT(cuMemGetInfo),
                             NIBBLE_TEXT(cuMemHostGetDevicePointer),
                             NIBBLE_TEXT(cuMemHostRegister),
                             NIBBLE_TEXT(cuMemPrefetchAsync),
                             NIBBLE_TEXT(cuMemcpy2D),
                             NIBBLE_TEXT(cuMemcpy2DAsync),
                             NIBBLE_TEXT(cuMemcpy3D),
                             NIBBLE_TEXT(cuMemcpyDtoD),
                             NIBBLE_TEXT(cuMemcpyDtoDAsync),
                             NIBBLE_TEXT(cuMemcpyDtoHAsync),
                             NIBBLE_TEXT(cuMemcpyHtoD),
                             NIBBLE_TEXT(cuMemcpyHtoDAsync),
                             NIBBLE_TEXT(cuMemsetD16),
                             NIBBLE_TEXT(cuMemsetD2D32),
                             NIBBLE_TEXT(cuModuleGetGlobal),
                             NIBBLE_TEXT(cuStreamBeginCapture),
                             NIBBLE_TEXT(cuStreamDestroy),
                             NIBBLE_TEXT(cuStreamGetCaptureInfo)}) {
    EXPECT_NE(dlsym(client.library, symbol), nullptr) << symbol;
  }
}

#else

TEST(Client, LaunchesThroughProcAddresses) { GTEST_SKIP() << "no cuda.h on the include path"; }

#endif

}  // namespace
