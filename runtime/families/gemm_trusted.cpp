// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_trusted.h"

#include <algorithm>

#include "runtime/result.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"gemm/trusted.cuh", kFp8Conversion}};

// Thread blocks for all runs of D (templates/gemm/trusted.cuh), no more than fill the GPU four
// times over: the kernel steps on.
unsigned blocks_of(const ContextState& context, const KernelSpec& spec,
                   const GemmRequest& request) {
  const bool fp4 = is_fp4(request.d.type);
  const int64_t scaled = request.d.type == OutputType::kMxfp4 ? 32 : 16;
  const int64_t run = fp4 ? scaled * (request.epilogue.gated ? 2 : 1) : 4;
  const int64_t rows = fp4 ? (request.m + 127) / 128 * 128 : request.m;
  const int64_t threads = spec.values[kGemmThreads];
  const int64_t limit =
      std::max<int64_t>(1, context.device.info.multiprocessors * (2048 / threads) * 4);
  // Each factor is below 2^32: the product is cut before it can overflow.
  const int64_t row_blocks = ((request.n + run - 1) / run + threads - 1) / threads;
  if (rows * request.batch >= limit) return static_cast<unsigned>(limit);
  return static_cast<unsigned>(std::min(limit, rows * request.batch * row_blocks));
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
  return launch_tiles(context, kernel, {blocks_of(context, kernel.spec, request), 1}, &params,
                      request.stream);
}

}  // namespace nibble
