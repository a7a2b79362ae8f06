// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bandwidth of amax, quantize and dequantize on a GPU, against device-to-device copies of as many
// bytes in the same run. --sweep tries the tuned constants of each kernel instead.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <set>
#include <thread>

#include <CLI/CLI.hpp>

#include "bench/device_problem.h"
#include "bench/quantize_variants.h"
#include "bench/report.h"
#include "runtime/context_state.h"
#include "runtime/families/amax.h"
#include "runtime/families/dequantize.h"
#include "runtime/families/quantize.h"
#include "runtime/families/quantize_check.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile.h"
#include "templates/params/quantize.h"

namespace nibble::bench {

namespace {

constexpr ScaleLayout kLayouts[] = {ScaleLayout::kRowMajor, ScaleLayout::k128x4};

struct Settings {
  std::string device = "cuda:0";
  std::vector<std::string> shapes{"16384x16384", "4096x4096", "8192x28672", "1x4096"};
  std::vector<std::string> types{"f32", "f16", "bf16"};
  int samples = 25;
  int rounds = 2;   // of the copies and kernels of a shape, alternating
  double rest = 0;  // seconds before each of them
  bool sweep = false;
  size_t sweep_best = 3;  // lines of each kernel in the table
};

Shape parse_shape(const std::string& text) {
  Shape shape;
  char end = 0;
  long long rows = 0, columns = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%c", &rows, &columns, &end) != 2 || rows < 1 ||
      columns < 1) {
    std::fprintf(stderr, "shape '%s': must be ROWSxCOLUMNS, both >= 1\n", text.c_str());
    std::exit(1);
  }
  shape.rows = rows;
  shape.columns = columns;
  return shape;
}

DataType parse_type(const std::string& text) {
  for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBf16}) {
    if (type_name(type) == text) return type;
  }
  std::fprintf(stderr, "type '%s': must be f32, f16 or bf16\n", text.c_str());
  std::exit(1);
}

void fail(const std::string& what) {
  std::fprintf(stderr, "WRONG: %s\n", what.c_str());
  std::exit(1);
}

std::vector<double> gigabytes(int64_t bytes, const std::vector<double>& seconds) {
  std::vector<double> rates;
  rates.reserve(seconds.size());
  for (const double one : seconds) rates.push_back(static_cast<double>(bytes) / one * 1e-9);
  return rates;
}

std::string microseconds(const std::vector<double>& seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f us", median(seconds) * 1e6);
  return text;
}

// ---- The library's own choice of constants, through its public API

struct Operation {
  std::string name;
  int64_t bytes;  // each counted once
  std::function<Status(int)> launch;
  double goal;  // of the ratio to the copy
  std::vector<double> seconds{};
};

std::vector<Operation> operations(Context& context, const DeviceProblem& problem, bool large) {
  const int64_t matrix = problem.matrix_bytes(), all = matrix + problem.nvfp4_bytes();
  const double goal = large ? 0.85 : kNone;
  std::vector<Operation> list;
  list.push_back(
      {"amax", matrix, [&](int set) { return amax(context, problem.amax(set)); }, kNone});
  for (const ScaleLayout layout : kLayouts) {
    const std::string name(layout_name(layout));
    list.push_back(
        {"quantize " + name, all,
         [&, layout](int set) { return quantize(context, problem.quantize(set, layout)); }, goal});
    list.push_back(
        {"dequantize " + name, all,
         [&, layout](int set) { return dequantize(context, problem.dequantize(set, layout)); },
         goal});
  }
  for (const QuantizeVariant& variant : quantize_variants()) {
    const int64_t bytes = bytes_of(variant, request_of(variant, problem, 0));
    list.push_back(
        {"quantize " + variant.name, bytes,
         [&, variant](int set) { return quantize(context, request_of(variant, problem, set)); },
         large && variant.goal > 0 ? variant.goal : kNone});
  }
  list.push_back({"quantize 128x4 with amax", all,
                  [&](int set) {
                    QuantizeRequest request = problem.quantize(set, ScaleLayout::k128x4);
                    request.amax_given = false;
                    return quantize(context, request);
                  },
                  kNone});
  return list;
}

// That the launches which were timed did their work, seen from the host.
void check_outputs(Context& context, DeviceProblem& problem, const std::string& name) {
  for (const ScaleLayout layout : kLayouts) {
    problem.poison();
    require(quantize(context, problem.quantize(0, layout)));
    require(dequantize(context, problem.dequantize(0, layout)));
    require(context.synchronize());
    const double error = problem.error_of_start();
    // NVFP4 keeps normal values to about 9.5 %; a block of zeros or of poison is far off.
    if (!(error > 0.05 && error < 0.13)) {
      fail(name + ": relative error " + std::to_string(error) + " is not that of NVFP4");
    }
  }
  require(amax(context, problem.amax(0)));
  if (problem.computed_amax() != problem.largest()) {
    fail(name + ": amax " + std::to_string(problem.computed_amax()) + ", expected " +
         std::to_string(problem.largest()));
  }
}

void measure(Context& context, const Settings& settings, Shape shape, DataType type,
             Report& report) {
  DeviceProblem problem(context, shape, type);
  const std::string name = shape.text() + " " + std::string(type_name(type));
  check_outputs(context, problem, name);
  const bool large = problem.matrix_bytes() >= int64_t{1} << 25 && !context.device().emulated;
  std::vector<Operation> list = operations(context, problem, large);
  std::vector<Operation> copies;
  std::set<int64_t> sizes;
  for (const Operation& one : list) sizes.insert(one.bytes);
  copies.reserve(sizes.size());
  for (const int64_t bytes : sizes) {
    copies.push_back({"copy " + name + ", " + std::to_string(bytes) + " bytes", bytes,
                      [&, bytes](int set) { return problem.copy(set, bytes); }, kNone});
  }
  for (int set = 0; set < problem.sets(); ++set) {  // none is left with the checks' pattern
    require(quantize(context, problem.quantize(set, ScaleLayout::k128x4)));
  }
  for (int round = 0; round < settings.rounds; ++round) {
    for (std::vector<Operation>* some : {&copies, &list}) {
      for (Operation& one : *some) {
        std::this_thread::sleep_for(std::chrono::duration<double>(settings.rest));
        const auto more = time_on_device(context, settings.samples, one.launch);
        one.seconds.insert(one.seconds.end(), more.begin(), more.end());
      }
    }
  }
  check_outputs(context, problem, name);
  for (const Operation& one : copies) {
    report.add({.label = one.name,
                .unit = "GB/s",
                .samples = gigabytes(one.bytes, one.seconds),
                .detail = microseconds(one.seconds)});
  }
  auto copy_of = [&](int64_t bytes) {
    for (const Operation& one : copies) {
      if (one.bytes == bytes) return one.name;
    }
    return std::string();
  };
  for (const Operation& one : list) {
    report.add({.label = one.name + " " + name,
                .unit = "GB/s",
                .samples = gigabytes(one.bytes, one.seconds),
                .baseline = copy_of(one.bytes),
                .ratio_at_least = one.goal,
                .detail = microseconds(one.seconds)});
  }
}

// ---- Other constants, launched as the families do

Status launch_spec(const ContextState& state, const Kernel& kernel, const DeviceProblem& problem,
                   ScaleLayout layout, int set) {
  if (kernel.spec.family == &kAmaxFamily) {
    const AmaxRequest request = problem.amax(set);
    return launch_amax(state, kernel, with_strides(request.x), request.amax, nullptr);
  }
  const DequantizeRequest request = problem.dequantize(set, layout);
  const Matrix y = with_strides(request.y);
  const Nvfp4Matrix q = with_strides(request.x, QuantizedFormat::kNvfp4, y.columns);
  const int64_t blocks = (y.columns + kBlockSize - 1) / kBlockSize;
  auto* codes = reinterpret_cast<unsigned char*>(q.codes);
  auto* scales = reinterpret_cast<unsigned char*>(q.scales);
  auto* amax = reinterpret_cast<float*>(q.amax);
  if (kernel.spec.family == &kDequantizeFamily) {
    const DequantizeParams params{codes,
                                  scales,
                                  amax,
                                  reinterpret_cast<void*>(y.data),
                                  y.rows,
                                  y.columns,
                                  y.row_stride,
                                  q.code_row_stride,
                                  q.scale_row_stride};
    return launch_tiles(state, kernel, tile_grid(kernel.spec, y.rows, blocks), &params, nullptr);
  }
  QuantizeParams params{};
  params.x = reinterpret_cast<const void*>(problem.quantize(set, layout).x.data);
  params.copies[0] = {amax, nullptr, codes, scales, q.code_row_stride, q.scale_row_stride};
  params.rows = y.rows;
  params.columns = y.columns;
  params.row_stride = y.row_stride;
  return launch_tiles(state, kernel, quantize_grid(kernel.spec, y.rows, y.columns), &params,
                      nullptr);
}

// The default first, then every combination of the tuned constants that fits the shape.
std::vector<KernelSpec> candidates(const Family& family, const Arch& arch, const Matrix& matrix,
                                   ScaleLayout layout) {
  KernelSpec spec = tile_spec(family, arch, with_strides(matrix));
  if (&family == &kQuantizeFamily) {
    QuantizeRequest request;
    request.x = with_strides(matrix);
    request.y.scale_layout = layout;
    spec = quantize_spec(kQuantizeFamily, request, arch);
  }
  if (&family != &kAmaxFamily) spec.values[kScaleLayout] = static_cast<int>(layout);
  std::vector<KernelSpec> all{spec};
  for (const int threads : family.constants[kThreads].values) {
    for (const int rows : family.constants[kRowsPerTile].values) {
      for (const int blocks : family.constants[kBlocksPerThread].values) {
        KernelSpec other = spec;
        other.values[kThreads] = threads;
        other.values[kRowsPerTile] = rows;
        other.values[kBlocksPerThread] = blocks;
        const bool useful = rows < 2 * matrix.rows || layout == ScaleLayout::k128x4;
        if (useful && threads % rows == 0 && is_legal(other) && other != spec) all.push_back(other);
      }
    }
  }
  return all;
}

// Compiles on every core.
std::vector<const Kernel*> kernels(ContextState& state, const std::vector<KernelSpec>& specs) {
  std::vector<const Kernel*> all(specs.size());
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    workers.emplace_back([&] {
      for (size_t at = next++; at < specs.size(); at = next++) {
        all[at] = require(state.pool.get(specs[at], nullptr));
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return all;
}

struct Candidate {
  const Kernel* kernel;
  std::vector<double> seconds;
};

void sweep_kernel(Context& context, const Settings& settings, const Family& family,
                  ScaleLayout layout, DeviceProblem& problem, const std::string& name,
                  Report& report) {
  ContextState& state = context.state();
  const bool is_amax = &family == &kAmaxFamily;
  const int64_t bytes = problem.matrix_bytes() + (is_amax ? 0 : problem.nvfp4_bytes());
  require(quantize(context, problem.quantize(0, layout)));
  const std::vector<uint8_t> expected = problem.quantized(layout);
  const Matrix matrix = problem.amax(0).x;
  std::vector<Candidate> all;
  for (const Kernel* kernel :
       kernels(state, candidates(family, *state.device.arch, matrix, layout))) {
    const auto launch = [&](int set) { return launch_spec(state, *kernel, problem, layout, set); };
    all.push_back({kernel, time_on_device(context, settings.samples, launch)});
    if (&family != &kQuantizeFamily) continue;
    problem.poison();
    require(launch(0));
    if (problem.quantized(layout) != expected)
      fail(kernel->label + ": other bits than the default");
  }
  const std::string base =
      family.name == "amax" ? name : name + " " + std::string(layout_name(layout));
  const std::string label = std::string(family.name) + " " + base + ", default";
  report.add({.label = label,
              .unit = "GB/s",
              .samples = gigabytes(bytes, all[0].seconds),
              .detail = all[0].kernel->label});
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return median(a.seconds) < median(b.seconds);
  });
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& values = all[i].kernel->spec.values;
    report.add({.label = std::string(family.name) + " " + base +
                         ", threads=" + std::to_string(values[kThreads]) +
                         " rows=" + std::to_string(values[kRowsPerTile]) +
                         " blocks=" + std::to_string(values[kBlocksPerThread]),
                .unit = "GB/s",
                .samples = gigabytes(bytes, all[i].seconds),
                .baseline = label,
                .detail = microseconds(all[i].seconds) + ", " +
                          std::to_string(all[i].kernel->resources.registers) + " registers",
                .in_table = i < settings.sweep_best});
  }
}

void sweep(Context& context, const Settings& settings, Shape shape, DataType type, Report& report) {
  DeviceProblem problem(context, shape, type);
  const std::string name = shape.text() + " " + std::string(type_name(type));
  check_outputs(context, problem, name);
  sweep_kernel(context, settings, kAmaxFamily, ScaleLayout::kRowMajor, problem, name, report);
  for (const ScaleLayout layout : kLayouts) {
    // What the dequantise kernels read is what this fills; every set of it.
    for (int set = 0; set < problem.sets(); ++set) {
      require(quantize(context, problem.quantize(set, layout)));
    }
    sweep_kernel(context, settings, kDequantizeFamily, layout, problem, name, report);
    sweep_kernel(context, settings, kQuantizeFamily, layout, problem, name, report);
  }
}

int run(int argc, char** argv) {
  Settings settings;
  Report report("kernel_bandwidth");
  CLI::App app("Bandwidth of the kernels on a GPU");
  report.add_options(app);
  app.add_option("--device", settings.device, "cuda:N, or emulator:TARGET for a smoke test");
  app.add_option("--shapes", settings.shapes, "ROWSxCOLUMNS, ...")->delimiter(',');
  app.add_option("--types", settings.types, "f32, f16, bf16")->delimiter(',');
  app.add_option("--samples", settings.samples, "Batches of launches in a round");
  app.add_option("--rounds", settings.rounds, "Rounds over the copies and kernels");
  app.add_option("--rest", settings.rest,
                 "Seconds of idleness before each: keeps the card below its power limit")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--sweep", settings.sweep, "Try other values of the tuned constants");
  app.add_option("--best", settings.sweep_best, "Of a sweep, lines of each kernel in the table");
  CLI11_PARSE(app, argc, argv);

  std::optional<Context> opened = open_device(settings.device, report);
  if (!opened) return 0;
  Context& context = *opened;
  for (const std::string& shape : settings.shapes) {
    for (const std::string& type : settings.types) {
      (settings.sweep ? sweep : measure)(context, settings, parse_shape(shape), parse_type(type),
                                         report);
      std::fprintf(stderr, "%s %s done\n", shape.c_str(), type.c_str());
    }
  }
  return report.finish() ? 0 : 1;
}

}  // namespace

}  // namespace nibble::bench

int main(int argc, char** argv) {
  try {
    return nibble::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
