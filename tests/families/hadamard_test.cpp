// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Hadamard transforms, bit for bit against the reference, on every device.
#include "tests/reference/hadamard.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBf16};

std::vector<int> all_sizes() {
  std::vector<int> sizes;
  for (const int base : {1, 12, 20, 28}) {
    for (int size = base == 1 ? 2 : base; size <= 32768; size *= 2) sizes.push_back(size);
  }
  return sizes;
}

// What is transformed, and how its rows lie.
struct Case {
  DataType type = DataType::kBf16;
  int64_t rows = 1, columns = 16;
  int64_t x_gap = 0, y_gap = 0;  // elements between rows
  int64_t misalign = 0;          // bytes by which x and y are off 256
  bool in_place = false, write = true, amax = false;
};

class Hadamard : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    random_.seed(7);
  }

  // Normal values over 24 binades: the order of the sums shows in their last bits.
  std::vector<float> wide(int64_t count, DataType type) {
    std::vector<float> values = random_normal(count, DataType::kF32, 1.0f, random_);
    for (float& value : values) value = std::ldexp(value, static_cast<int>(random_() % 24) - 12);
    return decode(encode(values, type), type);
  }

  // Puts a device sign vector into the request and the same bits into the reference.
  std::vector<bool> sign_bits(const HadamardRequest& request, Guarded& words) {
    const auto size = static_cast<size_t>(request.size);
    std::vector<bool> negative;
    if (request.sign_vector == SignVector::kNone) return negative;
    std::vector<uint32_t> word((size + 31) / 32);
    for (uint32_t& each : word) each = static_cast<uint32_t>(random_());
    if (request.sign_vector == SignVector::kDevice) {
      std::vector<uint8_t> bytes(word.size() * 4);
      std::memcpy(bytes.data(), word.data(), bytes.size());
      words.upload(bytes);
    } else if (request.sign_vector == SignVector::kMask) {
      std::copy(request.sign_mask.begin(), request.sign_mask.begin() + std::ssize(word),
                word.begin());
    } else {
      std::fill(word.begin(), word.end(), 0xD7E8D7E8u);
    }
    for (size_t i = 0; i < size; ++i) negative.push_back((word[i / 32] >> i % 32 & 1) != 0);
    return negative;
  }

  static std::vector<float> expected(const reference::Hadamard& transform,
                                     const std::vector<float>& x, const Case& shape, Axis axis) {
    const auto size = static_cast<size_t>(transform.size);
    const auto columns = static_cast<size_t>(shape.columns);
    const size_t step = axis == Axis::kRow ? 1 : columns;
    std::vector<float> y(x.size()), group(size);
    for (size_t first = 0; first < x.size(); ++first) {
      const size_t index = axis == Axis::kRow ? first % columns : first / columns;
      if (index % size != 0) continue;
      for (size_t i = 0; i < size; ++i) group[i] = x[first + i * step];
      const std::vector<float> image = reference::hadamard(transform, group);
      for (size_t i = 0; i < size; ++i) y[first + i * step] = image[i];
    }
    return decode(encode(y, shape.type), shape.type);
  }

  void compare(const std::vector<uint8_t>& actual, const std::vector<float>& y, const Case& shape,
               int64_t gap, uint8_t in_gap) {
    const std::vector<uint8_t> wanted = encode(y, shape.type);
    const int64_t row_bytes = shape.columns * size_of(shape.type);
    const int64_t pitch = row_bytes + gap * size_of(shape.type);
    int shown = 0;
    for (int64_t i = 0; i < std::ssize(actual) && shown < 5; ++i) {
      const bool between = i % pitch >= row_bytes;
      const uint8_t byte =
          between ? in_gap : wanted[static_cast<size_t>(i / pitch * row_bytes + i % pitch)];
      if (actual[static_cast<size_t>(i)] == byte) continue;
      ADD_FAILURE() << "byte " << i << " (row " << i / pitch
                    << "): " << int{actual[static_cast<size_t>(i)]} << ", expected " << int{byte}
                    << (between ? " (gap)" : "");
      ++shown;
    }
  }

  void check(HadamardRequest request, const Case& shape, const std::vector<float>& x) {
    SCOPED_TRACE(testing::Message()
                 << type_name(shape.type) << " " << shape.rows << "x" << shape.columns << " size "
                 << request.size << " axis " << static_cast<int>(request.axis) << " signs "
                 << static_cast<int>(request.sign_vector) << " inverse " << request.inverse);
    const int64_t x_stride = shape.columns + shape.x_gap;
    const int64_t y_stride = shape.columns + (shape.in_place ? shape.x_gap : shape.y_gap);
    const auto bytes_of = [&](int64_t stride) {
      return ((shape.rows - 1) * stride + shape.columns) * size_of(shape.type);
    };
    Guarded x_device(context(), bytes_of(x_stride), shape.misalign);
    Guarded y_device(context(), bytes_of(y_stride), shape.misalign);
    Guarded words(context(), (request.size + 31) / 32 * 4), amax(context(), 4);
    const std::vector<uint8_t> input = spread(x, shape.type, shape.rows, shape.columns, x_stride);
    x_device.upload(input);
    request.x = {x_device.address(), shape.type, shape.rows, shape.columns, x_stride};
    if (shape.write) {
      request.y = request.x;
      if (!shape.in_place) request.y.data = y_device.address();
      request.y.row_stride = y_stride;
    }
    request.signs = words.address();
    if (shape.amax) request.amax = amax.address();
    const std::vector<bool> negative = sign_bits(request, words);
    expect_ok(hadamard(context(), request));

    const float scale = request.scale != 0
                            ? request.scale
                            : reference::orthonormal_scale(static_cast<int>(request.size));
    const std::vector<float> y = expected(
        {static_cast<int>(request.size), negative, request.inverse, scale}, x, shape, request.axis);
    const std::vector<uint8_t> x_after = x_device.download(), y_after = y_device.download();
    if (shape.in_place) {
      compare(x_after, y, shape, shape.x_gap, 0x7F);
    } else {
      EXPECT_EQ(x_after, input);
      if (shape.write) compare(y_after, y, shape, shape.y_gap, Guarded::kPoison);
    }
    if (!shape.write) {
      EXPECT_EQ(y_after, std::vector<uint8_t>(y_after.size(), Guarded::kPoison));
    }
    if (shape.amax) {
      EXPECT_EQ(std::bit_cast<uint32_t>(decode(amax.download(), DataType::kF32)[0]),
                std::bit_cast<uint32_t>(reference::amax(y)));
    }
  }
  void check(const HadamardRequest& request, const Case& shape) {
    check(request, shape, wide(shape.rows * shape.columns, shape.type));
  }

  std::mt19937_64 random_;
};

// Every size, with each type in turn; several groups, in rows where they are short.
TEST_P(Hadamard, EverySize) {
  int turn = 0;
  for (const int size : all_sizes()) {
    HadamardRequest request;
    request.size = size;
    const int64_t groups = size < 1024 ? 5 : 2;
    check(request,
          {.type = kTypes[turn++ % 3], .rows = size < 1024 ? 3 : 1, .columns = groups * size});
  }
}

// The ways of the kernel: within a vector, between lanes, through shared memory, with a base.
constexpr int kWays[] = {2, 4, 8, 16, 64, 256, 512, 1024, 2048, 4096, 8192, 12, 24, 20, 96, 224};

TEST_P(Hadamard, EveryWayAndDirectionWithSigns) {
  int turn = 0;
  for (const int size : kWays) {
    HadamardRequest request;
    request.size = size;
    request.sign_vector = SignVector::kDevice;
    const DataType type = kTypes[turn++ % 3], next = kTypes[turn % 3];
    check(request, {.type = type, .rows = 2, .columns = 3 * size, .amax = true});
    request.inverse = true;
    check(request, {.type = next, .rows = 2, .columns = 3 * size});
  }
}

TEST_P(Hadamard, EveryTypeAndDirection) {
  for (const int size : {16, 1024, 56}) {
    for (const DataType type : kTypes) {
      HadamardRequest request;
      request.size = size;
      check(request, {.type = type, .rows = 2, .columns = 2 * size, .amax = true});
      request.inverse = true;
      check(request, {.type = type, .rows = 2, .columns = 2 * size, .amax = true});
    }
  }
}

TEST_P(Hadamard, TrustedKernels) {
  int turn = 0;
  HadamardRequest request;
  request.kernel = KernelKind::kTrusted;
  for (const int size : all_sizes()) {
    if (size > 1024 && !on_gpu()) continue;
    request.size = size;
    request.axis = Axis::kRow;
    request.sign_vector = SignVector::kDevice;
    request.inverse = turn % 2 == 1;
    Case shape{.type = kTypes[turn++ % 3], .rows = 3, .columns = 2 * size, .amax = true};
    check(request, shape);
    request.inverse = !request.inverse;
    shape.x_gap = 1;
    check(request, shape, random_bits(shape.rows * shape.columns, shape.type, random_));
    if (size > 128 || (size & (size - 1)) != 0) continue;
    request.axis = Axis::kColumn;
    check(request, {.type = shape.type, .rows = 2 * size, .columns = 5, .y_gap = 2, .amax = true});
    request.sign_vector = SignVector::kMask;
    request.sign_mask = {0x12345678u, 0x9abcdef0u, 0x0f1e2d3cu, 0xfedcba98u};
    check(request, {.type = shape.type, .rows = size, .columns = 40, .write = false, .amax = true});
    if (size < 16) continue;
    request.sign_vector = SignVector::kDefault;
    check(request, {.type = shape.type, .rows = size, .columns = 40});
  }
}

TEST_P(Hadamard, LargestSizes) {
  for (const int size : {16384, 32768, 24576, 28672}) {
    for (const DataType type : {DataType::kF32, DataType::kBf16}) {
      HadamardRequest request;
      request.size = size;
      check(request, {.type = type, .rows = 1, .columns = size, .amax = true});
    }
  }
}

TEST_P(Hadamard, RowsWithGapsUnalignedAndInPlace) {
  int turn = 0;
  for (const int size : {2, 8, 16, 128, 1024, 2048, 12, 56}) {
    HadamardRequest request;
    request.size = size;
    const DataType type = kTypes[turn++ % 3];
    check(request, {.type = type, .rows = 5, .columns = 3 * size, .x_gap = 16, .y_gap = 32});
    check(request, {.type = type,
                    .rows = 4,
                    .columns = size,
                    .x_gap = 3,
                    .y_gap = 1,
                    .misalign = size_of(type)});
    check(request, {.type = type, .rows = 3, .columns = 2 * size, .in_place = true});
    check(request, {.type = type, .rows = 3, .columns = 2 * size, .x_gap = 5, .in_place = true});
  }
}

// Where rows hold no whole vector: their last is cut.
TEST_P(Hadamard, ShortGroupsInRaggedRows) {
  for (const int size : {2, 4, 8}) {
    for (int64_t groups = 1; groups <= 9; ++groups) {
      HadamardRequest request;
      request.size = size;
      request.sign_vector = SignVector::kMask;
      request.sign_mask = {0x5Bu};
      check(request,
            {.type = kTypes[groups % 3], .rows = 37, .columns = groups * size, .amax = true});
      check(request, {.rows = 3, .columns = groups * size, .x_gap = 7, .y_gap = 8});
    }
  }
}

TEST_P(Hadamard, MoreRowsThanAGridTakesAtOnce) {
  HadamardRequest request;
  request.size = 16;
  check(request, {.rows = 3000, .columns = 16, .amax = true});
  check(request, {.rows = 3000, .columns = 48, .y_gap = 8, .amax = true});
  request.axis = Axis::kColumn;
  check(request, {.rows = 4096, .columns = 3, .amax = true});
}

TEST_P(Hadamard, RandomTransformAlongEitherAxis) {
  for (const Axis axis : {Axis::kRow, Axis::kColumn}) {
    for (const int64_t size : {16, 32, 64, 128}) {
      for (const SignVector signs :
           {SignVector::kDefault, SignVector::kMask, SignVector::kDevice}) {
        for (const bool inverse : {false, true}) {
          HadamardRequest request;
          request.size = size;
          request.axis = axis;
          request.sign_vector = signs;
          request.sign_mask = {0x12345678u, 0x9abcdef0u, 0x0f1e2d3cu, 0xfedcba98u};
          request.inverse = inverse;
          check(request, {.rows = 256, .columns = 384, .amax = true});
        }
      }
    }
  }
}

TEST_P(Hadamard, ColumnsOfEverySizeAndType) {
  int turn = 0;
  for (const int64_t size : {2, 4, 8, 16, 16, 16, 32, 64, 128}) {
    HadamardRequest request;
    request.size = size;
    request.axis = Axis::kColumn;
    const DataType type = kTypes[turn++ % 3];
    check(request, {.type = type, .rows = 3 * size, .columns = 1});
    check(request, {.type = type, .rows = size, .columns = 131, .amax = true});
    check(request, {.type = type,
                    .rows = 2 * size,
                    .columns = 70,
                    .x_gap = 3,
                    .y_gap = 5,
                    .misalign = size_of(type)});
    check(request, {.type = type, .rows = 2 * size, .columns = 64, .x_gap = 8, .in_place = true});
  }
}

TEST_P(Hadamard, MaximumWithoutTheTransform) {
  for (const Axis axis : {Axis::kRow, Axis::kColumn}) {
    for (const DataType type : kTypes) {
      HadamardRequest request;
      request.size = 16;
      request.axis = axis;
      request.sign_vector = SignVector::kDefault;
      check(request, {.type = type, .rows = 64, .columns = 80, .write = false, .amax = true});
    }
  }
}

TEST_P(Hadamard, EveryBitPattern) {
  for (const Axis axis : {Axis::kRow, Axis::kColumn}) {
    for (const DataType type : kTypes) {
      for (const int64_t size : {2, 4, 16}) {
        HadamardRequest request;
        request.size = size;
        request.axis = axis;
        request.sign_vector = SignVector::kDevice;
        const Case shape{.type = type, .rows = 16 * size, .columns = 16 * size, .amax = true};
        check(request, shape, random_bits(shape.rows * shape.columns, type, random_));
        request.inverse = true;
        check(request, shape, random_bits(shape.rows * shape.columns, type, random_));
      }
    }
  }
}

// Zeros and their signs, subnormals, sums that overflow, infinities, NaN.
TEST_P(Hadamard, ExtremeValues) {
  const float tiny = 0x1p-149f, huge = 3e38f;
  for (const int size : {8, 12, 1024}) {
    for (const std::vector<float>& start : {std::vector<float>{-0.0f, -0.0f, 0.0f},
                                            {tiny, -tiny, 3 * tiny},
                                            {huge, huge, -huge},
                                            {INFINITY, 1.0f},
                                            {INFINITY, -INFINITY},
                                            {NAN, 2.0f},
                                            {-NAN, 0.0f}}) {
      for (const bool inverse : {false, true}) {
        std::vector<float> x(static_cast<size_t>(size), start.back());
        std::copy(start.begin(), start.end(), x.begin());
        HadamardRequest request;
        request.size = size;
        request.inverse = inverse;
        request.sign_vector = SignVector::kDevice;
        check(request, {.type = DataType::kF32, .columns = size, .amax = true}, x);
        request.scale = 1;
        check(request, {.type = DataType::kF32, .columns = size}, x);
      }
    }
  }
  HadamardRequest request;
  request.size = 256;  // 256 * 65504 is infinite in f16, not in the sums
  request.scale = 1;
  check(request, {.type = DataType::kF16, .columns = 256}, std::vector<float>(256, 65504.0f));
}

// bf16 holds what a transform and its inverse give back of small integers, exactly.
TEST_P(Hadamard, InverseGivesTheInputBack) {
  for (const int64_t size : {16, 256, 1024, 4096, 48, 80, 112}) {
    std::vector<float> x(static_cast<size_t>(2 * size));
    for (float& value : x) value = static_cast<float>(static_cast<int>(random_() % 9) - 4);
    const std::vector<uint8_t> bytes = encode(x, DataType::kF32);
    Guarded data(context(), std::ssize(bytes)), words(context(), (size + 31) / 32 * 4);
    data.upload(bytes);
    HadamardRequest request;
    request.size = size;
    request.x = request.y = {data.address(), DataType::kF32, 2, size};
    request.sign_vector = SignVector::kDevice;
    request.signs = words.address();
    (void)sign_bits(request, words);
    request.scale = 1;
    expect_ok(hadamard(context(), request));
    request.inverse = true;
    request.scale = 1.0f / static_cast<float>(size);
    expect_ok(hadamard(context(), request));
    const std::vector<float> back = decode(data.download(), DataType::kF32);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(back[i], x[i], 1e-5f) << size << " " << i;
  }
}

TEST_P(Hadamard, BadRequestsNameTheValueAndTheRule) {
  Guarded memory(context(), 65536);
  HadamardRequest good;
  good.x = {memory.address(), DataType::kBf16, 32, 64};
  good.y = {memory.address() + 32768, DataType::kBf16, 32, 64};
  auto expect_error = [&](auto change, const std::string& text) {
    HadamardRequest bad = good;
    change(bad);
    const Status status = hadamard(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), text);
  };
  expect_error([](auto& r) { r.kernel = static_cast<KernelKind>(2); },
               "kernel = 2: must be fast or trusted");
  expect_error(
      [](auto& r) {
        r.kernel = KernelKind::kTrusted;
        r.y.data = r.x.data;
      },
      "kernel = trusted: y must not be x");
  expect_error([](auto& r) { r.size = 18; },
               "size = 18: must be 2 to 32768: a power of two, or 12, 20 or 28 times one, along a "
               "row");
  expect_error([](auto& r) { r.size = 128; }, "x.columns = 64: must be a multiple of size = 128");
  expect_error(
      [](auto& r) {
        r.axis = Axis::kColumn;
        r.size = 12;
      },
      "size = 12: must be a power of two from 2 to 128 down a column");
  expect_error(
      [](auto& r) {
        r.axis = Axis::kColumn;
        r.size = 64;
      },
      "x.rows = 32: must be a multiple of size = 64");
  expect_error([](auto& r) { r.axis = static_cast<Axis>(2); },
               "axis = 2: must be row (0) or column (1)");
  expect_error(
      [](auto& r) {
        r.size = 8;
        r.sign_vector = SignVector::kDefault;
      },
      "size = 8: must be 16, 32, 64 or 128 with the default sign vector");
  expect_error([](auto& r) { r.sign_vector = SignVector::kDevice; }, "signs is null");
  expect_error([](auto& r) { r.sign_vector = static_cast<SignVector>(7); },
               "sign_vector = 7: must be 0 to 3");
  expect_error([](auto& r) { r.y.data = 0; }, "y.data and amax are null: nothing to do");
  expect_error([](auto& r) { r.scale = INFINITY; }, "scale = inf: must be finite");
  expect_error([](auto& r) { r.y.type = DataType::kF32; }, "y.type = 0: must be x.type = 2");
  expect_error([](auto& r) { r.y.rows = 31; }, "y.rows = 31: must be x.rows = 32");
  expect_error(
      [](auto& r) {
        r.y = r.x;
        r.y.row_stride = 72;
      },
      "y.row_stride = 72: must be x.row_stride = 64, in place");
  expect_error([](auto& r) { r.x.rows = 0; }, "x.rows = 0: must be >= 1");
}

INSTANTIATE_TEST_SUITE_P(Devices, Hadamard, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
