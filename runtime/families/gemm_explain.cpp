// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/gemm_explain.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "runtime/context_state.h"
#include "runtime/families/gemm_model.h"
#include "runtime/families/gemm_problem.h"
#include "runtime/result.h"

namespace nibble {

namespace {

[[gnu::format(printf, 1, 2)]] std::string print(const char* format, ...) {
  std::array<char, 512> text{};
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text.data(), text.size(), format, arguments);
  va_end(arguments);
  return text.data();
}

long long whole(int64_t value) { return value; }

// What the lines are made from.
struct Subject {
  GemmShape shape;
  GemmConfig config;
  GemmDevice device;
  GemmEstimate estimate;
  std::string target;
  bool known_device;  // its SMs, shared memory and L2 cache were read from it
};

std::string line(const char* name, const std::string& text) {
  return print("%-15s", name) + text + "\n";
}
std::string bound_line(const char* name, double microseconds, const std::string& formula) {
  return print("  %-14s%10.2f  ", name, microseconds) + formula + "\n";
}

std::string problem_lines(const Subject& s) {
  const GemmShape& shape = s.shape;
  std::string text = print("gemm %s -> %s, m %lld, n %lld, k %lld, batch %lld, on %s\n",
                           std::string(format_name(shape.format)).c_str(),
                           std::string(output_name(shape.output)).c_str(), whole(shape.m),
                           whole(shape.n), whole(shape.k), whole(shape.batch), s.target.c_str());
  text +=
      "Predicted from published and assumed figures, listed below. Nothing here was measured.\n\n";
  text += line("GPU",
               print("%d SMs, %d bytes of shared memory a thread block, L2 cache of %.0f MiB (%s)",
                     s.device.multiprocessors, s.device.shared_per_block,
                     static_cast<double>(s.device.l2_bytes) / (1 << 20),
                     s.known_device ? "read from the device" : "no device: those of a B200"));
  return text;
}

std::string tile_lines(const Subject& s) {
  const GemmConfig& config = s.config;
  const GemmTiles& tiles = s.estimate.tiles;
  const GemmEstimate& e = s.estimate;
  const double filled = static_cast<double>(e.parts) / static_cast<double>(e.waves * e.at_once);
  std::string text = line("configuration", describe(config));
  text += line("tiles", print("%lld = %lld x %lld x batch %lld, each %lld x %d: of %s%s",
                              whole(tiles.count), whole(tiles.tiles_m), whole(tiles.tiles_n),
                              whole(s.shape.batch), whole(tiles.tile_rows), config.tile_n,
                              config.cta_group == 2 ? "a pair of thread blocks" : "a thread block",
                              config.swapped == 1 ? "; rows are those of B" : ""));
  text +=
      line("k", print("%lld steps of %d bytes, in %d part%s of at most %lld", whole(tiles.k_steps),
                      config.tile_k, config.split, config.split == 1 ? "" : "s", whole(e.steps)));
  text += line("waves",
               print("%lld = ceil(%lld tiles x %d / %lld at once), %.0f %% filled", whole(e.waves),
                     whole(tiles.count), config.split, whole(e.at_once), 100 * filled));
  return text;
}

std::string memory_lines(const Subject& s) {
  const GemmConfig& config = s.config;
  const GemmLayout& layout = s.estimate.layout;
  std::string text =
      line("shared memory",
           print("%d = %d stages x %d (A %d, B %d, scales %d) + staging %d + %d, of %d bytes",
                 layout.shared_bytes, config.stages, layout.stage_bytes, layout.a_bytes,
                 layout.b_bytes, layout.scale_bytes, layout.staging_bytes, layout.barrier_bytes,
                 s.device.shared_per_block));
  text += line("tensor memory",
               print("%d = %d x %d - overlap %d + %d scale slots x %d, of %d columns",
                     layout.used_columns, config.accumulators, config.tile_n, layout.overlap,
                     layout.scale_slots, layout.scale_columns_per_slot, kGemmTensorColumns));
  return text;
}

std::string bound_lines(const Subject& s) {
  const GemmConfig& config = s.config;
  const GemmLayout& layout = s.estimate.layout;
  const GemmEstimate& e = s.estimate;
  const std::string stages = print("%lld waves x %lld steps", whole(e.waves), whole(e.steps));
  const std::string clock = print(" / %.3f GHz", model::kClockGigahertz);
  std::string text = "\nbounds, us: what each resource alone would need\n";
  text += bound_line(
      "tensor", e.tensor,
      stages +
          print(" x %d MMAs x max(N / 2 = %d, (128 + %d) x %d bytes / %.0f = %.0f) cycles",
                config.tile_k / model::kMmaBytes, config.tile_n / 2,
                config.tile_n / config.cta_group, model::kMmaBytes, model::kSharedBytesPerClock,
                (128.0 + static_cast<double>(config.tile_n) / config.cta_group) * model::kMmaBytes /
                    model::kSharedBytesPerClock) +
          clock);
  text += bound_line(
      "shared memory", e.shared,
      stages +
          print(" x max(read %.0f, written %.0f) bytes / %.0f a clock", e.shared_read_bytes,
                e.shared_written_bytes, model::kSharedBytesPerClock) +
          clock);
  const double b_bytes = layout.b_bytes * static_cast<double>(e.tiles.columns) /
                         static_cast<double>(e.tiles.tiles_n * config.tile_n);
  text += bound_line(
      "L2", e.l2,
      stages +
          print(" x %.0f bytes ((A %d) / %d + (B %.0f x %d + its scales %d) / %d) / %.0f a clock",
                e.l2_bytes, layout.a_bytes + layout.a_scale_bytes, config.cluster_n, b_bytes,
                config.cta_group, layout.b_scale_bytes, config.cluster_m, model::kL2BytesPerClock) +
          clock);
  text +=
      bound_line("HBM", e.hbm,
                 print("%.2f MB / %.1f TB/s; A once a sweep, B once a band of %d x %d rows, unless "
                       "they stay in half of L2",
                       e.hbm_bytes * 1e-6, model::kHbmGigabytesPerSecond * 1e-3, config.raster,
                       config.cluster_m * kGemmTileRows));
  text += bound_line(
      "epilogue", e.epilogue,
      print("%lld waves x %.0f cycles (%d columns x %.1f + %d chunks x %.0f, or bytes / %.0f)",
            whole(e.waves), e.epilogue_cycles, config.tile_n, epilogue_column_cycles(s.shape),
            config.tile_n / config.epilogue_columns, model::kEpilogueChunkCycles,
            model::kStoreBytesPerClock) +
          clock + (config.split > 1 ? ", and the parts' sums" : ""));
  text += bound_line("launch", model::kLaunchMicroseconds, "cuLaunchKernel, on the host");
  return text;
}

std::string total_lines(const Subject& s, std::string_view bound) {
  const GemmEstimate& e = s.estimate;
  const double operations = 2.0 * static_cast<double>(s.shape.m) * static_cast<double>(s.shape.n) *
                            static_cast<double>(s.shape.k) * static_cast<double>(s.shape.batch);
  // Of the MMA at its best: 128 rows x 2 x 32 bytes of k a clock and SM at N / 2 cycles.
  const double per_clock =
      128.0 * 2 * 2 * gemm_elements(static_cast<int>(s.shape.format), model::kMmaBytes);
  const double peak = per_clock * s.device.multiprocessors * model::kClockGigahertz * 1e-3;
  const double reached = operations / e.total * 1e-6;
  std::string text = line("\nbound by", std::string(bound));
  text += line("predicted",
               print("%.2f us without the launch: %.0f TFLOP/s, %.0f %% of %.0f TFLOP/s = %.0f a "
                     "clock and SM x %d SMs x %.3f GHz",
                     e.total, reached, 100 * reached / peak, peak, per_clock,
                     s.device.multiprocessors, model::kClockGigahertz));
  text += line(
      "",
      print("first operands and last commit %.2f us, then the slowest of the above as they overlap",
            e.latency));
  return text;
}

std::string figure_lines(const Subject& s) {
  std::string text = "\nfigures\n";
  text += print(
      "  %.3f GHz  of the tensor cores of a 1000 W B200: 9 PFLOP/s of NVFP4 are 32768 a clock on "
      "148 SMs "
      "[published; power lowers it: measured kernels of others reach 5.2 to 5.7 PFLOP/s at "
      "8192^3]\n",
      model::kClockGigahertz);
  text += print(
      "  N / 2 cycles  an MMA of 128 rows an SM and %d bytes of k [published for FP8-rate kinds]\n",
      model::kMmaBytes);
  text += print(
      "  %.0f bytes a clock  shared memory of an SM; reads and writes counted apart [derived]\n",
      model::kSharedBytesPerClock);
  text += print(
      "  %.0f bytes a clock  L2 to an SM [derived lower bound: 94 %% of peak is reported for tiles "
      "of "
      "256 x 256]\n",
      model::kL2BytesPerClock);
  text += print("  %.1f TB/s  HBM of a B200 and B300 [published: 7.7 to 8]\n",
                model::kHbmGigabytesPerSecond * 1e-3);
  text += print("  %.1f us  host time of a launch [published]\n", model::kLaunchMicroseconds);
  text +=
      print("  %.2f us  a byte's way from HBM under load [derived], %.2f us the first [assumed]\n",
            model::kLoadedLatencyNanoseconds * 1e-3, model::kFirstLoadNanoseconds * 1e-3);
  text += "  cycles of the epilogue, of stores and of waiting in clusters [assumed]\n";
  if (s.target.starts_with("sm_103")) {
    text +=
        "  sm_103a: the kernel uses the MMA of 64 FP4 elements of k, at a B200's rate, not the one "
        "of 96 "
        "[published: 1.5 times]\n";
  }
  return text;
}

std::string_view largest(const GemmExplanation& e) {
  const std::pair<double, std::string_view> bounds[] = {
      {e.tensor, "tensor"}, {e.shared_memory, "shared memory"}, {e.l2, "L2"},
      {e.hbm, "HBM"},       {e.epilogue, "epilogue"},           {e.launch, "launch"}};
  return std::max_element(std::begin(bounds), std::end(bounds),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

GemmExplanation explanation_of(const Subject& s) {
  const GemmEstimate& e = s.estimate;
  GemmExplanation result;
  result.config = s.config;
  result.tiles = e.tiles.count;
  result.waves = e.waves;
  result.tensor = e.tensor;
  result.shared_memory = e.shared;
  result.l2 = e.l2;
  result.hbm = e.hbm;
  result.epilogue = e.epilogue;
  result.launch = model::kLaunchMicroseconds;
  result.total = e.total;
  result.bound = largest(result);
  result.text = problem_lines(s) + tile_lines(s) + memory_lines(s) + bound_lines(s) +
                total_lines(s, result.bound) + figure_lines(s);
  return result;
}

}  // namespace

Result<GemmExplanation> explain(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Result<GemmExplanation> {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    const ContextState& state = context.state();
    const Arch& arch = *state.device.arch;
    if ((arch.features & kTcgen05) == 0 || problem.kernel == GemmKernel::kTrusted) {
      return Status(Code::kUnsupported, "no model exists of the CUDA-core kernel, which " +
                                            std::string(arch.name) + " or the request takes");
    }
    if (is_empty(problem) || problem.k == 0) {
      return Status(
          Code::kInvalidArgument,
          print(
              "m = %lld, n = %lld, k = %lld, batch = %lld: nothing is multiplied, all must be >= 1",
              whole(problem.m), whole(problem.n), whole(problem.k), whole(problem.batch)));
    }
    Subject subject;
    subject.shape = gemm_shape(problem);
    subject.device = gemm_device(context.device(), arch);
    NIBBLE_TRY_ASSIGN(subject.config, choose_config(subject.shape, problem.config, subject.device));
    subject.estimate = estimate(subject.shape, subject.config, subject.device);
    subject.target = arch.name;
    subject.known_device = context.device().available && !context.device().emulated;
    return explanation_of(subject);
  });
}

}  // namespace nibble
