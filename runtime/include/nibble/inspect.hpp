// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a request turns into: the rendered source, its PTX, the resources of the kernel, its cache
// key. Works for any target on a machine with no GPU and no driver (Options::device
// "none:sm_100a").
#pragma once

#include <string>
#include <vector>

#include "nibble/amax.hpp"
#include "nibble/context.hpp"
#include "nibble/dequantize.hpp"
#include "nibble/gemm.hpp"
#include "nibble/hadamard.hpp"
#include "nibble/quantize.hpp"
#include "nibble/scale_layout.hpp"
#include "nibble/status.hpp"

namespace [[gnu::visibility("default")]] nibble {

struct KernelResources {
  int registers = 0;          // a thread
  int spill_store_bytes = 0;  // a thread
  int spill_load_bytes = 0;
  int stack_bytes = 0;   // local memory, a thread
  int shared_bytes = 0;  // static, a block
};

struct Inspection {
  std::string label;  // "quantize sm_100a input=bf16 ...": also the first line of the source
  std::string target;
  std::string source;                 // the translation unit as given to NVRTC
  std::vector<std::string> includes;  // templates that it reads
  std::vector<std::string> compiler_options;
  std::string ptx;
  std::string log;  // NVRTC's, with ptxas' resource lines
  std::string key;  // the cache file name
  KernelResources resources;
  int dynamic_shared_bytes = 0;  // a block, beside the static
  int64_t cubin_bytes = 0;
  double compile_seconds = 0;
};

// Compiles, bypassing the cache. Pointers of the request may be null.
Result<Inspection> inspect(Context& context, const AmaxRequest& request);
Result<Inspection> inspect(Context& context, const AmaxRowsRequest& request);
Result<Inspection> inspect(Context& context, const QuantizeRequest& request);
Result<Inspection> inspect(Context& context, const DequantizeRequest& request);
Result<Inspection> inspect(Context& context, const GemmRequest& request);
Result<Inspection> inspect(Context& context, const HadamardRequest& request);
Result<Inspection> inspect(Context& context, const ScaleLayoutRequest& request);

}  // namespace nibble
