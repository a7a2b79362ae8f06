// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bandwidth on a GPU of what goes with quantisation: Hadamard transforms, maxima, scale layouts,
// and batches of tensors, against device-to-device copies of as many bytes in the same run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <random>

#include <CLI/CLI.hpp>

#include "bench/device_problem.h"
#include "bench/report.h"
#include "nibble/batch.hpp"
#include "nibble/hadamard.hpp"
#include "runtime/context_state.h"

namespace nibble::bench {

namespace {

struct Settings {
  std::string device = "cuda:0";
  int64_t rows = 16384;  // of the large matrix, whose rows are as long as the largest transform
  int64_t layers = 8;    // of the model whose weights make a batch
  std::vector<std::string> types{"bf16", "f32"};
  int samples = 15;
  int rounds = 2;
};

constexpr int64_t kLargestSize = 32768;

// Launches that move `bytes`, and what they are held against.
struct Operation {
  std::string label;
  int64_t bytes;
  std::function<Status(int)> launch;
  double goal = kNone;  // of the ratio to the copy
  std::vector<double> seconds{};
};

// Two buffers of several sets each, the first full of random values.
class Buffers {
 public:
  Buffers(Context& context, int64_t bytes) : context_(context), pitch_((bytes + 511) / 512 * 512) {
    const DeviceInfo& device = context.device();
    if (!device.emulated) {
      sets_ = static_cast<int>(std::clamp<int64_t>(3 * device.l2_bytes / pitch_ + 1, 2, 8192));
    }
    x_ = require(context.allocate(sets_ * pitch_));
    y_ = require(context.allocate(sets_ * pitch_));
    amax_ = require(context.allocate(int64_t{4} << 20));
    fill();
  }
  DevicePointer x(int set) const { return x_.address() + offset(set); }
  DevicePointer y(int set) const { return y_.address() + offset(set); }
  DevicePointer amax() const { return amax_.address(); }
  // Reads half of `bytes` and writes as much.
  Status copy(int set, int64_t bytes) const {
    const ContextState& state = context_.state();
    const CurrentContext current(state.driver(), state.device.context);
    return state.driver().check(
        state.driver().cuMemcpyDtoDAsync(y(set), x(set), static_cast<size_t>(bytes / 2), nullptr),
        "cuMemcpyDtoDAsync");
  }

 private:
  uint64_t offset(int set) const { return static_cast<uint64_t>(set % sets_ * pitch_); }
  // bf16 words of a normal distribution; read as f32 they are as harmless.
  void fill() {
    std::mt19937 bits(1);
    std::normal_distribution<float> normal;
    std::vector<uint16_t> start(static_cast<size_t>(std::min(pitch_, int64_t{1} << 22)) / 2);
    for (uint16_t& word : start) {
      const float value = normal(bits);
      uint32_t of_value = 0;
      std::memcpy(&of_value, &value, sizeof value);
      word = static_cast<uint16_t>(of_value >> 16);
    }
    const auto size = static_cast<int64_t>(start.size()) * 2;
    for (int64_t at = 0; at < sets_ * pitch_; at += size) {
      const int64_t count = std::min(size, sets_ * pitch_ - at);
      require(
          context_.copy_to_device(x_.address() + static_cast<uint64_t>(at), start.data(), count));
    }
  }

  Context& context_;
  int64_t pitch_;
  int sets_ = 2;
  Buffer x_, y_, amax_;
};

// The operations in rounds, their copies between them; a line each.
void measure(Context& context, const Settings& settings, const Buffers& buffers,
             std::vector<Operation> list, const std::string& name, Report& report) {
  std::vector<Operation> copies;
  for (const Operation& one : list) {
    const bool known = std::any_of(copies.begin(), copies.end(),
                                   [&](const Operation& copy) { return copy.bytes == one.bytes; });
    if (known) continue;
    const int64_t bytes = one.bytes;
    copies.push_back({"copy " + name + ", " + std::to_string(bytes) + " bytes", bytes,
                      [&buffers, bytes](int set) { return buffers.copy(set, bytes); }});
  }
  for (int round = 0; round < settings.rounds; ++round) {
    for (std::vector<Operation>* some : {&copies, &list}) {
      for (Operation& one : *some) {
        const auto more = time_on_device(context, settings.samples, one.launch);
        one.seconds.insert(one.seconds.end(), more.begin(), more.end());
      }
    }
  }
  const auto add = [&](const Operation& one, const std::string& baseline) {
    std::vector<double> rates;
    for (const double seconds : one.seconds) {
      rates.push_back(static_cast<double>(one.bytes) / seconds * 1e-9);
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.2f us", median(one.seconds) * 1e6);
    report.add({.label = one.label,
                .unit = "GB/s",
                .samples = rates,
                .baseline = baseline,
                .ratio_at_least = one.goal,
                .detail = text});
  };
  for (const Operation& copy : copies) add(copy, "");
  for (const Operation& one : list) {
    const auto copy = std::find_if(copies.begin(), copies.end(),
                                   [&](const Operation& each) { return each.bytes == one.bytes; });
    add(one, copy->label);
  }
}

HadamardRequest transform(const Buffers& buffers, int set, Matrix matrix, int64_t size) {
  HadamardRequest request;
  request.x = request.y = matrix;
  request.x.data = buffers.x(set);
  request.y.data = buffers.y(set);
  request.size = size;
  return request;
}

DataType parse_type(const std::string& text) {
  for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBf16}) {
    if (type_name(type) == text) return type;
  }
  std::fprintf(stderr, "type '%s': must be f32, f16 or bf16\n", text.c_str());
  std::exit(1);
}

void measure_large(Context& context, const Settings& settings, DataType type, Report& report) {
  Matrix matrix{0, type, settings.rows, kLargestSize, kLargestSize};
  if (type == DataType::kF32) matrix.rows = std::max<int64_t>(1, matrix.rows / 2);
  const int64_t bytes = matrix.rows * matrix.columns * size_of(type);
  const Buffers buffers(context, bytes);
  const std::string name = std::string(type_name(type)) + " " + std::to_string(matrix.rows) + "x" +
                           std::to_string(matrix.columns);
  std::vector<Operation> list;
  const auto goal_of = [](int64_t size) {
    return size <= 1024 ? 0.95 : size == 8192 ? 0.87 : kNone;
  };
  for (const int64_t size : {16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768}) {
    list.push_back(
        {"hadamard " + std::to_string(size) + " " + name, 2 * bytes,
         [&, size](int set) { return hadamard(context, transform(buffers, set, matrix, size)); },
         goal_of(size)});
  }
  Matrix cut = matrix;  // rows of transforms with a base, as long as they fit
  for (const int64_t size : {3072, 5120, 7168, 14336}) {
    cut.columns = matrix.columns / size * size;
    cut.row_stride = cut.columns;
    list.push_back({"hadamard " + std::to_string(size) + " " + name,
                    2 * cut.rows * cut.columns * size_of(type), [&, cut, size](int set) {
                      return hadamard(context, transform(buffers, set, cut, size));
                    }});
  }
  for (const int64_t size : {16, 32, 64, 128}) {
    for (const bool writes : {true, false}) {
      if (settings.rows % size != 0 || matrix.rows % size != 0) continue;
      list.push_back({(writes ? "random hadamard and amax down columns " : "its amax alone ") +
                          std::to_string(size) + " " + name,
                      writes ? 2 * bytes : bytes, [&, size, writes](int set) {
                        HadamardRequest request = transform(buffers, set, matrix, size);
                        request.axis = Axis::kColumn;
                        request.sign_vector = SignVector::kDefault;
                        request.amax = buffers.amax();
                        if (!writes) request.y = {};
                        return hadamard(context, request);
                      }});
    }
  }
  const auto input = [&](int set) {
    Matrix x = matrix;
    x.data = buffers.x(set);
    return x;
  };
  list.push_back({"amax " + name, bytes,
                  [&](int set) {
                    return amax(context, {input(set), buffers.amax()});
                  },
                  0.95});
  list.push_back({"amax of each row " + name, bytes, [&](int set) {
                    return amax_rows(context, {input(set), buffers.amax()});
                  }});
  measure(context, settings, buffers, list, name, report);
}

// The linear layers of a decoder of 5120, with 8 of 40 heads for keys and values.
std::vector<std::pair<int64_t, int64_t>> weights(int64_t layers) {
  std::vector<std::pair<int64_t, int64_t>> shapes;
  for (int64_t i = 0; i < layers; ++i) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{7168, 5120},
                                        {5120, 5120},
                                        {14336, 5120},
                                        {14336, 5120},
                                        {5120, 14336}}) {
      shapes.emplace_back(rows, columns);
    }
  }
  return shapes;
}

// The weights quantised: in rows, or in blocks of 16 x 16 with the transposed copy.
std::vector<QuantizeRequest> quantisations(const std::vector<DequantizeRequest>& dequantizes,
                                           DevicePointer other_codes, DevicePointer other_scales,
                                           bool square) {
  std::vector<QuantizeRequest> requests;
  for (const DequantizeRequest& dequantize : dequantizes) {
    const Matrix& matrix = dequantize.y;
    QuantizeRequest request;
    request.x = matrix;
    request.y = dequantize.x;
    request.amax_given = true;
    if (square) {
      request.blocks = BlockShape::kSquare;
      request.copies = Copies::kBoth;
      request.y_transposed = {other_codes, other_scales};
    }
    requests.push_back(request);
    other_codes += static_cast<uint64_t>(matrix.rows * matrix.columns / 2);
    other_scales += static_cast<uint64_t>(matrix.rows * matrix.columns / 16);
  }
  return requests;
}

void measure_batches(Context& context, const Settings& settings, Report& report) {
  const auto shapes = weights(settings.layers);
  int64_t elements = 0;
  for (const auto& [rows, columns] : shapes) elements += rows * columns;
  const Buffers buffers(context, 2 * elements);
  const Buffer codes = require(context.allocate(elements / 2));
  const Buffer scales = require(context.allocate(elements / 16));
  const Buffer tiled = require(context.allocate(elements / 16));
  require(context.fill(codes.address(), 0x52, codes.size()));
  require(context.fill(scales.address(), 0x38, scales.size()));
  require(context.fill(buffers.amax(), 0x3F, 4096));
  std::vector<Matrix> tensors;
  std::vector<DequantizeRequest> dequantizes;
  std::vector<ScaleLayoutRequest> layouts;
  uint64_t at = 0;  // elements
  for (const auto& [rows, columns] : shapes) {
    tensors.push_back({buffers.x(0) + 2 * at, DataType::kBf16, rows, columns});
    DequantizeRequest dequantize;
    dequantize.x = {codes.address() + at / 2, scales.address() + at / 16, buffers.amax()};
    dequantize.y = {buffers.y(0) + 2 * at, DataType::kBf16, rows, columns};
    dequantizes.push_back(dequantize);
    ScaleLayoutRequest layout;
    layout.from = dequantize.x.scales;
    layout.to = tiled.address() + at / 16;
    layout.rows = rows;
    layout.blocks = columns / 16;
    layouts.push_back(layout);
    at += static_cast<uint64_t>(rows * columns);
  }
  const Batch amaxes = require(Batch::amax(context, tensors, buffers.amax() + 8192));
  const Batch dequantized = require(Batch::dequantize(context, dequantizes));
  const Batch converted = require(Batch::convert_scales(context, layouts));
  const auto quantised = [&](bool square) {
    return require(Batch::quantize(
        context, quantisations(dequantizes, buffers.x(0), tiled.address(), square)));
  };
  const Batch rows = quantised(false);
  const Batch squares = quantised(true);
  const int64_t made = elements / 2 + elements / 16;
  const std::string name = std::to_string(shapes.size()) + " tensors of bf16";
  measure(context, settings, buffers,
          {{"amax batch, " + name, 2 * elements, [&](int) { return amaxes.launch(); }, 0.95},
           {"dequantize batch, " + name, 2 * elements + made,
            [&](int) { return dequantized.launch(); }},
           {"quantize batch, " + name, 2 * elements + made, [&](int) { return rows.launch(); }},
           {"quantize batch, 16x16 and transposed, " + name, 2 * elements + 2 * made,
            [&](int) { return squares.launch(); }},
           {"scale layout batch, " + name, elements / 8, [&](int) { return converted.launch(); }}},
          name, report);
}

int run(int argc, char** argv) {
  Settings settings;
  Report report("transform_bandwidth");
  CLI::App app("Bandwidth of transforms, maxima and batches on a GPU");
  report.add_options(app);
  app.add_option("--device", settings.device, "cuda:N, or emulator:TARGET for a smoke test");
  app.add_option("--rows", settings.rows, "Rows of 32768 columns of the large matrix");
  app.add_option("--layers", settings.layers, "Layers whose weights make a batch; 0: no batches");
  app.add_option("--types", settings.types, "f32, f16, bf16")->delimiter(',');
  app.add_option("--samples", settings.samples, "Batches of launches in a round");
  app.add_option("--rounds", settings.rounds, "Rounds over the copies and kernels");
  CLI11_PARSE(app, argc, argv);

  std::optional<Context> opened = open_device(settings.device, report);
  if (!opened) return 0;
  Context& context = *opened;
  for (const std::string& type : settings.types) {
    measure_large(context, settings, parse_type(type), report);
    std::fprintf(stderr, "%s done\n", type.c_str());
  }
  if (settings.layers > 0) measure_batches(context, settings, report);
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
