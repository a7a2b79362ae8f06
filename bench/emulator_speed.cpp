// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How fast the emulator executes: warp instructions per second of loops written in PTX, run through
// the Driver API, and elements per second of the quantize kernel. Each measurement is a process of
// its own, since the emulator reads its number of threads once.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <random>
#include <thread>

#include <CLI/CLI.hpp>

#include "bench/child.h"
#include "bench/clock.h"
#include "bench/emulator_gemm.h"
#include "bench/report.h"
#include "nibble/quantize.hpp"
#include "runtime/driver/driver_api.h"

namespace nibble::bench {

namespace {

struct Settings {
  int samples = 15;
  int iterations = 4000;  // of a loop, in each warp
  int64_t rows = 256, columns = 4096;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::string emulator = NIBBLE_EMULATOR_LIBRARY;
  std::string programs = NIBBLE_PROGRAMS;
  bool counts = false;  // every other launch of a process with its counters on

  int launches() const { return counts ? 2 * samples : samples; }  // after the first
};

constexpr int kBlocks = 16;
constexpr int kBlockThreads = 256;
constexpr int kWarps = kBlocks * kBlockThreads / 32;

// A kernel whose warps all run `body` as often as parameter `iterations` says. %r0 to %r7 and %f0
// to %f3 are the body's; %rd1 is 16 bytes of global memory of the thread, %r8 the same in shared
// memory.
struct Loop {
  const char* name;
  const char* body;
};

constexpr Loop kAluLoop{"ALU loop", R"(
  mad.lo.s32 %r0, %r1, %r2, %r3;
  add.s32 %r1, %r1, %r0;
  xor.b32 %r2, %r2, %r1;
  fma.rn.f32 %f0, %f1, %f2, %f3;
  shl.b32 %r3, %r2, 3;
  sub.s32 %r4, %r3, %r1;
  fma.rn.f32 %f1, %f0, %f2, %f3;
  and.b32 %r5, %r4, %r2;
  ld.shared.u32 %r6, [%r8];
  add.s32 %r0, %r0, %r6;
  mul.f32 %f3, %f1, %f2;
  or.b32 %r3, %r5, %r0;
  fma.rn.f32 %f0, %f3, %f2, %f1;
  shr.u32 %r4, %r3, 5;
  add.f32 %f3, %f0, %f1;
  mad.lo.s32 %r5, %r4, %r3, %r2;
  ld.global.u32 %r6, [%rd1];
  xor.b32 %r1, %r5, %r6;
  fma.rn.f32 %f1, %f3, %f2, %f0;
  max.s32 %r2, %r1, %r4;
  min.s32 %r3, %r2, %r5;
  mul.lo.s32 %r0, %r3, %r1;
  sub.f32 %f0, %f1, %f3;
  st.shared.u32 [%r8], %r0;
  fma.rn.f32 %f3, %f0, %f2, %f1;
  add.s32 %r4, %r0, %r2;
  st.global.u32 [%rd1], %r4;
  xor.b32 %r5, %r4, %r3;
)"};

constexpr Loop kMemoryLoop{"memory loop", R"(
  ld.global.u32 %r0, [%rd1];
  ld.global.v2.u32 {%r1, %r2}, [%rd1+8];
  ld.shared.u32 %r3, [%r8];
  ld.shared.u32 %r4, [%r8+4];
  add.s32 %r0, %r0, %r3;
  st.shared.u32 [%r8+4], %r0;
  st.global.u32 [%rd1], %r1;
  st.global.v2.u32 [%rd1+8], {%r2, %r4};
  ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd1];
  xor.b32 %r4, %r4, %r5;
  st.shared.u32 [%r8], %r4;
  st.global.v4.u32 [%rd1], {%r7, %r6, %r5, %r4};
)"};

// Outside the loop, the loop's own three, and the body.
constexpr int kLoopControl = 3;

std::string module_of(const Loop& loop) {
  return std::string(R"(.version 8.0
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 data, .param .u32 iterations)
{
  .reg .pred %p0;
  .reg .b32 %r<16>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<4>;
  .shared .align 16 .b8 tile[4096];
  ld.param.u64 %rd0, [data];
  ld.param.u32 %r9, [iterations];
  mov.u32 %r10, %tid.x;
  mov.u32 %r11, %ctaid.x;
  mov.u32 %r12, %ntid.x;
  mad.lo.u32 %r13, %r11, %r12, %r10;
  mul.wide.u32 %rd2, %r13, 16;
  cvta.to.global.u64 %rd3, %rd0;
  add.u64 %rd1, %rd3, %rd2;
  mov.u32 %r8, tile;
  shl.b32 %r14, %r10, 4;
  add.u32 %r8, %r8, %r14;
  mov.u32 %r0, %r13;
  add.u32 %r1, %r13, 1;
  add.u32 %r2, %r13, 2;
  add.u32 %r3, %r13, 3;
  mov.f32 %f0, 0f3F800000;
  mov.f32 %f1, 0f3F000000;
  mov.f32 %f2, 0f3F400000;
  mov.f32 %f3, 0f3E800000;
  st.shared.v4.u32 [%r8], {%r0, %r1, %r2, %r3};
  mov.u32 %r15, 0;
LOOP:)") +
         loop.body + R"(
  add.u32 %r15, %r15, 1;
  setp.lt.u32 %p0, %r15, %r9;
  @%p0 bra LOOP;
  st.global.u32 [%rd1], %r5;
  ret;
}
)";
}

// Statements of a body: each ends in the line's semicolon.
int count_instructions(std::string_view text) {
  return static_cast<int>(std::count(text.begin(), text.end(), ';'));
}

// Of one launch: the loop, and what lies before and after it once.
double warp_instructions(const Loop& loop, int iterations) {
  const std::string text = module_of(loop);
  const std::string before = text.substr(text.find("tile[4096];") + 11);
  const int once = count_instructions(before) - count_instructions(loop.body) - kLoopControl;
  const int each = count_instructions(loop.body) + kLoopControl;
  return static_cast<double>(kWarps) * (once + static_cast<double>(each) * iterations);
}

void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n%s\n", status.to_string().c_str(),
               std::string(status.detail()).c_str());
  std::exit(1);
}

template <class T>
T require(Result<T> result) {
  require(result.status());
  return std::move(result).value();
}

// Seconds of each launch after the first: wall, CPU of all threads, CPU of this thread.
std::vector<double> time_launches(int count, const std::function<void()>& launch) {
  std::vector<double> times;
  for (int i = 0; i <= count; ++i) {
    const Times start = Times::now();
    launch();
    const Times spent = Times::since(start);
    if (i == 0) continue;
    times.push_back(spent.wall);
    times.push_back(spent.process);
    times.push_back(spent.thread);
  }
  return times;
}

// Turns the emulator's counters on for every other call, which the launch behind it is.
void alternate_counters(const Settings& settings) {
  static void* const kLibrary = dlopen(settings.emulator.c_str(), RTLD_NOW | RTLD_LOCAL);
  static auto* const kEnable = reinterpret_cast<void (*)(int)>(
      kLibrary == nullptr ? nullptr : dlsym(kLibrary, "nibble_emulator_counters_enable"));
  static bool enabled = true;
  if (kEnable == nullptr) {
    std::fprintf(stderr, "%s has no counters\n", settings.emulator.c_str());
    std::exit(1);
  }
  enabled = !enabled;
  kEnable(enabled ? 1 : 0);
}

std::vector<double> run_loop(const Settings& settings, const Loop& loop) {
  const auto driver = require(DriverApi::load(settings.emulator));
  const auto check = [&](CUresult result, const char* call) {
    require(driver->check(result, call));
  };
  CUcontext context = nullptr;
  check(driver->cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  check(driver->cuCtxSetCurrent(context), "cuCtxSetCurrent");
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUdeviceptr data = 0;
  check(driver->cuModuleLoadDataEx(&module, module_of(loop).c_str(), 0, nullptr, nullptr),
        "cuModuleLoadDataEx");
  check(driver->cuModuleGetFunction(&function, module, "kernel"), "cuModuleGetFunction");
  check(driver->cuMemAlloc(&data, kBlocks * kBlockThreads * 16), "cuMemAlloc");
  check(driver->cuMemsetD32Async(data, 0x01234567, kBlocks * kBlockThreads * 4, nullptr),
        "cuMemsetD32Async");
  int iterations = settings.iterations;
  void* parameters[] = {&data, &iterations};
  return time_launches(settings.launches(), [&] {
    if (settings.counts) alternate_counters(settings);
    check(driver->cuLaunchKernel(function, kBlocks, 1, 1, kBlockThreads, 1, 1, 0, nullptr,
                                 parameters, nullptr),
          "cuLaunchKernel");
    check(driver->cuStreamSynchronize(nullptr), "cuStreamSynchronize");
  });
}

// bf16 values of a normal distribution.
std::vector<uint16_t> random_bf16(size_t count) {
  std::mt19937 bits(1);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) {
    const float drawn = normal(bits);
    uint32_t word = 0;
    std::memcpy(&word, &drawn, sizeof word);
    value = static_cast<uint16_t>(word >> 16);
  }
  return values;
}

std::vector<double> run_quantize(const Settings& settings, const std::string& target) {
  Options options = Options::from_environment();
  options.device = "emulator:" + target;
  options.emulator_library = settings.emulator;
  Context context = require(Context::create(options));
  const int64_t rows = settings.rows, columns = settings.columns;
  const std::vector<uint16_t> values = random_bf16(static_cast<size_t>(rows * columns));
  const Buffer x = require(context.allocate(rows * columns * 2));
  const Buffer codes = require(context.allocate(rows * code_row_bytes(columns)));
  const Buffer scales = require(context.allocate(scale_bytes(rows, columns, ScaleLayout::k128x4)));
  const Buffer amax = require(context.allocate(4));
  require(context.copy_to_device(x.address(), values.data(), x.size()));
  const float largest = 6;
  require(context.copy_to_device(amax.address(), &largest, 4));
  QuantizeRequest request;
  request.x = {x.address(), DataType::kBf16, rows, columns, 0};
  request.y = {codes.address(), scales.address(), amax.address(), ScaleLayout::k128x4, 0, 0};
  request.amax_given = true;
  return time_launches(settings.launches(), [&] {
    if (settings.counts) alternate_counters(settings);
    require(quantize(context, request));
    require(context.synchronize());
  });
}

using Run = std::function<std::vector<double>(const Settings&)>;

struct Measured {
  std::vector<double> wall, cpu;  // seconds of a launch
  std::vector<double> spread;     // CPU of all threads over that of the launching one
};

Measured measure(const Settings& settings, const std::string& target, int threads, const Run& run) {
  const ChildOutput output = in_child(
      {{"NIBBLE_EMULATOR_THREADS", std::to_string(threads)}, {"NIBBLE_EMULATOR_DEVICES", target}},
      [&] { return run(settings); });
  Measured measured;
  for (size_t i = 0; i < output.numbers.size(); i += 3) {
    measured.wall.push_back(output.numbers[i]);
    measured.cpu.push_back(output.numbers[i + 1]);
    measured.spread.push_back(output.numbers[i + 1] / output.numbers[i + 2]);
  }
  return measured;
}

// On one thread, launches with and without counters in turn.
struct Counted {
  std::vector<double> with, without;  // seconds of CPU
  double instructions = 0;            // of a launch, as the emulator counted them
};

Counted count(Settings settings, const std::string& target, const Run& run) {
  settings.counts = true;
  const ChildOutput output = in_child({{"NIBBLE_EMULATOR_THREADS", "1"},
                                       {"NIBBLE_EMULATOR_DEVICES", target},
                                       {"NIBBLE_EMULATOR_COUNTERS", "1"}},
                                      [&] { return run(settings); });
  Counted counted;
  for (size_t i = 0; i < output.numbers.size(); i += 3) {
    (i % 2 == 0 ? counted.with : counted.without).push_back(output.numbers[i + 1]);
  }
  constexpr std::string_view kBefore = "nibble emulator: ";
  const size_t counter = output.messages.rfind(kBefore);
  if (counter == std::string::npos) {
    std::fprintf(stderr, "the emulator printed no counters:\n%s\n", output.messages.c_str());
    std::exit(1);
  }
  counted.instructions = std::strtod(output.messages.c_str() + counter + kBefore.size(), nullptr) /
                         (settings.launches() + 1);
  return counted;
}

// The body's kinds of work for 32 lanes, compiled by the host's compiler: what an emulator with no
// dispatch, no checks and no registers in memory would do at most.
double native_warp_instructions_per_second() {
  std::array<std::array<uint32_t, 32>, 4> r{};
  std::array<std::array<float, 32>, 4> f{};
  for (size_t lane = 0; lane < 32; ++lane) f[1][lane] = 1.0f + static_cast<float>(lane);
  constexpr int kIterations = 400000;
  constexpr int kInstructions = 8;
  const Times start = Times::now();
  for (int i = 0; i < kIterations; ++i) {
    for (size_t n = 0; n < 32; ++n) r[0][n] = r[1][n] * r[2][n] + r[3][n];
    for (size_t n = 0; n < 32; ++n) f[0][n] = f[1][n] * f[2][n] + f[3][n];
    for (size_t n = 0; n < 32; ++n) r[1][n] += r[0][n];
    for (size_t n = 0; n < 32; ++n) f[3][n] = f[0][n] * f[2][n] + f[1][n];
    asm volatile("" : : "r"(r.data()), "r"(f.data()) : "memory");
    for (size_t n = 0; n < 32; ++n) r[2][n] ^= r[1][n] + 0x9e3779b9u;
    for (size_t n = 0; n < 32; ++n) f[1][n] = f[3][n] + f[0][n];
    for (size_t n = 0; n < 32; ++n) r[3][n] = r[2][n] << 3;
    for (size_t n = 0; n < 32; ++n) f[2][n] = f[3][n] * 0.5f;
    asm volatile("" : : "r"(r.data()), "r"(f.data()) : "memory");
  }
  return static_cast<double>(kIterations) * kInstructions / Times::since(start).process;
}

std::vector<double> rates(double work, const std::vector<double>& seconds) {
  std::vector<double> all;
  all.reserve(seconds.size());
  for (const double one : seconds) all.push_back(work / one * 1e-6);
  return all;
}

// CPU rates are those of one core, however many ran; wall rates are those of all together.
void add_lines(const std::string& name, const std::string& unit, double work, const Measured& alone,
               const Measured& together, int threads, double goal, const std::string& baseline,
               Report& report) {
  const std::string all = std::to_string(threads) + " threads";
  report.add({.label = name + ", 1 thread, per core",
              .unit = unit,
              .samples = rates(work, alone.cpu),
              .baseline = baseline,
              .at_least = goal});
  report.add({.label = name + ", " + all + ", per core",
              .unit = unit,
              .samples = rates(work, together.cpu),
              .baseline = name + ", 1 thread, per core",
              .at_least = goal});
  report.add(
      {.label = name + ", 1 thread, wall", .unit = unit, .samples = rates(work, alone.wall)});
  report.add({.label = name + ", " + all + ", wall",
              .unit = unit,
              .samples = rates(work, together.wall),
              .baseline = name + ", 1 thread, wall"});
  std::vector<double> cores;
  for (size_t i = 0; i < together.cpu.size(); ++i) {
    cores.push_back(together.cpu[i] / together.wall[i]);
  }
  report.add({.label = name + ", " + all + ", cores that the machine gave",
              .unit = "cores",
              .samples = cores});
  report.add({.label = name + ", " + all + ", work of all / of one",
              .unit = "threads",
              .samples = together.spread,
              .at_least = 0.8 * threads});
}

void add_counted(const std::string& name, const std::string& unit, double work,
                 const Counted& counted, Report& report) {
  const std::string without = name + ", 1 thread, counters off in turn";
  report.add({.label = without, .unit = unit, .samples = rates(work, counted.without)});
  report.add({.label = name + ", 1 thread, counters on in turn",
              .unit = unit,
              .samples = rates(work, counted.with),
              .baseline = without,
              .ratio_at_least = 1 / 1.1});
}

int run(int argc, char** argv) {
  Settings settings;
  Report report("emulator_speed");
  CLI::App app("Warp instructions per second of the emulator");
  report.add_options(app);
  app.add_option("--samples", settings.samples, "Launches of each kernel");
  app.add_option("--iterations", settings.iterations, "Iterations of each loop");
  app.add_option("--rows", settings.rows, "Rows that are quantised");
  app.add_option("--columns", settings.columns, "Columns that are quantised");
  app.add_option("--threads", settings.threads, "Host threads, beside 1");
  app.add_option("--programs", settings.programs, "Folder of the tensor-core programs in PTX");
  app.add_option("--library", settings.emulator, "libnibble-cuda-emulator.so");
  CLI11_PARSE(app, argc, argv);

  const std::string native = "32 lanes compiled by the host's compiler, no checks";
  const std::string unit = "M warp-instr/s";
  std::vector<double> ceiling;
  ceiling.reserve(static_cast<size_t>(settings.samples));
  for (int i = 0; i < settings.samples; ++i) {
    ceiling.push_back(native_warp_instructions_per_second() * 1e-6);
  }
  report.add({.label = native, .unit = unit, .samples = ceiling});
  for (const Loop& loop : {kAluLoop, kMemoryLoop}) {
    const std::string target = "sm_90a";
    const Run run_it = [&](const Settings& how) { return run_loop(how, loop); };
    const Measured alone = measure(settings, target, 1, run_it);
    const Measured together = measure(settings, target, settings.threads, run_it);
    const Counted counted = count(settings, target, run_it);
    const double expected = warp_instructions(loop, settings.iterations);
    if (counted.instructions != expected) {
      std::fprintf(stderr, "%s: %.0f warp instructions of a launch, the emulator counted %.0f\n",
                   loop.name, expected, counted.instructions);
      return 1;
    }
    add_lines(loop.name, unit, expected, alone, together, settings.threads,
              loop.name == kAluLoop.name ? 15 : kNone, native, report);
    add_counted(loop.name, unit, expected, counted, report);
  }
  for (const std::string& target : {std::string("sm_90a"), std::string("sm_100a")}) {
    const Run run_it = [&](const Settings& how) { return run_quantize(how, target); };
    const Measured alone = measure(settings, target, 1, run_it);
    const Measured together = measure(settings, target, settings.threads, run_it);
    const Counted counted = count(settings, target, run_it);
    const std::string name = "quantize " + target;
    add_lines(name, unit, counted.instructions, alone, together, settings.threads, kNone, native,
              report);
    add_counted(name, unit, counted.instructions, counted, report);
    report.add(
        {.label = name + ", 1 thread, per core",
         .unit = "M elements/s",
         .samples = rates(static_cast<double>(settings.rows * settings.columns), alone.cpu)});
  }
  add_program_lines({settings.emulator, settings.programs, settings.samples}, settings.threads,
                    report);
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
