// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Instructions that the kernels execute for an element, counted in their disassembly, and what
// share of a GPU's bandwidth these leave them: for GPUs that nobody here has. Needs NVRTC and
// nvdisasm, no GPU.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>

#include "bench/device_problem.h"
#include "bench/quantize_variants.h"
#include "bench/sass.h"
#include "nibble/nibble.hpp"
#include "runtime/context_state.h"
#include "runtime/families/amax.h"
#include "runtime/families/hadamard.h"
#include "runtime/families/quantize.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile_model.h"

namespace nibble::bench {

namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string target = "sm_100a";
  std::vector<std::string> types{"bf16", "f32"};
  std::string disassembler, csv, commit = "unknown", keep;
  // B200.
  double multiprocessors = 148, gigahertz = 1.85, gigabytes = 8000;
};

// Threads' instructions in a clock and multiprocessor: four warps issue one each; the pipe of
// integers, comparisons and conversions takes half as many (Hopper's; of Blackwell it is assumed).
constexpr double kIssued = 128, kAluIssued = 64, kFmaIssued = 128;

struct Kernel {
  std::string name;
  KernelSpec spec;
  PathOptions path;
};

Matrix matrix_of(DataType type, int64_t columns) {
  Matrix x{0, type, 16384, columns};
  return with_strides(x);
}

void add_quantize(std::vector<Kernel>& kernels, const QuantizeVariant& variant, DataType type,
                  const Arch& arch) {
  QuantizeRequest request = variant.options;
  request.x = matrix_of(type, 16384);
  request.y.scale_layout = request.y_transposed.scale_layout = ScaleLayout::k128x4;
  const KernelSpec spec = quantize_spec(kQuantizeFamily, request, arch, multiprocessors_of({}));
  const double one = static_cast<double>(code_bits(request.format)) / 8 +
                     1.0 / static_cast<double>(block_size(request.format));
  const bool rows = request.copies != Copies::kTransposed;
  const bool columns = request.copies != Copies::kRowWise;
  PathOptions path;
  path.element_bytes = static_cast<int>(size_of(type));
  path.stored = one * (rows + columns);
  if (columns) path.staged = static_cast<double>(code_bits(request.format)) / 8;  // to transpose
  // The errors of a square block are added up row by row.
  if (request.blocks == BlockShape::kSquare) path.trips = 16;
  kernels.push_back({"quantize " + variant.name, spec, path});
}

void add_hadamard(std::vector<Kernel>& kernels, int64_t size, Axis axis, DataType type,
                  const Arch& arch) {
  HadamardRequest request;
  request.x = matrix_of(type, 32768);
  request.y = request.x;
  request.y.data = 256;  // never followed
  request.size = size;
  request.axis = axis;
  const auto bytes = static_cast<int>(size_of(type));
  kernels.push_back(
      {"hadamard of " + std::to_string(size) + (axis == Axis::kRow ? "" : ", columns"),
       hadamard_spec(request, arch),
       {.rounds = true, .element_bytes = bytes, .stored = static_cast<double>(bytes)}});
}

std::vector<Kernel> all_kernels(const ContextState& state, DataType type) {
  const Arch& arch = *state.device.arch;
  std::vector<Kernel> kernels;
  const auto bytes = static_cast<int>(size_of(type));
  kernels.push_back({"amax",
                     amax_spec(state, matrix_of(type, 16384), KernelKind::kFast),
                     {.rounds = true, .element_bytes = bytes}});
  add_quantize(kernels, {"rows", {}, 0}, type, arch);
  for (const QuantizeVariant& variant : quantize_variants()) {
    add_quantize(kernels, variant, type, arch);
  }
  for (const int64_t size : {16, 128, 256, 1024, 4096, 8192, 32768}) {
    add_hadamard(kernels, size, Axis::kRow, type, arch);
  }
  for (const int64_t size : {16, 128}) add_hadamard(kernels, size, Axis::kColumn, type, arch);
  return kernels;
}

// nvdisasm: as named, on the path, or of a toolkit.
std::string find_disassembler(const std::string& named) {
  if (!named.empty()) return named;
  std::vector<std::string> folders;
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::istringstream path(variable("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) folders.push_back(folder);
  for (const char* home : {"CUDA_HOME", "CUDA_PATH"}) folders.push_back(variable(home) + "/bin");
  folders.emplace_back("/usr/local/cuda/bin");
  for (const std::string& folder : folders) {
    const fs::path program = fs::path(folder) / "nvdisasm";
    std::error_code error;
    if (fs::exists(program, error)) return program.string();
  }
  return "";
}

std::string disassemble(const std::string& program, const std::string& cubin) {
  const fs::path file =
      fs::temp_directory_path() / ("nibble-" + std::to_string(getpid()) + ".cubin");
  std::ofstream(file, std::ios::binary) << cubin;
  const std::string command = "'" + program + "' -c '" + file.string() + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 65536> part{};
  while (pipe != nullptr) {
    const size_t got = std::fread(part.data(), 1, part.size(), pipe.get());
    if (got == 0) break;
    text.append(part.data(), got);
  }
  fs::remove(file);
  return text;
}

struct Counted {
  std::string name, type;
  int registers = 0;
  double instructions = 0, alu = 0, fma = 0, bytes = 0;  // an element
  double fraction = 0;
  std::string bound;
};

// What a path moves for an element must be what the kernel is for. Too much is no mistake: a part
// of the threads copies scales, which is counted for all; of two stores with opposite predicates
// one is done.
std::string wrong_bytes(const PathCount& count, const PathOptions& path) {
  if (!count.error.empty()) return count.error;
  if (count.store_bytes <= 2.1 * path.stored * count.elements) return "";
  return "a path that loads " + std::to_string(count.load_bytes) + " bytes and stores " +
         std::to_string(count.store_bytes) + ", which is not the kernel's";
}

Counted counted(const Kernel& kernel, const KernelImage& image, const PathCount& count,
                const Settings& settings) {
  Counted line;
  line.name = kernel.name;
  line.registers = image.resources.registers;
  const double elements = count.elements;
  line.instructions = count.instructions / elements;
  line.alu = count.of_pipe[static_cast<int>(Pipe::kAlu)] / elements;
  line.fma = count.of_pipe[static_cast<int>(Pipe::kFma)] / elements;
  line.bytes = kernel.path.element_bytes + kernel.path.stored;
  const double clocks = settings.multiprocessors * settings.gigahertz;  // of all, in a nanosecond
  const double memory = line.bytes / settings.gigabytes;
  const std::pair<double, const char*> limits[] = {
      {memory, "memory"},
      {line.instructions / (kIssued * clocks), "issue"},
      {line.alu / (kAluIssued * clocks), "integer pipe"},
      {line.fma / (kFmaIssued * clocks), "fp32 pipe"}};
  const auto most = std::max_element(std::begin(limits), std::end(limits));
  line.fraction = memory / most->first;
  line.bound = most->second;
  return line;
}

void write_csv(const Settings& settings, const std::vector<Counted>& lines) {
  std::ofstream file(settings.csv);
  file << "target,commit,kernel,type,registers,instructions an element,integer pipe,fp32 pipe,"
          "bytes an element,bound,fraction of bandwidth,multiprocessors,GHz,GB/s\n";
  for (const Counted& line : lines) {
    char text[256];
    std::snprintf(text, sizeof text, "%s,%d,%.3f,%.3f,%.3f,%.4f,%s,%.3f,%.0f,%.3f,%.0f\n",
                  line.type.c_str(), line.registers, line.instructions, line.alu, line.fma,
                  line.bytes, line.bound.c_str(), line.fraction, settings.multiprocessors,
                  settings.gigahertz, settings.gigabytes);
    file << settings.target << ',' << settings.commit << ",\"" << line.name << "\"," << text;
  }
}

void print(const Settings& settings, const std::vector<Counted>& lines) {
  std::printf("%s: %.0f multiprocessors at %.2f GHz, %.0f GB/s\n\n", settings.target.c_str(),
              settings.multiprocessors, settings.gigahertz, settings.gigabytes);
  std::printf("%-52s %-4s %9s %12s %8s %6s %6s  %-12s %s\n", "kernel", "type", "registers",
              "instructions", "integer", "fp32", "bytes", "bound by", "of the bandwidth");
  for (const Counted& line : lines) {
    std::printf("%-52s %-4s %9d %12.2f %8.2f %6.2f %6.3f  %-12s %.2f\n", line.name.c_str(),
                line.type.c_str(), line.registers, line.instructions, line.alu, line.fma,
                line.bytes, line.bound.c_str(), line.fraction);
  }
}

int run(const Settings& settings) {
  const std::string disassembler = find_disassembler(settings.disassembler);
  if (disassembler.empty()) {
    std::printf("SKIPPED: nothing was counted, for there is no nvdisasm here (--nvdisasm)\n");
    return 0;
  }
  Options options = Options::from_environment();
  options.device = "none:" + settings.target;
  options.cache_mode = "off";
  Context context = require(Context::create(options));
  ContextState& state = context.state();
  std::vector<Counted> lines;
  int wrong = 0;
  for (const DataType type : {DataType::kBf16, DataType::kF16, DataType::kF32}) {
    const std::string type_text(type_name(type));
    if (std::count(settings.types.begin(), settings.types.end(), type_text) == 0) continue;
    for (const Kernel& kernel : all_kernels(state, type)) {
      const KernelImage image = require(state.pool.compiled(kernel.spec, ImageKind::kCubin));
      const std::string text = disassemble(disassembler, image.code);
      const PathCount count = count_path(parse_sass(text), kernel.path);
      if (!settings.keep.empty()) {
        std::ofstream(fs::path(settings.keep) / (kernel.name + " " + type_text + ".sass")) << text;
      }
      if (const std::string why = wrong_bytes(count, kernel.path); !why.empty()) {
        std::printf("WRONG: %s %s: %s\n", kernel.name.c_str(), type_text.c_str(), why.c_str());
        ++wrong;
        continue;
      }
      lines.push_back(counted(kernel, image, count, settings));
      lines.back().type = type_text;
    }
  }
  print(settings, lines);
  if (!settings.csv.empty()) write_csv(settings, lines);
  return wrong == 0 ? 0 : 1;
}

}  // namespace

}  // namespace nibble::bench

int main(int argc, char** argv) try {
  nibble::bench::Settings settings;
  CLI::App app("Instructions an element, and the share of bandwidth that they leave");
  app.add_option("--target", settings.target, "sm_90a, sm_100a, ...")->capture_default_str();
  app.add_option("--types", settings.types, "f32, f16, bf16")->delimiter(',');
  app.add_option("--multiprocessors", settings.multiprocessors)->capture_default_str();
  app.add_option("--gigahertz", settings.gigahertz)->capture_default_str();
  app.add_option("--gigabytes", settings.gigabytes, "a second")->capture_default_str();
  app.add_option("--nvdisasm", settings.disassembler, "where it is not on the path");
  app.add_option("--keep", settings.keep, "a folder for the disassemblies");
  app.add_option("--csv", settings.csv);
  app.add_option("--commit", settings.commit);
  CLI11_PARSE(app, argc, argv);
  try {
    return nibble::bench::run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
