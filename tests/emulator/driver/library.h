// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator as a client sees it: a shared library that is opened at run time.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "runtime/driver/cuda_abi.h"

namespace nibble::test {

inline void* library() {
  static void* const kHandle = [] {
    setenv("NIBBLE_EMULATOR_QUIET", "1", 0);
    void* const handle = dlopen(NIBBLE_EMULATOR_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    return handle;
  }();
  return kHandle;
}

// call<int*>("cuDeviceGetCount", &count): argument types as given.
template <class... Args, class... Values>
CUresult call(const char* name, Values... values) {
  void* const function = dlsym(library(), name);
  if (function == nullptr) {
    ADD_FAILURE() << name << " is not exported";
    return CUDA_ERROR_NOT_FOUND;
  }
  return reinterpret_cast<CUresult (*)(Args...)>(function)(static_cast<Args>(values)...);
}

// c[i] = a[i] + b[i] for i < n, a thread an element; and kernels that go wrong.
constexpr const char* kPtx = R"(
.version 8.0
.target sm_90
.address_size 64
.global .align 4 .u32 counter = 7;
.visible .entry add(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u32 pn)
{
  .reg .pred %p<2>;
  .reg .b32 %r<6>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [pa];
  ld.param.u64 %rd2, [pb];
  ld.param.u64 %rd3, [pc];
  ld.param.u32 %r1, [pn];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  mul.wide.u32 %rd4, %r5, 4;
  add.s64 %rd5, %rd1, %rd4;
  add.s64 %rd6, %rd2, %rd4;
  add.s64 %rd7, %rd3, %rd4;
  ld.global.f32 %f1, [%rd5];
  ld.global.f32 %f2, [%rd6];
  add.f32 %f3, %f1, %f2;
  st.global.f32 [%rd7], %f3;
done:
  ret;
}
.visible .entry store(.param .u64 pa)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [pa];
  mov.u32 %r1, 1;
  st.global.u32 [%rd1], %r1;
  ret;
}
.visible .entry bounded() .maxntid 64, 1, 1 { ret; }
.visible .entry exact() .reqntid 32, 1, 1 { ret; }
.visible .entry trapped() { trap; ret; }
)";

// A context of its own on device 0, current on this thread, with kPtx loaded.
class DriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(call<unsigned>("cuInit", 0), CUDA_SUCCESS);
    ASSERT_EQ((call<CUcontext*, unsigned, CUdevice>("cuCtxCreate_v2", &context_, 0, 0)),
              CUDA_SUCCESS);
    ASSERT_EQ((call<CUmodule*, const void*>("cuModuleLoadData", &module_, kPtx)), CUDA_SUCCESS);
  }
  void TearDown() override {
    if (context_ != nullptr) call<CUcontext>("cuCtxDestroy_v2", context_);
  }

  CUfunction function(const char* name) {
    CUfunction found = nullptr;
    EXPECT_EQ(
        (call<CUfunction*, CUmodule, const char*>("cuModuleGetFunction", &found, module_, name)),
        CUDA_SUCCESS)
        << name;
    return found;
  }
  CUdeviceptr allocate(size_t bytes) {
    CUdeviceptr address = 0;
    EXPECT_EQ((call<CUdeviceptr*, size_t>("cuMemAlloc_v2", &address, bytes)), CUDA_SUCCESS);
    return address;
  }
  static CUresult launch(CUfunction function, unsigned grid, unsigned block, void** parameters,
                         CUstream stream = nullptr, unsigned shared = 0) {
    return call<CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                CUstream, void**, void**>("cuLaunchKernel", function, grid, 1, 1, block, 1, 1,
                                          shared, stream, parameters, nullptr);
  }
  static CUresult synchronize() { return call("cuCtxSynchronize"); }

  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
};

}  // namespace nibble::test
