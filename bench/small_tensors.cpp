// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Microseconds of quantisations, transforms and maxima of small matrices, launched one after the
// other or replayed by a graph, beside an empty kernel and copies of as many bytes, done alike.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>

#include <CLI/CLI.hpp>

#include "bench/device_problem.h"
#include "bench/quantize_variants.h"
#include "bench/report.h"
#include "nibble/hadamard.hpp"
#include "runtime/context_state.h"

namespace nibble::bench {

namespace {

struct Settings {
  std::string device = "cuda:0";
  std::vector<int64_t> rows{1, 16, 128, 1024, 4096};
  std::vector<std::string> types{"bf16", "f16", "f32"};
  int samples = 25;
  int launches = 64;  // of a graph
};

constexpr int64_t kColumns = 4096;
constexpr const char* kEmptyPtx =
    ".version 7.8\n.target sm_90\n.address_size 64\n.visible .entry empty() { ret; }\n";

// The driver's graphs, which the library does not use itself.
struct Graphs {
  CUresult (*begin)(CUstream stream, CUstreamCaptureMode mode) = nullptr;
  CUresult (*end)(CUstream stream, CUgraph* graph) = nullptr;
  CUresult (*instantiate)(CUgraphExec* exec, CUgraph graph, unsigned long long flags) = nullptr;
  CUresult (*launch)(CUgraphExec exec, CUstream stream) = nullptr;
  CUresult (*destroy_exec)(CUgraphExec exec) = nullptr;
  CUresult (*destroy)(CUgraph graph) = nullptr;

  explicit Graphs(const std::string& driver_library) {
    void* const library = dlopen(driver_library.c_str(), RTLD_NOW);
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(
          library == nullptr ? nullptr : dlsym(library, name));
      if (function == nullptr) {
        std::fprintf(stderr, "%s has no %s\n", driver_library.c_str(), name);
        std::exit(1);
      }
    };
    find(begin, "cuStreamBeginCapture_v2");
    find(end, "cuStreamEndCapture");
    find(instantiate, "cuGraphInstantiateWithFlags");
    find(launch, "cuGraphLaunch");
    find(destroy_exec, "cuGraphExecDestroy");
    find(destroy, "cuGraphDestroy");
  }
};

// Enqueues the launch of a set on a stream.
using Launch = std::function<Status(int set, Stream stream)>;

class Replayer {
 public:
  Replayer(Context& context, const Settings& settings)
      : context_(context),
        settings_(settings),
        driver_(context.state().driver()),
        current_(driver_, context.state().device.context),
        graphs_(context.device().driver_library) {
    check(driver_.cuStreamCreate(&stream_, 1), "cuStreamCreate");  // 1: not blocked by stream 0
    check(driver_.cuEventCreate(&start_, 0), "cuEventCreate");
    check(driver_.cuEventCreate(&stop_, 0), "cuEventCreate");
    check(driver_.cuModuleLoadDataEx(&module_, kEmptyPtx, 0, nullptr, nullptr), "cuModuleLoad");
    check(driver_.cuModuleGetFunction(&empty_, module_, "empty"), "cuModuleGetFunction");
  }

  // Microseconds of a launch.
  std::vector<double> time(bool graph, const Launch& launch) {
    if (graph) return time_graph(launch);
    std::vector<double> all =
        time_on_device(context_, settings_.samples, [&](int set) { return launch(set, nullptr); });
    for (double& one : all) one *= 1e6;
    return all;
  }

  std::vector<double> time_empty(bool graph) {
    return time(graph, [&](int, Stream stream) {
      return driver_.check(
          driver_.cuLaunchKernel(empty_, 1, 1, 1, 32, 1, 1, 0, stream, nullptr, nullptr),
          "cuLaunchKernel");
    });
  }

  // Reads half of the bytes, writes as many.
  std::vector<double> time_copy(bool graph, const DeviceProblem& problem, int64_t bytes) {
    return time(graph, [&, bytes](int set, Stream stream) {
      const DequantizeRequest room = problem.dequantize(set, ScaleLayout::k128x4);
      return driver_.check(driver_.cuMemcpyDtoDAsync(room.y.data, problem.amax(set).x.data,
                                                     static_cast<size_t>(bytes / 2), stream),
                           "cuMemcpyDtoDAsync");
    });
  }

 private:
  void check(CUresult result, const char* call) const { require(driver_.check(result, call)); }

  std::vector<double> time_graph(const Launch& launch) {
    require(launch(0, stream_));  // compiles
    check(driver_.cuStreamSynchronize(stream_), "cuStreamSynchronize");
    check(graphs_.begin(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
    for (int set = 0; set < settings_.launches; ++set) require(launch(set, stream_));
    CUgraph graph = nullptr;
    check(graphs_.end(stream_, &graph), "cuStreamEndCapture");
    CUgraphExec exec = nullptr;
    check(graphs_.instantiate(&exec, graph, 0), "cuGraphInstantiate");
    std::vector<double> microseconds;
    for (int i = -3; i < settings_.samples; ++i) {  // the first three warm up
      check(driver_.cuEventRecord(start_, stream_), "cuEventRecord");
      check(graphs_.launch(exec, stream_), "cuGraphLaunch");
      check(driver_.cuEventRecord(stop_, stream_), "cuEventRecord");
      check(driver_.cuEventSynchronize(stop_), "cuEventSynchronize");
      float milliseconds = 0;
      check(driver_.cuEventElapsedTime(&milliseconds, start_, stop_), "cuEventElapsedTime");
      if (i >= 0) microseconds.push_back(double{milliseconds} * 1e3 / settings_.launches);
    }
    check(graphs_.destroy_exec(exec), "cuGraphExecDestroy");
    check(graphs_.destroy(graph), "cuGraphDestroy");
    return microseconds;
  }

  Context& context_;
  const Settings& settings_;
  const DriverApi& driver_;
  const CurrentContext current_;
  Graphs graphs_;
  CUstream stream_ = nullptr;
  CUevent start_ = nullptr, stop_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction empty_ = nullptr;
};

struct Operation {
  std::string name;
  int64_t bytes;  // read and written
  Launch launch;
  int kernels = 1;
};

std::vector<Operation> operations(Context& context, const DeviceProblem& problem) {
  const int64_t matrix = problem.matrix_bytes();
  std::vector<Operation> list;
  list.push_back({"amax", matrix, [&](int set, Stream stream) {
                    AmaxRequest request = problem.amax(set);
                    request.stream = stream;
                    return amax(context, request);
                  }});
  std::vector<QuantizeVariant> variants = quantize_variants();
  variants.insert(variants.begin(), QuantizeVariant{"rows", {}, 0});
  for (const QuantizeVariant& variant : variants) {
    // Rows of a transposed copy are whole blocks: of fewer elements it is mostly padding.
    if (variant.options.copies != Copies::kRowWise && problem.amax(0).x.rows < 16) continue;
    list.push_back({"quantize " + variant.name, bytes_of(variant, request_of(variant, problem, 0)),
                    [&, variant](int set, Stream stream) {
                      QuantizeRequest request = request_of(variant, problem, set);
                      request.stream = stream;
                      return quantize(context, request);
                    }});
  }
  list.push_back({"quantize rows, with amax", matrix + problem.nvfp4_bytes(),
                  [&](int set, Stream stream) {
                    QuantizeRequest request = problem.quantize(set, ScaleLayout::k128x4);
                    request.amax_given = false;
                    request.stream = stream;
                    return quantize(context, request);
                  },
                  2});
  for (const int64_t size : {16, 128, 4096}) {
    list.push_back(
        {"hadamard of " + std::to_string(size), 2 * matrix, [&, size](int set, Stream stream) {
           HadamardRequest request;
           request.x = problem.amax(set).x;
           request.y = problem.dequantize(set, ScaleLayout::k128x4).y;
           request.size = size;
           request.stream = stream;
           return hadamard(context, request);
         }});
  }
  return list;
}

void measure(Context& context, const Settings& settings, int64_t rows, DataType type,
             Report& report) {
  const DeviceProblem problem(context, {rows, kColumns}, type);
  Replayer replayer(context, settings);
  const std::string shape = ", " + std::to_string(rows) + "x4096 " + std::string(type_name(type));
  for (const bool graph : {false, true}) {
    const std::string suffix = shape + (graph ? ", graph" : "");
    const std::vector<double> empty = replayer.time_empty(graph);
    report.add({.label = "empty kernel" + suffix, .unit = "us", .samples = empty});
    for (const Operation& one : operations(context, problem)) {
      const std::vector<double> copy = replayer.time_copy(graph, problem, one.bytes);
      const std::string copy_label = "copy for " + one.name + suffix;
      report.add({.label = copy_label, .unit = "us", .samples = copy, .in_table = false});
      report.add({.label = one.name + suffix,
                  .unit = "us",
                  .samples = replayer.time(graph, one.launch),
                  .baseline = copy_label,
                  .at_most = 1.15 * (one.kernels * median(empty) + median(copy))});
    }
  }
}

int run(int argc, char** argv) {
  Settings settings;
  Report report("small_tensors");
  CLI::App app("Time of small quantisations, transforms and maxima on a GPU");
  report.add_options(app);
  app.add_option("--device", settings.device, "cuda:N, or emulator:TARGET for a smoke test");
  app.add_option("--rows", settings.rows, "Of 4096 columns")->delimiter(',');
  app.add_option("--types", settings.types, "f32, f16, bf16")->delimiter(',');
  app.add_option("--samples", settings.samples, "Replays, or batches of launches");
  app.add_option("--launches", settings.launches, "Of a graph");
  CLI11_PARSE(app, argc, argv);

  std::optional<Context> opened = open_device(settings.device, report);
  if (!opened) return 0;
  Context& context = *opened;
  for (const DataType type : {DataType::kBf16, DataType::kF16, DataType::kF32}) {
    const std::string name(type_name(type));
    if (std::count(settings.types.begin(), settings.types.end(), name) == 0) continue;
    for (const int64_t rows : settings.rows) measure(context, settings, rows, type, report);
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
