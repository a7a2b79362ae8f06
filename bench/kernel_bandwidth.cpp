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

#include "autotune/candidates.h"
#include "bench/device_problem.h"
#include "bench/quantize_variants.h"
#include "bench/report.h"
#include "runtime/trial.h"

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
  size_t sweep_best = 3;       // lines of each kernel in the table
  size_t configurations = 96;  // of each kernel
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
  std::string name;  // its family, and how
  int64_t bytes;     // each counted once
  std::function<Status(int)> launch;
  double goal;  // of the ratio to the copy
  ScaleLayout layout = ScaleLayout::k128x4;
  std::vector<double> seconds{};

  std::string family() const { return name.substr(0, name.find(' ')); }
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
         [&, layout](int set) { return quantize(context, problem.quantize(set, layout)); }, goal,
         layout});
    list.push_back(
        {"dequantize " + name, all,
         [&, layout](int set) { return dequantize(context, problem.dequantize(set, layout)); },
         goal, layout});
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

// ---- Every other choice of the tuned constants

// Compiles on every core.
std::vector<int> registers(const Trial& trial, const std::vector<KernelSpec>& specs) {
  std::vector<int> all(specs.size());
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    workers.emplace_back([&] {
      for (size_t at = next++; at < specs.size(); at = next++) {
        all[at] = require(trial.prepare(specs[at])).registers;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return all;
}

// What a launch on the first set makes of memory that held a pattern.
std::vector<uint8_t> outputs_of(const Operation& operation, DeviceProblem& problem) {
  if (operation.family() == "amax") {
    problem.poison_amax();
  } else {
    operation.family() == "dequantize" ? problem.poison_matrix() : problem.poison();
  }
  require(operation.launch(0));
  return problem.outputs();
}

// The time of the fastest over that of the default.
double sweep_operation(Context& context, const Settings& settings, const Operation& operation,
                       DeviceProblem& problem, const std::string& name, Report& report) {
  struct Candidate {
    KernelSpec spec;
    int registers;
    std::vector<double> seconds;
  };
  for (int set = 0; set < problem.sets(); ++set) {  // what dequantize reads
    require(quantize(context, problem.quantize(set, operation.layout)));
  }
  const std::unique_ptr<Trial> trial = require(Trial::start(context, operation.family()));
  const std::vector<uint8_t> expected = outputs_of(operation, problem);
  const std::vector<KernelSpec> specs =
      autotune::candidates(trial->asked(), settings.configurations, 0);
  const std::vector<int> all_registers = registers(*trial, specs);
  std::vector<Candidate> all;
  for (size_t i = 0; i < specs.size(); ++i) {
    trial->use(specs[i]);
    if (outputs_of(operation, problem) != expected) {
      fail(operation.name + ", " + config_text(specs[i]) + ": other bytes than the default");
    }
    all.push_back({specs[i], all_registers[i], {}});
  }
  // The first of a process to be timed is slower: all in turn, more than once.
  for (int round = 0; round < settings.rounds; ++round) {
    for (Candidate& one : all) {
      trial->use(one.spec);
      const auto more = time_on_device(context, settings.samples, operation.launch);
      one.seconds.insert(one.seconds.end(), more.begin(), more.end());
    }
  }
  const std::string base = operation.name + " " + name;
  const std::string label = base + ", default";
  report.add({.label = label,
              .unit = "GB/s",
              .samples = gigabytes(operation.bytes, all[0].seconds),
              .detail = config_text(all[0].spec)});
  const double of_default = median(all[0].seconds);
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return median(a.seconds) < median(b.seconds);
  });
  for (size_t i = 0; i < all.size(); ++i) {
    report.add({.label = base + ", " + config_text(all[i].spec),
                .unit = "GB/s",
                .samples = gigabytes(operation.bytes, all[i].seconds),
                .baseline = label,
                .detail = microseconds(all[i].seconds) + ", " + std::to_string(all[i].registers) +
                          " registers",
                .in_table = i < settings.sweep_best});
  }
  return median(all[0].seconds) / of_default;
}

void sweep(Context& context, const Settings& settings, Shape shape, DataType type, Report& report) {
  DeviceProblem problem(context, shape, type);
  const std::string name = shape.text() + " " + std::string(type_name(type));
  check_outputs(context, problem, name);
  std::vector<double> shares;
  for (const Operation& one : operations(context, problem, false)) {
    shares.push_back(sweep_operation(context, settings, one, problem, name, report));
  }
  char least[32];
  std::snprintf(least, sizeof least, "at least %.3f", *std::ranges::min_element(shares));
  report.add({.label = "defaults of " + name,
              .unit = "of the fastest",
              .samples = shares,
              .detail = least});
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
  app.add_option("--configurations", settings.configurations,
                 "Of each kernel in a sweep; no more than so many are drawn")
      ->check(CLI::PositiveNumber);
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
