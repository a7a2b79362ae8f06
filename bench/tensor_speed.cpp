// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How fast the emulator multiplies: the arithmetic of one tensor-core instruction on one thread,
// codes to codes, without the instruction around it.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/clock.h"
#include "bench/report.h"
#include "runtime/emulator/tensor/multiply.h"

namespace nibble::bench {
namespace {

using emulator::tensor::Arithmetic;
using emulator::tensor::Format;
using emulator::tensor::Multiply;
using emulator::tensor::ScaleFormat;

struct Case {
  const char* name;
  Multiply shape;
  double goal_ms = kNone;
};

Multiply shape_of(uint32_t m, uint32_t n, uint32_t k, Format format, Arithmetic arithmetic,
                  Format d = Format::kF32) {
  Multiply shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.a = shape.b = format;
  shape.d = d;
  shape.arithmetic = arithmetic;
  return shape;
}
Multiply scaled(Multiply shape, ScaleFormat scale, uint32_t block) {
  shape.scale = scale;
  shape.scale_block = block;
  return shape;
}

std::vector<Case> cases() {
  const auto tcgen05 = [](uint32_t k, Format format, Format d = Format::kF32) {
    return shape_of(128, 256, k, format, Arithmetic::kTcgen05, d);
  };
  const auto wgmma = [](uint32_t k, Format format) {
    return shape_of(64, 256, k, format, Arithmetic::kWgmmaHopper);
  };
  const auto exact = [](Multiply shape) {
    shape.arithmetic = Arithmetic::kExact;
    return shape;
  };
  const Multiply nvfp4 = scaled(tcgen05(64, Format::kE2m1), ScaleFormat::kUe4m3, 16);
  return {
      {"tcgen05 mxf4nvf4 128x256x64", nvfp4, 0.4},
      {"tcgen05 mxf4 128x256x64", scaled(nvfp4, ScaleFormat::kUe8m0, 32), 0.4},
      {"tcgen05 mxf8f6f4 128x256x32", scaled(tcgen05(32, Format::kE4m3), ScaleFormat::kUe8m0, 32),
       1.5},
      {"tcgen05 f8f6f4 128x256x32", tcgen05(32, Format::kE4m3), 1.5},
      {"tcgen05 f16 128x256x16", tcgen05(16, Format::kF16), 1.5},
      {"tcgen05 f16 128x256x16, f16 result", tcgen05(16, Format::kF16, Format::kF16), 1.5},
      {"tcgen05 bf16 128x256x16", tcgen05(16, Format::kBf16), 1.5},
      {"tcgen05 tf32 128x256x8", tcgen05(8, Format::kTf32), 1.5},
      {"tcgen05 i8 128x256x32", tcgen05(32, Format::kS8, Format::kS32), 1.5},
      {"wgmma f16 64x256x16", wgmma(16, Format::kF16)},
      {"wgmma e4m3 64x256x32", wgmma(32, Format::kE4m3)},
      {"mma f16 16x8x16", shape_of(16, 8, 16, Format::kF16, Arithmetic::kMmaHopper)},
      {"mma e4m3 16x8x32", shape_of(16, 8, 32, Format::kE4m3, Arithmetic::kMmaHopper)},
      {"mma s8 16x8x32", shape_of(16, 8, 32, Format::kS8, Arithmetic::kMmaHopper, Format::kS32)},
      {"exact mxf4nvf4 128x256x64", exact(nvfp4)},
      {"exact f16 128x256x16", exact(tcgen05(16, Format::kF16))},
  };
}

// Codes of ordinary numbers: f16 and bf16 about 1, tf32 as well; every code of shorter formats.
uint32_t code_of(Format format, std::mt19937& random) {
  const uint32_t bits = random();
  switch (format) {
    case Format::kF16:
      return (bits & 0x83FF) | (12 + (bits >> 28 & 7)) << 10;
    case Format::kBf16:
      return (bits & 0x807F) | (124 + (bits >> 28 & 7)) << 7;
    case Format::kTf32:
      return (bits & 0x807FFFFF) | (124 + (bits >> 28 & 7)) << 23;
    default:
      return (bits & 0x7F) == 0x7F ? 0 : bits & 0xFF;  // no NaN of e4m3
  }
}

std::vector<double> time_case(const Multiply& shape, int samples) {
  std::mt19937 random(1);
  std::vector<uint32_t> a(size_t{shape.m} * shape.k), b(size_t{shape.n} * shape.k);
  for (uint32_t& code : a) code = code_of(shape.a, random);
  for (uint32_t& code : b) code = code_of(shape.b, random);
  const size_t blocks = shape.scale == ScaleFormat::kNone ? 0 : shape.k / shape.scale_block;
  std::vector<uint8_t> a_scales(shape.m * blocks), b_scales(shape.n * blocks);
  const uint8_t one = shape.scale == ScaleFormat::kUe4m3 ? 0x38 : 127;
  for (uint8_t& scale : a_scales) scale = static_cast<uint8_t>(one + random() % 8);
  for (uint8_t& scale : b_scales) scale = static_cast<uint8_t>(one + random() % 8);
  std::vector<uint32_t> d(size_t{shape.m} * shape.n);
  const bool has_scales = blocks != 0;
  std::vector<double> times;
  // A small one is repeated, so that a sample is no less than some 100 us.
  const int repeats = shape.m * shape.n < 1024 ? 100 : 1;
  for (int i = 0; i <= samples; ++i) {
    const Times start = Times::now();
    for (int j = 0; j < repeats; ++j) {
      multiply(shape, a.data(), b.data(), has_scales ? a_scales.data() : nullptr,
               has_scales ? b_scales.data() : nullptr, d.data());
    }
    if (i > 0) times.push_back(Times::since(start).thread * 1e3 / repeats);
  }
  return times;
}

}  // namespace
}  // namespace nibble::bench

int main(int argc, char** argv) try {
  using namespace nibble::bench;
  Report report("tensor_speed");
  int samples = 15;
  CLI::App app{"Time of the arithmetic of one tensor-core instruction"};
  app.add_option("--samples", samples, "Runs of each case")->check(CLI::PositiveNumber);
  report.add_options(app);
  CLI11_PARSE(app, argc, argv);
  for (const Case& one : cases()) {
    report.add({one.name, "ms", time_case(one.shape, samples), "", one.goal_ms});
  }
  return report.finish() ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "tensor_speed: %s\n", error.what());
  return 1;
}
