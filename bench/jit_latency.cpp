// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What it takes to get from a request to a launch: a cold compile, a hit on disk, a hit in memory.
// The driver is tests/stub_driver, which does nothing: what is left is nibble and NVRTC.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <thread>

#include <CLI/CLI.hpp>

#include "bench/allocations.h"
#include "bench/child.h"
#include "bench/clock.h"
#include "bench/report.h"
#include "cache/store.h"
#include "nibble/quantize.hpp"
#include "runtime/context_state.h"
#include "runtime/families/tile.h"
#include "runtime/jit/family.h"
#include "runtime/jit/nvrtc.h"
#include "runtime/jit/template_library.h"
#include "templates/params/quantize.h"

namespace nibble::bench {

namespace {

struct Settings {
  int compiles = 15;
  int disk_reads = 2000;
  int starts = 15;
  int launch_batches = 60;
  int launches = 20000;  // a batch
  std::vector<std::string> targets;
  std::string stub_driver = NIBBLE_STUB_DRIVER;
};

template <class T>
T require(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "%s\n%s\n", result.status().to_string().c_str(),
               std::string(result.status().detail()).c_str());
  std::exit(1);
}

void require(const Status& status) {
  if (!status.ok()) require(Result<int>(status));
}

// A bf16 matrix of 4096 x 4096 as it is launched most; addresses that are never followed.
QuantizeRequest request() {
  QuantizeRequest request;
  request.x = {0x10000, DataType::kBf16, 4096, 4096, 0};
  request.y = {0x20000, 0x30000, 0x40000, ScaleLayout::k128x4, 0, 0};
  request.amax_given = true;
  return request;
}

Options options(const Settings& settings, const std::string& cache_directory) {
  Options options = Options::from_environment();
  options.device = "cuda:0";
  options.driver_library = settings.stub_driver;
  options.cache_directory = cache_directory;
  options.cache_mode = "readwrite";
  return options;
}

// ---- A hit on disk

double context_and_launch(const Options& options) {
  const Times start = Times::now();
  Context context = require(Context::create(options));
  require(quantize(context, request()));
  const double seconds = Times::since(start).wall;
  if (context.statistics().compiles != 0) {
    std::fprintf(stderr, "the cache was not warm\n");
    return -1;
  }
  return seconds;
}

std::vector<double> samples_of_children(int count, const std::function<double()>& measure) {
  std::vector<double> samples;
  samples.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    samples.push_back(in_child({}, [&] { return std::vector{measure()}; }).numbers.front());
  }
  return samples;
}

double read_file(const std::string& path) {
  std::string bytes;
  const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  bytes.resize(static_cast<size_t>(lseek(file, 0, SEEK_END)));
  const ssize_t count = pread(file, bytes.data(), bytes.size(), 0);
  close(file);
  const double seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
  return count == static_cast<ssize_t>(bytes.size()) ? seconds : kNone;
}

void measure_store(const Settings& settings, const std::string& directory, Report& report) {
  cache::StoreOptions store_options;
  store_options.directory = directory;
  cache::Store store(store_options);
  cache::EntryInfo kernel;
  for (const cache::EntryInfo& entry : store.list()) {
    if (entry.payload_bytes > kernel.payload_bytes) kernel = entry;
  }
  std::vector<double> wall, cpu, raw;
  const std::string path = store.entry_path(kernel.key_text);
  for (int i = 0; i < settings.disk_reads; ++i) {
    raw.push_back(read_file(path) * 1e6);
    const Times start = Times::now();
    const bool hit = store.get(kernel.key_text).has_value();
    const Times spent = Times::since(start);
    if (!hit) {
      std::fprintf(stderr, "the store lost %s\n", path.c_str());
      std::exit(1);
    }
    wall.push_back(spent.wall * 1e6);
    cpu.push_back(spent.thread * 1e6);
  }
  const std::string size = std::to_string(kernel.file_bytes) + " bytes";
  report.add(
      {.label = "disk: open and read the file", .unit = "us", .samples = raw, .detail = size});
  report.add({.label = "disk: lookup to verified bytes, CPU",
              .unit = "us",
              .samples = cpu,
              .baseline = "disk: open and read the file",
              .at_most = 60,
              .detail = size});
  report.add({.label = "disk: lookup to verified bytes, wall",
              .unit = "us",
              .samples = wall,
              .baseline = "disk: open and read the file",
              .at_most = 60,
              .detail = size});
}

// Before this process loads NVRTC, so that each child does.
void measure_disk(const Settings& settings, const std::string& directory, Report& report) {
  const Options warm = options(settings, directory);
  in_child({}, [&] {
    Context context = require(Context::create(warm));
    require(quantize(context, request()));
    return std::vector<double>{1};
  });
  measure_store(settings, directory, report);

  const auto scaled = [](std::vector<double> samples) {
    for (double& sample : samples) sample *= 1e3;
    return samples;
  };
  const std::string nvrtc = in_child({}, [&] {
                              Context context = require(Context::create(warm));
                              std::fputs(context.compiler().library.c_str(), stderr);
                              return std::vector<double>{1};
                            }).messages;
  report.add({.label = "start: dlopen of NVRTC",
              .unit = "ms",
              .samples = scaled(samples_of_children(settings.starts, [&] {
                const Times start = Times::now();
                return dlopen(nvrtc.c_str(), RTLD_NOW) == nullptr ? -1 : Times::since(start).wall;
              }))});
  report.add({.label = "start: context and first launch, warm disk",
              .unit = "ms",
              .samples = scaled(
                  samples_of_children(settings.starts, [&] { return context_and_launch(warm); })),
              .baseline = "start: dlopen of NVRTC"});
  Options without = warm;
  without.nvrtc_library = "/nonexistent/libnvrtc.so";
  report.add({.label = "start: the same where NVRTC is missing",
              .unit = "ms",
              .samples = scaled(samples_of_children(settings.starts,
                                                    [&] { return context_and_launch(without); })),
              .baseline = "start: dlopen of NVRTC"});
}

// ---- A hit in memory

struct Launcher {
  const char* label;
  const char* baseline;
  std::function<void()> launch;
};

// What a program does that calls the driver itself: parameters, then the call.
std::function<void()> raw_launch(Context& context) {
  const ContextState& state = context.state();
  const QuantizeRequest problem = request();
  KernelSpec spec =
      tile_spec(**std::find_if(all_families().begin(), all_families().end(),
                               [](auto* family) { return family->name == "quantize"; }),
                *state.device.arch, with_strides(problem.x));
  const CUfunction function = require(context.state().pool.get(spec, nullptr))->function;
  const Grid grid = tile_grid(spec, 4096, 256);
  const auto threads = static_cast<unsigned>(spec.values[kThreads]);
  const auto* driver = &state.driver();
  return [=] {
    QuantizeParams params{};
    params.x = reinterpret_cast<const void*>(problem.x.data);
    params.copies[0] = {reinterpret_cast<const float*>(problem.y.amax),
                        nullptr,
                        reinterpret_cast<unsigned char*>(problem.y.codes),
                        reinterpret_cast<unsigned char*>(problem.y.scales),
                        2048,
                        256};
    params.rows = params.columns = params.row_stride = 4096;
    void* parameters[] = {&params};
    if (driver->cuLaunchKernel(function, grid.x, grid.y, 1, threads, 1, 1, 0, nullptr, parameters,
                               nullptr) != CUDA_SUCCESS) {
      std::exit(1);
    }
  };
}

double nanoseconds_a_launch(const std::function<void()>& launch, int count) {
  const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < count; ++i) launch();
  return (seconds_of(CLOCK_THREAD_CPUTIME_ID) - start) / count * 1e9;
}

// CPU time of each launch, mean over the threads.
double batch(const std::function<void()>& launch, int count, int threads) {
  if (threads == 1) return nanoseconds_a_launch(launch, count);
  std::vector<double> spent(static_cast<size_t>(threads));
  std::atomic<int> waiting{threads};
  std::vector<std::thread> running;
  running.reserve(spent.size());
  for (double& mine : spent) {
    running.emplace_back([&] {
      nanoseconds_a_launch(launch, 100);
      waiting.fetch_sub(1);
      while (waiting.load() > 0) std::this_thread::yield();
      mine = nanoseconds_a_launch(launch, count);
    });
  }
  double sum = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    running[i].join();
    sum += spent[i];
  }
  return sum / threads;
}

void measure_launches(const Settings& settings, Context& context, int threads, Report& report) {
  const QuantizeRequest problem = request();
  const QuantizePlan plan = require(QuantizePlan::create(context, problem));
  const std::function<void()> raw = raw_launch(context);
  const std::function<void()> direct = [&] { require(quantize(context, problem)); };
  const std::function<void()> planned = [&] { require(plan.launch(problem)); };
  const std::string suffix = threads == 1 ? "" : ", " + std::to_string(threads) + " threads";
  std::vector<double> raw_times, direct_added, planned_added;
  for (int i = 0; i < settings.launch_batches; ++i) {
    const double base = batch(raw, settings.launches, threads);
    raw_times.push_back(base);
    direct_added.push_back(batch(direct, settings.launches, threads) - base);
    planned_added.push_back(batch(planned, settings.launches, threads) - base);
  }
  const std::string label = "launch: raw cuLaunchKernel" + suffix;
  report.add({.label = label, .unit = "ns", .samples = raw_times});
  report.add({.label = "launch: added by quantize()" + suffix,
              .unit = "ns",
              .samples = direct_added,
              .baseline = label,
              .at_most = 400});
  report.add({.label = "launch: added by QuantizePlan::launch" + suffix,
              .unit = "ns",
              .samples = planned_added,
              .baseline = label,
              .at_most = 400});
  if (threads != 1) return;
  const auto count = [&](const std::function<void()>& launch) {
    const uint64_t before = allocations();
    for (int i = 0; i < 1000; ++i) launch();
    return static_cast<double>(allocations() - before) / 1000;
  };
  report.add({.label = "launch: allocations, quantize()",
              .unit = "calls",
              .samples = {count(direct)},
              .at_most = 0});
  report.add({.label = "launch: allocations, QuantizePlan::launch",
              .unit = "calls",
              .samples = {count(planned)},
              .at_most = 0});
}

// A product of NVFP4 matrices; what the driver itself takes for tensor maps and the launch is not
// in it, as nothing stands behind the driver.
void measure_products(const Settings& settings, Context& context, Report& report) {
  GemmRequest problem;
  problem.m = problem.n = problem.k = 4096;
  problem.a = {.data = 0x10000000, .scales = 0x20000000, .amax = 0x30000000};
  problem.b = {.data = 0x40000000, .scales = 0x50000000, .amax = 0x30000100};
  problem.d = {.data = 0x60000000};
  GemmRequest other = problem;
  other.a.data += 0x1000000;
  const GemmPlan plan = require(GemmPlan::create(context, problem));
  const std::function<void()> launches[] = {
      [&] { require(gemm(context, problem)); }, [&] { require(plan.launch(problem)); },
      [&, turn = 0]() mutable { require(plan.launch(++turn % 2 == 0 ? problem : other)); }};
  const char* const labels[] = {"launch: gemm()", "launch: GemmPlan::launch, the same addresses",
                                "launch: GemmPlan::launch, others each time"};
  std::vector<double> times[3];
  for (int i = 0; i < settings.launch_batches; ++i) {
    for (size_t kind = 0; kind < 3; ++kind) {
      times[kind].push_back(nanoseconds_a_launch(launches[kind], settings.launches / 4));
    }
  }
  for (size_t kind = 0; kind < 3; ++kind) {
    report.add({.label = labels[kind], .unit = "ns", .samples = times[kind]});
  }
}

// ---- A cold compile

struct Compilation {
  std::string name;
  std::string source;
  std::vector<TemplateText> includes;
  std::vector<double> wall, cpu;
  double first = 0;  // the first one's wall time, not among the samples
};

std::vector<Compilation> compilations(const Arch& arch) {
  std::vector<Compilation> all{
      {"a trivial kernel", "extern \"C\" __global__ void kernel() {}\n", {}, {}, {}}};
  for (const Family* family : all_families()) {
    const Matrix matrix{0, DataType::kBf16, 4096, 4096, 4096};
    // Families of the tiled kernels have the constants that tile_spec sets.
    const bool tiled = family->constants[kRowsPerTile].name == "kRowsPerTile";
    const KernelSpec spec = tiled ? tile_spec(*family, arch, matrix) : default_spec(*family, arch);
    if (find_variant(spec) == nullptr) continue;
    all.push_back({std::string(family->name),
                   render(spec),
                   require(TemplateLibrary("").closure(find_variant(spec)->include)),
                   {},
                   {}});
  }
  return all;
}

// Each source gets a comment of its own, so that no cache of NVRTC's can know it.
Times compile_once(const Nvrtc& nvrtc, const Arch& arch, const Compilation& what, int number) {
  const CompileJob job{what.name, what.source + "// " + std::to_string(number) + "\n",
                       what.includes, compile_options(arch, ImageKind::kCubin)};
  const Times start = Times::now();
  const CompileOutput output = require(nvrtc.compile(job));
  const Times spent = Times::since(start);
  if (output.cubin.empty()) {
    std::fprintf(stderr, "%s: no cubin\n", what.name.c_str());
    std::exit(1);
  }
  return spent;
}

void measure_compiles(const Settings& settings, Report& report) {
  const auto nvrtc = require(Nvrtc::load(Options::from_environment().nvrtc_library));
  std::printf("compiling with %s\n", nvrtc->identity().c_str());
  bool first = true;
  for (const Arch& arch : all_archs()) {
    const auto wanted = std::find(settings.targets.begin(), settings.targets.end(), arch.name);
    if (settings.targets.empty() ? arch.family : wanted == settings.targets.end()) continue;
    std::vector<Compilation> all = compilations(arch);
    for (int i = 0; i <= settings.compiles; ++i) {
      for (Compilation& one : all) {
        const Times spent = compile_once(*nvrtc, arch, one, i);
        if (first) {
          report.add({.label = "compile: the first of the process",
                      .unit = "s",
                      .samples = {spent.wall},
                      .detail = std::string(arch.name) + ", " + one.name});
          first = false;
        }
        if (i == 0) continue;  // pages of NVRTC that this target needs
        one.wall.push_back(spent.wall);
        one.cpu.push_back(spent.process);
      }
    }
    for (const Compilation& one : all) {
      const std::string start = "compile " + std::string(arch.name) + ": ";
      const bool floor = one.includes.empty();
      for (const bool cpu : {true, false}) {
        const std::string end = cpu ? ", CPU" : ", wall";
        report.add({.label = start + one.name + end,
                    .unit = "s",
                    .samples = cpu ? one.cpu : one.wall,
                    .baseline = floor ? "" : start + all.front().name + end,
                    .at_most = floor || !cpu ? kNone : 0.25});
      }
    }
  }
}

int run(int argc, char** argv) {
  Settings settings;
  Report report("jit_latency");
  CLI::App app("Latency of cold compiles, disk hits and memory hits");
  report.add_options(app);
  app.add_option("--compiles", settings.compiles, "Compiles of each kernel and target")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--targets", settings.targets, "Targets to compile for")->delimiter(',');
  app.add_option("--disk-reads", settings.disk_reads, "Lookups of one entry")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--starts", settings.starts, "Processes that start with a warm cache")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--batches", settings.launch_batches, "Batches of launches")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--launches", settings.launches, "Launches of a batch")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--stub-driver", settings.stub_driver, "libnibble-stub-driver.so");
  CLI11_PARSE(app, argc, argv);

  std::string directory = (std::filesystem::temp_directory_path() / "jit_latency.XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    std::perror(directory.c_str());
    return 1;
  }
  measure_disk(settings, directory, report);
  {
    Context context = require(Context::create(options(settings, directory)));
    measure_launches(settings, context, 1, report);
    measure_launches(settings, context, 2, report);
    measure_products(settings, context, report);
  }
  std::filesystem::remove_all(directory);
  measure_compiles(settings, report);
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
