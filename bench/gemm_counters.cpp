// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the NVFP4 matrix multiplication does, by the emulator's counters, beside kernels of others
// whose counters were written to files. Two lengths of k tell the work of a step of k from that of
// a tile's start and epilogue.
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <nibble/nibble.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "bench/device_problem.h"

namespace nibble::bench {

namespace {

using Json = nlohmann::json;

struct Settings {
  std::string device = "emulator:sm_100a";
  int64_t m = 256, n = 1024, k = 4096;
  std::vector<std::string> peers;  // NAME=LONG.json,SHORT.json
};

// A kernel's counters with k and with half of it.
struct Column {
  std::string name;
  Json whole, half;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

// The emulator's own functions, in the library that the context has loaded.
class Counters {
 public:
  explicit Counters(const std::string& library) {
    void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) fail(library + ": cannot be opened");
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      if (function == nullptr) fail(library + " has no " + name);
    };
    find(enable_, "nibble_emulator_counters_enable");
    find(reset_, "nibble_emulator_counters_reset");
    find(json_, "nibble_emulator_counters_json");
  }

  Json of(const std::function<void()>& work) {
    reset_();
    enable_(1);
    work();
    enable_(0);
    std::string text(json_(nullptr, 0) + 1, '\0');
    json_(text.data(), text.size());
    text.pop_back();
    return Json::parse(text);
  }

 private:
  void (*enable_)(int) = nullptr;
  void (*reset_)() = nullptr;
  size_t (*json_)(char*, size_t) = nullptr;
};

int64_t flops(const Json& kernel) {
  int64_t sum = 0;
  for (const Json& mma : kernel["mma"]) sum += mma["flops"].get<int64_t>();
  return sum;
}

// The kernel that multiplies.
Json multiplication(const Json& counters, const std::string& name) {
  Json found;
  for (const Json& kernel : counters["kernels"]) {
    if (found.is_null() || flops(kernel) > flops(found)) found = kernel;
  }
  if (found.is_null() || flops(found) == 0) fail(name + ": no kernel multiplied");
  return found;
}

Json read(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(path + ": cannot be read");
  return Json::parse(file);
}

Column peer(const std::string& argument) {
  const size_t equals = argument.find('='), comma = argument.find(',');
  if (equals == std::string::npos || comma == std::string::npos || comma < equals) {
    fail("--peer " + argument + ": must be NAME=K.json,HALF_OF_K.json");
  }
  Column column{argument.substr(0, equals), {}, {}};
  column.whole = multiplication(read(argument.substr(equals + 1, comma - equals - 1)), argument);
  column.half = multiplication(read(argument.substr(comma + 1)), argument);
  return column;
}

// Operands of random codes and scales.
class Problem {
 public:
  Problem(Context& context, const Settings& settings)
      : a_(filled(context, operand_row_bytes(kFormat, settings.k) * settings.m, 0, 255)),
        b_(filled(context, operand_row_bytes(kFormat, settings.k) * settings.n, 0, 255)),
        a_scales_(
            filled(context, operand_scale_bytes(kFormat, settings.m, settings.k), 0x28, 0x47)),
        b_scales_(
            filled(context, operand_scale_bytes(kFormat, settings.n, settings.k), 0x28, 0x47)),
        d_(require(context.allocate(settings.m * settings.n * 2))) {}

  GemmRequest request(const Settings& settings, int64_t k, const GemmConfig& config) const {
    GemmRequest request;
    request.format = kFormat;
    request.m = settings.m;
    request.n = settings.n;
    request.k = k;
    request.a.data = a_.address();
    request.b.data = b_.address();
    request.a.scales = a_scales_.address();
    request.b.scales = b_scales_.address();
    request.d.data = d_.address();
    request.d.type = OutputType::kBf16;
    request.alpha = 0.125F;
    request.config = config;
    return request;
  }

 private:
  static constexpr OperandFormat kFormat = OperandFormat::kNvfp4;

  static Buffer filled(Context& context, int64_t bytes, int low, int high) {
    std::mt19937 random(static_cast<unsigned>(bytes));
    std::uniform_int_distribution<int> any(low, high);
    std::vector<uint8_t> values(static_cast<size_t>(bytes));
    for (uint8_t& value : values) value = static_cast<uint8_t>(any(random));
    Buffer buffer = require(context.allocate(bytes));
    require(context.copy_to_device(buffer.address(), values.data(), bytes));
    return buffer;
  }

  Buffer a_, b_, a_scales_, b_scales_, d_;
};

std::vector<Column> ours(const Settings& settings) {
  Options options = Options::from_environment();
  options.device = settings.device;
  Context context = require(Context::create(options));
  Counters counters(context.device().driver_library);
  const Problem problem(context, settings);
  struct Named {
    const char* name;
    GemmConfig config;
  };
  // Tile for tile what the others are, pairs with tiles of 256 x 256: static, with cluster launch
  // control, and in clusters of eight.
  const GemmConfig pair{
      .cta_group = 2, .tile_n = 256, .cluster_m = 2, .cluster_n = 1, .swapped = 0};
  GemmConfig asking = pair, wide = pair;
  asking.scheduler = 1;
  wide.cluster_n = 4;
  const Named configs[] = {{"nibble", pair}, {"nibble asking", asking}, {"nibble 2x4", wide}};
  std::vector<Column> columns;
  for (const Named& named : configs) {
    const auto run = [&](int64_t k) {
      return multiplication(counters.of([&] {
        require(gemm(context, problem.request(settings, k, named.config)));
        require(context.synchronize());
      }),
                            named.name);
    };
    columns.push_back({named.name, run(settings.k), run(settings.k / 2)});
  }
  return columns;
}

double number(const Json& object, const char* member) {
  return object.contains(member) ? object[member].get<double>() : 0;
}

// The sum of a member over classes.
double sum(const Json& classes, const char* member) {
  double total = 0;
  for (const auto& [name, values] : classes.items()) total += number(values, member);
  return total;
}

double of_class(const Json& classes, const char* name, const char* member) {
  return classes.contains(name) ? number(classes[name], member) : 0;
}

double waits(const Json& kernel, bool of_barriers) {
  double total = 0;
  for (const auto& [name, count] : kernel["waits"].items()) {
    if (!of_barriers || name.find("barrier") != std::string::npos) total += count.get<double>();
  }
  return total;
}

struct Row {
  const char* name;
  std::function<double(const Column&)> value;
};

std::vector<Row> rows(const Settings& settings) {
  const auto elements = static_cast<double>(settings.m * settings.n);
  // Of 128 bytes of k of a tile of 256 x 256.
  const double stages = elements / (256 * 256) * static_cast<double>(settings.k) / 256;
  const auto total = [](const Column& c) { return number(c.whole, "warp_instructions"); };
  const auto of_tiles = [](const Column& c) {
    return 2 * number(c.half, "warp_instructions") - number(c.whole, "warp_instructions");
  };
  return {
      {"MMA instructions",
       [](const Column& c) { return number(c.whole["instructions"], "tcgen05 mma"); }},
      {"GFLOP of them", [](const Column& c) { return static_cast<double>(flops(c.whole)) * 1e-9; }},
      {"copies of scales to tensor memory",
       [](const Column& c) { return number(c.whole["instructions"], "tcgen05 cp"); }},
      {"bytes from L2", [](const Column& c) { return number(c.whole["l2"], "read_bytes"); }},
      {"bytes to L2", [](const Column& c) { return number(c.whole["l2"], "written_bytes"); }},
      {"shared memory: bytes written by copies",
       [](const Column& c) { return sum(c.whole["asynchronous"], "shared_written_bytes"); }},
      {"shared memory: bytes read by MMAs",
       [](const Column& c) {
         return of_class(c.whole["asynchronous"], "tcgen05 mma", "shared_read_bytes");
       }},
      {"shared memory: bytes read by scale copies",
       [](const Column& c) {
         return of_class(c.whole["asynchronous"], "tcgen05 cp", "shared_read_bytes");
       }},
      {"shared memory: bytes of threads",
       [](const Column& c) { return sum(c.whole["shared"], "bytes"); }},
      {"shared memory: all bytes",
       [](const Column& c) {
         return sum(c.whole["asynchronous"], "shared_written_bytes") +
                sum(c.whole["asynchronous"], "shared_read_bytes") + sum(c.whole["shared"], "bytes");
       }},
      {"shared memory: bank conflicts",
       [](const Column& c) { return sum(c.whole["shared"], "conflicts"); }},
      {"warp instructions", total},
      {"  a stage of 128 bytes of k",
       [=](const Column& c) { return (total(c) - of_tiles(c)) / stages; }},
      {"  start and epilogue, an output element",
       [=](const Column& c) { return of_tiles(c) / elements; }},
      {"waits at barriers", [](const Column& c) { return waits(c.whole, true); }},
      {"waits, all", [](const Column& c) { return waits(c.whole, false); }},
  };
}

void print(const Settings& settings, const std::vector<Column>& columns) {
  std::printf(
      "NVFP4 %lld x %lld x %lld to bf16, counted by the emulator; stages and epilogue by %lld as "
      "well\n",
      static_cast<long long>(settings.m), static_cast<long long>(settings.n),
      static_cast<long long>(settings.k), static_cast<long long>(settings.k / 2));
  std::printf("%-44s", "");
  for (const Column& column : columns) std::printf("%16s", column.name.c_str());
  std::printf("\n");
  for (const Row& row : rows(settings)) {
    std::printf("%-44s", row.name);
    for (const Column& column : columns) {
      const double value = row.value(column);
      std::printf(value == std::floor(value) ? "%16.0f" : "%16.4f", value);
    }
    std::printf("\n");
  }
}

}  // namespace

}  // namespace nibble::bench

int main(int argc, char** argv) try {
  using namespace nibble::bench;
  CLI::App app("What an NVFP4 matrix multiplication does, by the emulator's counters");
  Settings settings;
  app.add_option("--device", settings.device, "an emulated device");
  app.add_option("-m", settings.m, "a multiple of 256");
  app.add_option("-n", settings.n, "a multiple of 256");
  app.add_option("-k", settings.k, "a multiple of 512");
  app.add_option("--peer", settings.peers,
                 "NAME=K.json,HALF_OF_K.json: counters of another kernel, written by the emulator "
                 "for the same m and n, with k and with half of it");
  CLI11_PARSE(app, argc, argv);
  std::vector<Column> columns = ours(settings);
  for (const std::string& argument : settings.peers) columns.push_back(peer(argument));
  print(settings, columns);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
