// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Requests drawn over all options, shapes, strides and alignments at once: the fast kernels write
// what the trusted ones write, and nothing else. NIBBLE_RANDOM_REQUESTS: how many of each family;
// NIBBLE_RANDOM_SEED: which.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "tests/families/device_test.h"

namespace nibble::test {
namespace {

int64_t setting(const char* name, int64_t standard) {
  const char* text = std::getenv(name);
  return text == nullptr ? standard : std::atoll(text);
}

class RandomRequests : public DeviceTest {
 protected:
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
    switch (below(4)) {
      case 0:
        return 1 + below(20);
      case 1:
        return one_of<int64_t>({16, 32, 64, 128, 256}) + below(3) - 1;
      default:
        return 1 + below(300);
    }
  }
  // Normal values, any bits, or values that differ by powers of two.
  std::vector<float> values(int64_t count, DataType type) {
    if (one_in(4)) return random_bits(count, type, random_);
    const float scale = std::ldexp(1.0f, static_cast<int>(below(20)) - 10);
    std::vector<float> some = random_normal(count, type, scale, random_);
    if (one_in(3)) {
      for (float& value : some) value = std::ldexp(value, -static_cast<int>(below(12)));
      some = decode(encode(some, type), type);
    }
    if (one_in(3)) {
      for (float& value : some) value = one_in(5) ? one_of({0.0f, -0.0f}) : value;
    }
    return some;
  }

  HadamardTransform transform() {
    HadamardTransform one;
    one.enabled = one_in(2);
    one.size = one_of({16, 16, 32, 64, 128});
    if (one.enabled && one_in(2)) {
      for (uint32_t& word : one.signs) word = static_cast<uint32_t>(random_());
    }
    return one;
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
  int64_t refused = 0;
  for (int64_t i = 0; i < count(); ++i) {
    QuantizeRequest request;
    request.x.type = one_of({DataType::kF32, DataType::kF16, DataType::kBf16});
    request.copies = one_of({Copies::kRowWise, Copies::kTransposed, Copies::kBoth});
    request.format = one_of({QuantizedFormat::kNvfp4, QuantizedFormat::kNvfp4,
                             QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8});
    const bool nvfp4 = request.format == QuantizedFormat::kNvfp4;
    if (nvfp4 && one_in(3)) request.blocks = BlockShape::kSquare;
    if (nvfp4 && one_in(4)) request.scaling = BlockScaling::kFourOverSix;
    if (one_in(2)) request.rounding = Rounding::kStochastic;
    request.seed = random_();
    const bool rows = request.copies != Copies::kTransposed;
    const bool transposed = request.copies != Copies::kRowWise;
    const bool may_transform =
        request.blocks == BlockShape::kRow || request.copies != Copies::kBoth;
    if (rows && may_transform) request.transform = transform();
    if (transposed && may_transform) request.transposed_transform = transform();
    // Only whole groups of more than 16.
    const auto whole = [](int64_t length, const HadamardTransform& one) {
      const int64_t unit = one.enabled && one.size > 16 ? one.size : 1;
      return (length + unit - 1) / unit * unit;
    };
    request.x.rows = whole(length(), request.transposed_transform);
    request.x.columns = whole(length(), request.transform);
    request.x.row_stride = request.x.columns + (one_in(2) ? 0 : one_of<int64_t>({1, 4, 8, 16}));
    const int64_t element = size_of(request.x.type);
    const int64_t misalign = one_in(2) ? 0 : element * below(8);
    request.amax_given = nvfp4 && one_in(3);
    const float amax = one_of({1.0f, 5.3125f, 100.0f, 1e-30f, 3e38f});

    const std::vector<uint8_t> input =
        spread(values(request.x.rows * request.x.columns, request.x.type), request.x.type,
               request.x.rows, request.x.columns, request.x.row_stride);
    Guarded x(context(), std::ssize(input), misalign);
    x.upload(input);
    request.x.data = x.address();

    const bool records = one_in(3);
    std::array<std::vector<std::vector<uint8_t>>, 2> results;
    const std::array<ScaleLayout, 2> layouts{one_of({ScaleLayout::kRowMajor, ScaleLayout::k128x4}),
                                             one_of({ScaleLayout::kRowMajor, ScaleLayout::k128x4})};
    const int64_t code_gap = 8 * below(3), scale_gap = below(3);
    SCOPED_TRACE(testing::Message()
                 << "request " << i << " of seed " << setting("NIBBLE_RANDOM_SEED", 1));
    for (const KernelKind kernel : kKernels) {
      request.kernel = kernel;
      std::vector<Guarded> outputs;
      outputs.reserve(8);
      for (const bool turned : {false, true}) {
        Nvfp4Matrix& y = turned ? request.y_transposed : request.y;
        const int64_t of_rows = turned ? request.x.columns : request.x.rows;
        const int64_t columns = turned ? request.x.rows : request.x.columns;
        y.scale_layout = layouts[turned ? 1 : 0];
        y.code_row_stride = quantized_row_bytes(request.format, columns) + code_gap;
        const int64_t dense =
            quantized_scale_bytes(request.format, 1, columns, ScaleLayout::kRowMajor);
        y.scale_row_stride = dense + scale_gap;
        const bool tiled = y.scale_layout == ScaleLayout::k128x4;
        outputs.emplace_back(context(), of_rows * y.code_row_stride);
        y.codes = outputs.back().address();
        outputs.emplace_back(context(), tiled ? quantized_scale_bytes(request.format, of_rows,
                                                                      columns, ScaleLayout::k128x4)
                                              : of_rows * y.scale_row_stride);
        y.scales = outputs.back().address();
        outputs.emplace_back(context(), 4);
        outputs.back().upload(encode({amax}, DataType::kF32));
        y.amax = outputs.back().address();
        outputs.emplace_back(context(), 4);
        outputs.back().upload(encode({0.5f}, DataType::kF32));
        DevicePointer& recorded = turned ? request.transposed_recorded_amax : request.recorded_amax;
        recorded = records && (turned ? transposed : rows) ? outputs.back().address() : 0;
      }
      const Status status = quantize(context(), request);
      if (status.code() == Code::kInvalidArgument) {
        ++refused;
        break;
      }
      ASSERT_TRUE(status.ok()) << text_of(request) << ": " << status.to_string() << status.detail();
      for (Guarded& output : outputs) {
        results[static_cast<size_t>(kernel)].push_back(output.download());
      }
    }
    static constexpr const char* kNames[] = {"codes", "scales", "amax", "recorded amax"};
    for (size_t k = 0; k < results[0].size(); ++k) {
      const auto [fast, trusted] = std::ranges::mismatch(results[0][k], results[1][k]);
      if (fast == results[0][k].end()) continue;
      ADD_FAILURE() << text_of(request) << ": byte " << fast - results[0][k].begin() << " of "
                    << (k < 4 ? "" : "transposed ") << kNames[k % 4] << " is " << int{*fast}
                    << ", the trusted kernel's " << int{*trusted};
    }
  }
  EXPECT_EQ(refused, 0);
}

TEST_P(RandomRequests, Hadamard) {
  for (int64_t i = 0; i < count(); ++i) {
    HadamardRequest request;
    request.axis = one_of({Axis::kRow, Axis::kColumn});
    const bool along_row = request.axis == Axis::kRow;
    const auto power = [&](int64_t most) { return int64_t{2} << below(most); };
    request.size = along_row && one_in(3) ? one_of<int64_t>({12, 20, 28}) << below(5) : power(7);
    if (along_row && one_in(8)) request.size = on_gpu() ? power(15) : power(11);
    request.x.type = one_of({DataType::kF32, DataType::kF16, DataType::kBf16});
    const int64_t groups = request.size * (1 + below(3)), other = length();
    request.x.rows = along_row ? other : groups;
    request.x.columns = along_row ? groups : other;
    if (request.size > 512 && !on_gpu()) request.x.rows = std::min<int64_t>(request.x.rows, 4);
    request.x.row_stride = request.x.columns + (one_in(2) ? 0 : one_of<int64_t>({1, 4, 8, 16}));
    request.sign_vector = one_of({SignVector::kNone, SignVector::kDevice});
    const bool power_of_two = (request.size & (request.size - 1)) == 0;
    if (request.size <= 128 && one_in(3)) request.sign_vector = SignVector::kMask;
    if (request.size >= 16 && request.size <= 128 && power_of_two && one_in(3)) {
      request.sign_vector = SignVector::kDefault;
    }
    std::vector<uint8_t> words(static_cast<size_t>((request.size + 31) / 32 * 4));
    for (uint8_t& byte : words) byte = static_cast<uint8_t>(random_());
    for (uint32_t& word : request.sign_mask) word = static_cast<uint32_t>(random_());
    request.inverse = one_in(2);
    if (one_in(3)) request.scale = one_of({1.0f, -0.3f, 1e-20f, 1e20f});
    const int64_t misalign = one_in(2) ? 0 : size_of(request.x.type) * below(8);
    const std::vector<uint8_t> input =
        spread(values(request.x.rows * request.x.columns, request.x.type), request.x.type,
               request.x.rows, request.x.columns, request.x.row_stride);
    Guarded x(context(), std::ssize(input), misalign);
    Guarded signs(context(), std::ssize(words)), amax(context(), 4);
    x.upload(input);
    signs.upload(words);
    request.x.data = x.address();
    request.signs = signs.address();
    if (one_in(2)) request.amax = amax.address();
    const bool writes = request.amax == 0 || !one_in(4);
    const int64_t gap = below(3) * 3;
    std::array<std::vector<std::vector<uint8_t>>, 2> results;
    for (const KernelKind kernel : kKernels) {
      request.kernel = kernel;
      request.y = request.x;
      request.y.row_stride = request.x.columns + gap;
      Guarded y(context(), request.x.rows * request.y.row_stride * size_of(request.x.type),
                misalign);
      request.y.data = writes ? y.address() : 0;
      const Status status = hadamard(context(), request);
      ASSERT_TRUE(status.ok()) << status.to_string() << status.detail();
      results[static_cast<size_t>(kernel)] = {y.download(), amax.download()};
    }
    EXPECT_EQ(results[0], results[1])
        << "request " << i << ": " << type_name(request.x.type) << " " << request.x.rows << "x"
        << request.x.columns << " size " << request.size << " axis "
        << static_cast<int>(request.axis) << " signs " << static_cast<int>(request.sign_vector)
        << " inverse " << request.inverse << " scale " << request.scale;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, RandomRequests, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
