// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_trusted.h"

#include <algorithm>

#include "runtime/result.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"gemm/trusted.cuh", kFp8Conversion}};

// A thread block has 8 runs of a row of D next to each other, and as many rows as it has threads
// for (templates/gemm/trusted.cuh); where a grid has no more, the kernel steps on.
Grid trusted_grid(const KernelSpec& spec, const GemmRequest& request) {
  constexpr int64_t kAcross = 8;
  constexpr int64_t kMost = 65535;
  const bool fp4 = is_fp4(request.d.type);
  const int64_t scaled = request.d.type == OutputType::kMxfp4 ? 32 : 16;
  const int64_t run = fp4 ? scaled * (request.epilogue.gated ? 2 : 1) : 4;
  const int64_t rows = fp4 ? (request.m + 127) / 128 * 128 : request.m;
  const int64_t down = spec.values[kGemmThreads] / kAcross;
  auto count = [&](int64_t size, int64_t step) {
    return static_cast<unsigned>(std::min(kMost, (size + step - 1) / step));
  };
  return {count(request.n, run * kAcross), count(rows, down), count(request.batch, 1)};
}

GemmTrustedParams params_of(const GemmRequest& request) {
  auto bytes = [](DevicePointer pointer) {
    return reinterpret_cast<const unsigned char*>(pointer);
  };
  const GemmOperand& a = request.a;
  const GemmOperand& b = request.b;
  GemmTrustedParams params{};
  params.a = bytes(a.data);
  params.b = bytes(b.data);
  params.a_scales = bytes(a.scales);
  params.b_scales = bytes(b.scales);
  params.a_row_stride = a.row_stride;
  params.a_batch_stride = a.batch_stride;
  params.a_scale_batch_stride = a.scale_batch_stride;
  params.b_row_stride = b.row_stride;
  params.b_batch_stride = b.batch_stride;
  params.b_scale_batch_stride = b.scale_batch_stride;
  params.k = request.k;
  params.batch = request.batch;
  params.epilogue = epilogue_params(request);
  return params;
}

}  // namespace

const Family kGemmTrustedFamily{"gemm_trusted",
                                "GemmTrustedParams",
                                gemm_trusted_constants(),
                                kVariants,
                                nullptr,
                                nullptr,
                                true};

KernelSpec gemm_trusted_spec(const GemmRequest& request, const Arch& arch) {
  KernelSpec spec = default_spec(kGemmTrustedFamily, arch);
  set_problem(spec, request);
  return spec;
}

Status launch_gemm_trusted(const ContextState& context, const Kernel& kernel,
                           const GemmRequest& request) {
  if (request.d.amax != 0) {
    const CurrentContext current(context.driver(), context.device.context);
    const CUresult cleared =
        context.driver().cuMemsetD32Async(request.d.amax, 0, 1, request.stream);
    if (cleared != CUDA_SUCCESS) {
      return context.driver().check(cleared, "cuMemsetD32Async of d.amax");
    }
  }
  const GemmTrustedParams params = params_of(request);
  return launch_tiles(context, kernel, trusted_grid(kernel.spec, request), &params, request.stream);
}

}  // namespace nibble
