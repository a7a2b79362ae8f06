// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Cold compiles of the tensor-core multiplication to cubins for sm_100a and sm_103a: a sample of
// all configurations, their time, size, registers and spills; beside them, in turn, whatever other
// compilers are named on the command line.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <CLI/CLI.hpp>

#include "bench/clock.h"
#include "bench/report.h"
#include "nibble/nibble.hpp"
#include "tests/families/space/gemm_space.h"

namespace nibble::bench {

namespace {

struct Settings {
  size_t configurations = 416;
  size_t first = SIZE_MAX;  // only so many of them
  std::string target = "sm_100a";
  std::vector<std::string> beside;  // "name=command"
  int rounds = 3;                   // of each command beside
  bool list = false;
};

// CPU seconds of a shell command and all its children; it must succeed.
double cpu_seconds_of(const std::string& command) {
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "failed: %s\n", command.c_str());
    std::exit(1);
  }
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

GemmRequest request_of(const test::SpacePoint& point) {
  GemmRequest request;
  request.format = point.format;
  request.m = point.m;
  request.n = point.n;
  request.k = point.k;
  const int64_t row = (operand_row_bytes(point.format, point.k) + 15) / 16 * 16;
  request.a.row_stride = request.b.row_stride = row;
  request.d.type = point.output;
  const int64_t columns = point.gated ? point.n / 2 : point.n;
  if (point.output < OutputType::kNvfp4) {
    request.d.row_stride = (columns + 7) / 8 * 8 + (point.aligned ? 0 : 1);
  }
  request.epilogue.gated = point.gated;
  request.epilogue.activation = point.gated ? Activation::kSilu : Activation::kNone;
  request.kernel = GemmKernel::kTensor;
  request.config = point.config;
  request.workspace = 256;  // never followed
  request.workspace_bytes = int64_t{1} << 40;
  return request;
}

int run(const Settings& settings, Report& report) {
  Options options;
  options.device = "none:" + settings.target;
  options.cache_mode = "off";
  Result<Context> context = Context::create(options);
  if (!context.ok()) {
    std::fprintf(stderr, "%s\n", context.status().to_string().c_str());
    return 1;
  }
  std::vector<test::SpacePoint> points = test::sample_space(settings.configurations, 1);
  points.resize(std::min(points.size(), settings.first));
  Line cpu{.label = "cold compile, CPU", .unit = "s", .samples = {}};
  Line wall{.label = "cold compile, wall", .unit = "s", .samples = {}};
  Line size{.label = "cubin", .unit = "KiB", .samples = {}};
  Line registers{.label = "registers of a thread", .unit = "", .samples = {}};
  Line spills{
      .label = "bytes of spills and stack, most", .unit = "B", .samples = {0}, .at_most = 0};
  std::vector<Line> others;
  for (const std::string& beside : settings.beside) {
    others.push_back({.label = beside.substr(0, beside.find('=')), .unit = "s", .samples = {}});
  }
  const size_t every = std::max<size_t>(1, points.size() / static_cast<size_t>(settings.rounds));
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t other = 0; other < others.size() && i % every == 0; ++other) {
      const std::string& beside = settings.beside[other];
      others[other].samples.push_back(cpu_seconds_of(beside.substr(beside.find('=') + 1)));
    }
    const Times start = Times::now();
    const Result<Inspection> compiled = inspect(*context, request_of(points[i]));
    const Times taken = Times::since(start);
    if (!compiled.ok()) {
      std::fprintf(stderr, "%s\n%s\n%s\n", name(points[i]).c_str(),
                   compiled.status().to_string().c_str(),
                   std::string(compiled.status().detail()).c_str());
      return 1;
    }
    const KernelResources& resources = compiled->resources;
    if (settings.list)
      std::printf("%.1f KiB %.3f s %s\n", static_cast<double>(compiled->cubin_bytes) / 1024,
                  taken.process, compiled->label.c_str());
    const int spilled =
        resources.spill_store_bytes + resources.spill_load_bytes + resources.stack_bytes;
    if (spilled > 0)
      std::printf("%s: %d bytes of spills and stack\n", compiled->label.c_str(), spilled);
    cpu.samples.push_back(taken.process);
    wall.samples.push_back(taken.wall);
    size.samples.push_back(static_cast<double>(compiled->cubin_bytes) / 1024);
    registers.samples.push_back(resources.registers);
    spills.samples[0] = std::max<double>(spills.samples[0], spilled);
  }
  const double most = *std::max_element(size.samples.begin(), size.samples.end());
  std::printf("%zu kernels for %s\n", points.size(), settings.target.c_str());
  cpu.at_most = 0.40;
  report.add(cpu);
  report.add(wall);
  report.add(size);
  report.add({.label = "largest cubin", .unit = "KiB", .samples = {most}, .at_most = 64});
  report.add(registers);
  report.add(spills);
  for (Line& other : others) {
    other.baseline = cpu.label;
    report.add(other);
  }
  return 0;
}

}  // namespace

}  // namespace nibble::bench

int main(int argc, char** argv) try {
  CLI::App app{"Cold compiles of the tensor-core multiplication"};
  nibble::bench::Settings settings;
  nibble::bench::Report report("gemm_compile");
  app.add_option("--configurations", settings.configurations, "how many, at least");
  app.add_option("--first", settings.first, "only the first ones of them");
  app.add_option("--target", settings.target, "sm_100a or sm_103a");
  app.add_option("--beside", settings.beside, "NAME=COMMAND: a compile by others, in the same run");
  app.add_option("--rounds", settings.rounds, "of the commands beside");
  app.add_flag("--list", settings.list, "each kernel's size and time");
  report.add_options(app);
  CLI11_PARSE(app, argc, argv);
  const int code = nibble::bench::run(settings, report);
  return code == 0 && report.finish() ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
