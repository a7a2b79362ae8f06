// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/emulator_gemm.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "bench/child.h"
#include "bench/clock.h"
#include "runtime/driver/driver_api.h"

namespace nibble::bench {

namespace {

constexpr uint32_t kSize = 512;
constexpr uint32_t kMultiplications = 100;

void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n%s\n", status.to_string().c_str(),
               std::string(status.detail()).c_str());
  std::exit(1);
}

// A kernel of a program, on a device of its own.
class Kernel {
 public:
  Kernel(const ProgramSettings& settings, const std::string& name) {
    auto driver = DriverApi::load(settings.emulator);
    require(driver.status());
    driver_ = std::move(driver).value();
    CUcontext context = nullptr;
    check(driver_->cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    check(driver_->cuCtxSetCurrent(context), "cuCtxSetCurrent");
    std::ifstream file(settings.folder + "/" + name + ".ptx");
    std::ostringstream text;
    text << file.rdbuf();
    CUmodule module = nullptr;
    check(driver_->cuModuleLoadDataEx(&module, text.str().c_str(), 0, nullptr, nullptr),
          "cuModuleLoadDataEx");
    check(driver_->cuModuleGetFunction(&function_, module, name.c_str()), "cuModuleGetFunction");
  }

  CUdeviceptr buffer(const std::vector<uint8_t>& bytes) const {
    CUdeviceptr address = 0;
    check(driver_->cuMemAlloc(&address, bytes.size()), "cuMemAlloc");
    check(driver_->cuMemcpyHtoDAsync(address, bytes.data(), bytes.size(), nullptr),
          "cuMemcpyHtoDAsync");
    check(driver_->cuStreamSynchronize(nullptr), "cuStreamSynchronize");
    return address;
  }

  // Boxes of 128 bytes by 128 rows.
  CUtensorMap map(CUdeviceptr address, uint64_t row_bytes, bool is_f32) const {
    CUtensorMap map;
    const uint32_t element = is_f32 ? 4 : 1;
    const cuuint64_t sizes[] = {row_bytes / element, kSize}, strides[] = {row_bytes};
    const cuuint32_t box[] = {128 / element, 128}, steps[] = {1, 1};
    check(driver_->cuTensorMapEncodeTiled(
              &map, is_f32 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32 : CU_TENSOR_MAP_DATA_TYPE_UINT8, 2,
              reinterpret_cast<void*>(address), sizes, strides, box, steps,
              CU_TENSOR_MAP_INTERLEAVE_NONE,
              is_f32 ? CU_TENSOR_MAP_SWIZZLE_NONE : CU_TENSOR_MAP_SWIZZLE_128B,
              CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
          "cuTensorMapEncodeTiled");
    return map;
  }

  // Wall seconds of `samples` launches behind a first one.
  std::vector<double> time(int samples, uint32_t tiles, uint32_t threads, uint32_t shared,
                           void** parameters) const {
    check(driver_->cuFuncSetAttribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                      static_cast<int>(shared)),
          "cuFuncSetAttribute");
    std::vector<double> seconds;
    for (int i = 0; i <= samples; ++i) {
      const Times start = Times::now();
      check(driver_->cuLaunchKernel(function_, tiles, tiles, 1, threads, 1, 1, shared, nullptr,
                                    parameters, nullptr),
            "cuLaunchKernel");
      check(driver_->cuStreamSynchronize(nullptr), "cuStreamSynchronize");
      if (i > 0) seconds.push_back(Times::since(start).wall);
    }
    return seconds;
  }

 private:
  void check(CUresult result, const char* call) const { require(driver_->check(result, call)); }

  std::shared_ptr<const DriverApi> driver_;
  CUfunction function_ = nullptr;
};

// A 512 x 512 x 512 NVFP4 multiplication: wall seconds of each launch but the first.
std::vector<double> run_gemm(const ProgramSettings& settings) {
  const Kernel kernel(settings, "nvfp4_gemm");
  std::minstd_rand random(1);
  std::vector<uint8_t> codes(size_t{kSize} * kSize / 2), scales(size_t{kSize} * kSize / 16);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() >> 8);
  for (uint8_t& scale : scales) scale = static_cast<uint8_t>(0x38 + (random() >> 8) % 24);
  const CUdeviceptr a = kernel.buffer(codes), b = kernel.buffer(codes);
  const CUdeviceptr d = kernel.buffer(std::vector<uint8_t>(size_t{kSize} * kSize * 4));
  CUtensorMap map_a = kernel.map(a, kSize / 2, false), map_b = kernel.map(b, kSize / 2, false);
  CUtensorMap map_d = kernel.map(d, kSize * 4, true);
  CUdeviceptr scales_a = kernel.buffer(scales), scales_b = kernel.buffer(scales);
  uint64_t steps = kSize / 256;
  void* parameters[] = {&map_a, &map_b, &map_d, &scales_a, &scales_b, &steps};
  return kernel.time(settings.samples, kSize / 128, 192, 3 * 36864 + 16384, parameters);
}

// Wall seconds of one multiplication of 128 x 256 x 64 from its issue to the end of the wait for
// its commit, a mean for each launch but the first.
std::vector<double> run_multiplications(const ProgramSettings& settings) {
  const Kernel kernel(settings, "mma_loop");
  uint64_t count = kMultiplications;
  void* parameters[] = {&count};
  std::vector<double> seconds = kernel.time(settings.samples, 1, 32, 51200, parameters);
  for (double& each : seconds) each /= kMultiplications;
  return seconds;
}

}  // namespace

void add_program_lines(const ProgramSettings& settings, int threads, Report& report) {
  struct Program {
    const char* name;
    std::vector<double> (*run)(const ProgramSettings&);
    double goal;  // ms with checks
  };
  constexpr Program kPrograms[] = {{"NVFP4 GEMM of 512 x 512 x 512", run_gemm, 2000},
                                   {"MMA of 128 x 256 x 64", run_multiplications, 2}};
  for (const Program& program : kPrograms) {
    for (const bool checks : {true, false}) {
      const ChildOutput output =
          in_child({{"NIBBLE_EMULATOR_THREADS", std::to_string(threads)},
                    {"NIBBLE_EMULATOR_DEVICES", "sm_100a"},
                    {"NIBBLE_EMULATOR_CHECK", checks ? "order,tensor-fences" : "no-order"}},
                   [&] { return program.run(settings); });
      std::vector<double> milliseconds = output.numbers;
      for (double& each : milliseconds) each *= 1e3;
      report.add({.label = std::string(program.name) + ", " + std::to_string(threads) +
                           " threads, checks " + (checks ? "on" : "off"),
                  .unit = "ms",
                  .samples = milliseconds,
                  .at_most = checks ? program.goal : kNone});
    }
  }
}

}  // namespace nibble::bench
