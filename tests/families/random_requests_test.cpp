// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Requests drawn over all options, shapes, strides and alignments at once: the fast kernels, as the
// family configures them and as a tuner might, write what the trusted ones write, and nothing else.
// NIBBLE_RANDOM_REQUESTS: how many of each family; NIBBLE_RANDOM_SEED: which.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "runtime/trial.h"
#include "tests/families/device_test.h"

namespace nibble::test {
namespace {

int64_t setting(const char* name, int64_t standard) {
  const char* text = std::getenv(name);
  return text == nullptr ? standard : std::atoll(text);
}

class RandomRequests : public DeviceTest {
 protected:
  using Bytes = std::vector<std::vector<uint8_t>>;  // of each output

  void SetUp() override {
    DeviceTest::SetUp();
    random_.seed(static_cast<uint64_t>(setting("NIBBLE_RANDOM_SEED", 1)));
  }
  int64_t count() const { return setting("NIBBLE_RANDOM_REQUESTS", on_gpu() ? 500 : 24); }

  int64_t below(int64_t end) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(end));
  }
  bool one_in(int64_t n) { return below(n) == 0; }
  template <class Value>
  Value one_of(std::initializer_list<Value> values) {
    return values.begin()[below(static_cast<int64_t>(values.size()))];
  }
  // Mostly ragged, often a tile more or less.
  int64_t length() {
    if (one_in(4)) return 1 + below(20);
    if (one_in(3)) return one_of<int64_t>({16, 32, 64, 128, 256}) + below(3) - 1;
    return 1 + below(300);
  }
  DataType type() { return one_of({DataType::kF32, DataType::kF16, DataType::kBf16}); }

  // x on the device: its shape and type are given, the rest is drawn. Normal values, any bits, or
  // values that differ by powers of two, with or without zeros.
  Guarded draw_elements(Matrix* x) {
    x->row_stride = x->columns + (one_in(2) ? 0 : one_of<int64_t>({1, 4, 8, 16}));
    const int64_t misalign = one_in(2) ? 0 : size_of(x->type) * below(8);
    const float scale = std::ldexp(1.0f, static_cast<int>(below(20)) - 10);
    std::vector<float> values = one_in(4)
                                    ? random_bits(x->rows * x->columns, x->type, random_)
                                    : random_normal(x->rows * x->columns, x->type, scale, random_);
    const bool scales = one_in(4), clears = one_in(4);
    for (float& value : values) {
      if (scales) value = std::ldexp(value, -static_cast<int>(below(12)));
      if (clears && one_in(5)) value = one_of({0.0f, -0.0f});
    }
    const std::vector<uint8_t> bytes = spread(decode(encode(values, x->type), x->type), x->type,
                                              x->rows, x->columns, x->row_stride);
    Guarded device(context(), std::ssize(bytes), misalign);
    device.upload(bytes);
    x->data = device.address();
    return device;
  }

  Guarded any_bytes(int64_t count, int64_t misalign = 0) {
    std::vector<uint8_t> bytes(static_cast<size_t>(count));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    Guarded device(context(), count, misalign);
    device.upload(bytes);
    return device;
  }

  // Other values of the tuned constants: any that are legal.
  KernelSpec other_configuration(const KernelSpec& asked) {
    for (int tries = 0; tries < 1000; ++tries) {
      KernelSpec spec = asked;
      for (size_t i = 0; i < asked.family->constants.size(); ++i) {
        const Constant& constant = asked.family->constants[i];
        if (constant.origin != Constant::Origin::kTuned) continue;
        spec.values[i] = constant.values[static_cast<size_t>(below(std::ssize(constant.values)))];
      }
      if (is_legal(spec)) return spec;
    }
    return asked;
  }

  // `launch` launches the request on outputs of its own and brings them here.
  template <class Launch>
  void expect_alike(std::string_view family, const std::string& text, const Launch& launch) {
    const auto trial = Trial::start(context(), family);
    ASSERT_TRUE(trial.ok()) << trial.status().to_string();
    const Bytes right = launch(KernelKind::kTrusted);
    for (int way = 0; way < 3; ++way) {
      if (way > 0) (*trial)->use(other_configuration((*trial)->asked()));
      const Bytes bytes = launch(KernelKind::kFast);
      ASSERT_EQ(bytes.size(), right.size());
      for (size_t i = 0; i < bytes.size(); ++i) {
        const auto [is, should] = std::ranges::mismatch(bytes[i], right[i]);
        if (is == bytes[i].end()) continue;
        ADD_FAILURE() << text << ", seed " << setting("NIBBLE_RANDOM_SEED", 1) << ", "
                      << (way == 0 ? "default" : "another configuration") << ": byte "
                      << is - bytes[i].begin() << " of output " << i << " is " << int{*is}
                      << ", the trusted kernel's " << int{*should};
      }
    }
  }

  HadamardTransform draw_transform() {
    HadamardTransform one;
    one.enabled = one_in(2);
    one.size = one_of({16, 16, 32, 64, 128});
    if (one.enabled && one_in(2)) {
      for (uint32_t& word : one.signs) word = static_cast<uint32_t>(random_());
    }
    return one;
  }

  // All but the memory.
  QuantizeRequest draw_quantization() {
    QuantizeRequest request;
    request.copies = one_of({Copies::kRowWise, Copies::kTransposed, Copies::kBoth});
    request.format = one_of({QuantizedFormat::kNvfp4, QuantizedFormat::kNvfp4,
                             QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8});
    const bool nvfp4 = request.format == QuantizedFormat::kNvfp4;
    if (nvfp4 && one_in(3)) request.blocks = BlockShape::kSquare;
    if (nvfp4 && one_in(4)) request.scaling = BlockScaling::kFourOverSix;
    if (one_in(2)) request.rounding = Rounding::kStochastic;
    request.seed = random_();
    request.amax_given = nvfp4 && one_in(3);
    // A transform of square blocks is of one copy alone.
    if (request.blocks == BlockShape::kRow || request.copies != Copies::kBoth) {
      if (request.copies != Copies::kTransposed) request.transform = draw_transform();
      if (request.copies != Copies::kRowWise) request.transposed_transform = draw_transform();
    }
    // Only whole groups of more than 16.
    const auto whole = [](int64_t length, const HadamardTransform& one) {
      const int64_t unit = one.enabled && one.size > 16 ? one.size : 1;
      return (length + unit - 1) / unit * unit;
    };
    request.x.type = type();
    request.x.rows = whole(length(), request.transposed_transform);
    request.x.columns = whole(length(), request.transform);
    for (Nvfp4Matrix* const y : {&request.y, &request.y_transposed}) {
      const int64_t columns = y == &request.y ? request.x.columns : request.x.rows;
      y->scale_layout = one_of({ScaleLayout::kRowMajor, ScaleLayout::k128x4});
      y->code_row_stride = quantized_row_bytes(request.format, columns) + 8 * below(3);
      y->scale_row_stride =
          quantized_scale_bytes(request.format, 1, columns, ScaleLayout::kRowMajor) + below(3);
    }
    return request;
  }

  // Codes, scales, amax and recorded amax of each copy.
  Bytes run(QuantizeRequest request, float amax, bool records) {
    std::vector<Guarded> outputs;
    outputs.reserve(8);
    for (const bool turned : {false, true}) {
      Nvfp4Matrix& y = turned ? request.y_transposed : request.y;
      const int64_t rows = turned ? request.x.columns : request.x.rows;
      const int64_t columns = turned ? request.x.rows : request.x.columns;
      const bool tiled = y.scale_layout == ScaleLayout::k128x4;
      outputs.emplace_back(context(), rows * y.code_row_stride);
      y.codes = outputs.back().address();
      outputs.emplace_back(
          context(), tiled ? quantized_scale_bytes(request.format, rows, columns, y.scale_layout)
                           : rows * y.scale_row_stride);
      y.scales = outputs.back().address();
      outputs.emplace_back(context(), 4);
      outputs.back().upload(encode({amax}, DataType::kF32));
      y.amax = outputs.back().address();
      outputs.emplace_back(context(), 4);
      outputs.back().upload(encode({0.5f}, DataType::kF32));
      const bool made = request.copies != (turned ? Copies::kRowWise : Copies::kTransposed);
      DevicePointer& recorded = turned ? request.transposed_recorded_amax : request.recorded_amax;
      recorded = records && made ? outputs.back().address() : 0;
    }
    const Status status = quantize(context(), request);
    EXPECT_TRUE(status.ok()) << status.to_string() << status.detail();
    Bytes bytes;
    for (Guarded& output : outputs) bytes.push_back(output.download());
    return bytes;
  }

  // All but the memory.
  HadamardRequest draw_hadamard() {
    HadamardRequest request;
    request.axis = one_of({Axis::kRow, Axis::kColumn});
    const bool along_row = request.axis == Axis::kRow;
    const auto power = [&](int64_t most) { return int64_t{2} << below(most); };
    request.size = along_row && one_in(3) ? one_of<int64_t>({12, 20, 28}) << below(5) : power(7);
    if (along_row && one_in(8)) request.size = power(on_gpu() ? 15 : 11);
    const int64_t groups = request.size * (1 + below(3)), other = length();
    request.x.type = type();
    request.x.rows = along_row ? other : groups;
    request.x.columns = along_row ? groups : other;
    if (request.size > 512 && !on_gpu()) request.x.rows = std::min<int64_t>(request.x.rows, 4);
    request.sign_vector = one_of({SignVector::kNone, SignVector::kDevice});
    const bool power_of_two = (request.size & (request.size - 1)) == 0;
    if (request.size <= 128 && one_in(3)) request.sign_vector = SignVector::kMask;
    if (request.size >= 16 && request.size <= 128 && power_of_two && one_in(3)) {
      request.sign_vector = SignVector::kDefault;
    }
    for (uint32_t& word : request.sign_mask) word = static_cast<uint32_t>(random_());
    request.inverse = one_in(2);
    if (one_in(3)) request.scale = one_of({1.0f, -0.3f, 1e-20f, 1e20f});
    return request;
  }

  std::mt19937_64 random_;
};

std::string text_of(const QuantizeRequest& request) {
  std::ostringstream out;
  const auto transform = [](const HadamardTransform& one) { return one.enabled ? one.size : 0; };
  out << type_name(request.x.type) << " " << request.x.rows << "x" << request.x.columns
      << " stride " << request.x.row_stride << " address % 16 = " << request.x.data % 16 << " "
      << format_name(request.format) << " copies " << static_cast<int>(request.copies) << " blocks "
      << static_cast<int>(request.blocks) << " scaling " << static_cast<int>(request.scaling)
      << " rounding " << static_cast<int>(request.rounding) << " transforms "
      << transform(request.transform) << " " << transform(request.transposed_transform)
      << " layouts " << layout_name(request.y.scale_layout) << " "
      << layout_name(request.y_transposed.scale_layout) << " amax given " << request.amax_given;
  return out.str();
}

TEST_P(RandomRequests, Quantize) {
  for (int64_t i = 0; i < count(); ++i) {
    QuantizeRequest request = draw_quantization();
    const Guarded x = draw_elements(&request.x);
    const float amax = one_of({1.0f, 5.3125f, 100.0f, 1e-30f, 3e38f});
    const bool records = one_in(3);
    expect_alike("quantize", text_of(request), [&](KernelKind kernel) {
      request.kernel = kernel;
      return run(request, amax, records);
    });
  }
}

TEST_P(RandomRequests, Hadamard) {
  for (int64_t i = 0; i < count(); ++i) {
    HadamardRequest request = draw_hadamard();
    const Guarded x = draw_elements(&request.x);
    std::vector<uint8_t> words(static_cast<size_t>((request.size + 31) / 32 * 4));
    for (uint8_t& byte : words) byte = static_cast<uint8_t>(random_());
    Guarded signs(context(), std::ssize(words));
    signs.upload(words);
    request.signs = signs.address();
    const bool wants_amax = one_in(2), writes = !wants_amax || !one_in(4);
    request.y = request.x;
    request.y.row_stride = request.x.columns + below(3) * 3;
    std::ostringstream text;
    text << type_name(request.x.type) << " " << request.x.rows << "x" << request.x.columns
         << " size " << request.size << " axis " << static_cast<int>(request.axis) << " signs "
         << static_cast<int>(request.sign_vector) << " inverse " << request.inverse << " scale "
         << request.scale;
    const bool along_row = request.axis == Axis::kRow;
    expect_alike(along_row ? "hadamard" : "hadamard_columns", text.str(), [&](KernelKind kernel) {
      Guarded y(context(), request.x.rows * request.y.row_stride * size_of(request.x.type),
                static_cast<int64_t>(request.x.data % 16));
      Guarded amax(context(), 4);
      request.kernel = kernel;
      request.y.data = writes ? y.address() : 0;
      request.amax = wants_amax ? amax.address() : 0;
      const Status status = hadamard(context(), request);
      EXPECT_TRUE(status.ok()) << status.to_string() << status.detail();
      return Bytes{y.download(), amax.download()};
    });
  }
}

TEST_P(RandomRequests, Dequantize) {
  for (int64_t i = 0; i < count(); ++i) {
    DequantizeRequest request;
    request.format =
        one_of({QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8});
    const bool nvfp4 = request.format == QuantizedFormat::kNvfp4;
    if (nvfp4 && one_in(3)) request.scaling = BlockScaling::kFourOverSix;
    request.y.type = type();
    request.y.rows = length();
    request.y.columns = length();
    request.y.row_stride = request.y.columns + (one_in(2) ? 0 : one_of<int64_t>({1, 4, 8, 16}));
    const int64_t misalign = one_in(2) ? 0 : size_of(request.y.type) * below(8);
    Nvfp4Matrix& x = request.x;
    x.scale_layout = one_of({ScaleLayout::kRowMajor, ScaleLayout::k128x4});
    x.code_row_stride = quantized_row_bytes(request.format, request.y.columns) + 8 * below(3);
    x.scale_row_stride =
        quantized_scale_bytes(request.format, 1, request.y.columns, ScaleLayout::kRowMajor) +
        below(3);
    const bool tiled = x.scale_layout == ScaleLayout::k128x4;
    Guarded codes = any_bytes(request.y.rows * x.code_row_stride);
    Guarded scales = any_bytes(tiled ? quantized_scale_bytes(request.format, request.y.rows,
                                                             request.y.columns, x.scale_layout)
                                     : request.y.rows * x.scale_row_stride);
    Guarded amax(context(), 4);
    amax.upload(encode({one_of({1.0f, 0.0f, 3e38f, 1e-41f, -2.5f, INFINITY})}, DataType::kF32));
    x.codes = codes.address();
    x.scales = scales.address();
    x.amax = amax.address();
    std::ostringstream text;
    text << format_name(request.format) << " scaling " << static_cast<int>(request.scaling) << " "
         << type_name(request.y.type) << " " << request.y.rows << "x" << request.y.columns << " "
         << layout_name(x.scale_layout);
    expect_alike("dequantize", text.str(), [&](KernelKind kernel) {
      Guarded y(context(), request.y.rows * request.y.row_stride * size_of(request.y.type),
                misalign);
      request.kernel = kernel;
      request.y.data = y.address();
      const Status status = dequantize(context(), request);
      EXPECT_TRUE(status.ok()) << status.to_string() << status.detail();
      return Bytes{y.download()};
    });
  }
}

TEST_P(RandomRequests, Amax) {
  for (int64_t i = 0; i < count(); ++i) {
    const bool of_rows = one_in(2);
    AmaxRequest request;
    request.x = {0, type(), length(), one_in(3) ? 40 * length() : length()};
    const Guarded x = draw_elements(&request.x);
    const std::string text = std::string(type_name(request.x.type)) + " " +
                             std::to_string(request.x.rows) + "x" +
                             std::to_string(request.x.columns);
    expect_alike(of_rows ? "amax_rows" : "amax", text, [&](KernelKind kernel) {
      Guarded amax(context(), of_rows ? 4 * request.x.rows : 4);
      const Status status =
          of_rows ? amax_rows(context(), {request.x, amax.address(), nullptr, kernel})
                  : nibble::amax(context(), {request.x, amax.address(), nullptr, kernel});
      EXPECT_TRUE(status.ok()) << status.to_string() << status.detail();
      return Bytes{amax.download()};
    });
  }
}

TEST_P(RandomRequests, ScaleLayout) {
  for (int64_t i = 0; i < count(); ++i) {
    ScaleLayoutRequest request;
    request.rows = length();
    request.blocks = length();
    request.row_stride = request.blocks + (one_in(2) ? 0 : one_of<int64_t>({1, 4, 16}));
    const bool to_tiles = one_in(2);
    if (!to_tiles) std::swap(request.from_layout, request.to_layout);
    const int64_t dense = request.rows * request.row_stride;
    const int64_t tiled = (request.rows + 127) / 128 * 128 * ((request.blocks + 3) / 4 * 4);
    const int64_t misalign = one_in(2) ? 0 : below(16);
    Guarded from = any_bytes(to_tiles ? dense : tiled, to_tiles ? misalign : 0);
    request.from = from.address();
    const std::string text = std::to_string(request.rows) + "x" + std::to_string(request.blocks) +
                             (to_tiles ? " to 128x4" : " from 128x4");
    expect_alike("scale_layout", text, [&](KernelKind kernel) {
      Guarded to(context(), to_tiles ? tiled : dense, to_tiles ? 0 : misalign);
      request.kernel = kernel;
      request.to = to.address();
      const Status status = convert_scales(context(), request);
      EXPECT_TRUE(status.ok()) << status.to_string() << status.detail();
      return Bytes{to.download()};
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, RandomRequests, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
