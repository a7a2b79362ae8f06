// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Many quantisations in one kernel, bit for bit what each alone gives, on every device. What each
// alone gives is compared with the reference in other files.
#include <deque>
#include <functional>

#include "tests/families/device_test.h"

namespace nibble::test {
namespace {

struct Shape {
  int64_t rows, columns;
  int64_t gap = 0;  // elements between rows
};
// One element; less and more than a tile; several tiles; rows with gaps.
constexpr Shape kShapes[] = {{1, 1},     {130, 200}, {300, 64},     {5, 5000},
                             {128, 128}, {77, 3},    {129, 160, 8}, {40, 96, 16}};

// Where one quantisation writes.
class Outputs {
 public:
  Outputs(Context& context, const QuantizeRequest& request)
      : format_(request.format), layout_(request.y.scale_layout) {
    const Matrix& x = request.x;
    for (const auto& [rows, columns] : {std::pair{x.rows, x.columns}, {x.columns, x.rows}}) {
      buffers_.emplace_back(context, rows * quantized_row_bytes(format_, columns));
      buffers_.emplace_back(context, quantized_scale_bytes(format_, rows, columns, layout_));
      buffers_.emplace_back(context, 4).upload(encode({2.5F}, DataType::kF32));  // amax
      buffers_.emplace_back(context, 4).upload(encode({0.25F}, DataType::kF32));
    }
  }

  QuantizeRequest request(QuantizeRequest request, bool records) {
    request.y = {at(0), at(1), at(2), layout_};
    request.y_transposed = {at(4), at(5), at(6), layout_};
    if (records && request.copies != Copies::kTransposed) request.recorded_amax = at(3);
    if (records && request.copies != Copies::kRowWise) request.transposed_recorded_amax = at(7);
    return request;
  }

  std::vector<std::vector<uint8_t>> download() {
    std::vector<std::vector<uint8_t>> all;
    for (Guarded& buffer : buffers_) all.push_back(buffer.download());
    return all;
  }

 private:
  DevicePointer at(size_t i) const { return buffers_[i].address(); }

  QuantizedFormat format_;
  ScaleLayout layout_;
  std::deque<Guarded> buffers_;  // addresses stay
};

using Change = std::function<void(QuantizeRequest&)>;

class QuantizeBatch : public DeviceTest {
 protected:
  // Each change makes a kind of request: one of every shape. Launches the batch twice.
  Batch check(const std::vector<Change>& kinds, DataType type, bool records = false,
              std::span<const Shape> shapes = kShapes) {
    std::deque<Guarded> inputs;
    std::deque<Outputs> alone, together;
    std::vector<QuantizeRequest> requests;
    for (const Change& change : kinds) {
      for (const Shape& shape : shapes) {
        const int64_t stride = shape.columns + shape.gap;
        const std::vector<uint8_t> bytes =
            spread(random_normal(shape.rows * shape.columns, type, 2.0F, random_), type, shape.rows,
                   shape.columns, stride);
        inputs.emplace_back(context(), std::ssize(bytes)).upload(bytes);
        QuantizeRequest request;
        request.x = {inputs.back().address(), type, shape.rows, shape.columns, stride};
        change(request);
        alone.emplace_back(context(), request);
        together.emplace_back(context(), request);
        expect_ok(quantize(context(), alone.back().request(request, records)));
        requests.push_back(together.back().request(request, records));
      }
    }
    Result<Batch> batch = Batch::quantize(context(), requests);
    EXPECT_TRUE(batch.ok()) << batch.status().to_string() << batch.status().detail();
    for (int launch = 0; launch < 2; ++launch) expect_ok(batch->launch());
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].download(), alone[i].download())
          << "request " << i << ", " << requests[i].x.rows << " x " << requests[i].x.columns;
    }
    return std::move(batch).value();
  }

 private:
  std::mt19937_64 random_{17};
};

TEST_P(QuantizeBatch, EveryCopyFormatAndBlock) {
  std::vector<Change> kinds;
  for (const auto copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
    for (const auto format :
         {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
      kinds.emplace_back([=](QuantizeRequest& request) {
        request.copies = copies;
        request.format = format;
        request.y.scale_layout = copies == Copies::kBoth ? ScaleLayout::k128x4 : ScaleLayout{};
      });
    }
    kinds.emplace_back([=](QuantizeRequest& request) {
      request.copies = copies;
      request.blocks = BlockShape::kSquare;
    });
  }
  const Batch batch = check(kinds, DataType::kBf16);
  // Of the amax and of each kind: rows aligned to 32 bytes where they matter, to 16, to none.
  EXPECT_LE(batch.kernels(), 3 + 3 * 12);
}

TEST_P(QuantizeBatch, AmaxesGivenAndRecorded) {
  for (const DataType type : {DataType::kF32, DataType::kF16}) {
    check({[](QuantizeRequest&) {}, [](QuantizeRequest& request) { request.amax_given = true; },
           [](QuantizeRequest& request) { request.copies = Copies::kBoth; },
           [](QuantizeRequest& request) {
             request.copies = Copies::kTransposed;
             request.amax_given = true;
             request.y.scale_layout = ScaleLayout::k128x4;
           }},
          type, true);
  }
}

TEST_P(QuantizeBatch, StochasticallyAfterTransforms) {
  check({[](QuantizeRequest& request) {
           request.rounding = Rounding::kStochastic;
           request.seed = 11;
         },
         [](QuantizeRequest& request) {
           request.copies = Copies::kBoth;
           request.rounding = Rounding::kStochastic;
           request.seed = 12;  // one kernel for all seeds and signs
           request.transposed_transform = {true, {0x1234}};
         },
         [](QuantizeRequest& request) {
           request.copies = Copies::kBoth;
           request.format = QuantizedFormat::kMxfp8;
           request.rounding = Rounding::kStochastic;
           request.transform.enabled = true;
           request.y.scale_layout = ScaleLayout::k128x4;
         }},
        DataType::kBf16, true);
}

TEST_P(QuantizeBatch, LargerTransforms) {
  constexpr Shape kWhole[] = {{130, 128}, {1, 4096}, {7, 256}};
  check({[](QuantizeRequest& request) { request.transform = {.enabled = true, .size = 64}; },
         [](QuantizeRequest& request) {
           request.transform = {.enabled = true, .size = 128};
           request.format = QuantizedFormat::kMxfp4;
           request.y.scale_layout = ScaleLayout::k128x4;
         }},
        DataType::kBf16, false, kWhole);
}

TEST_P(QuantizeBatch, OneKernelForAModelsWeights) {
  constexpr int64_t kTensors = 50;
  Guarded input(context(), kTensors * 64 * 96 * 2), codes(context(), kTensors * 64 * 48),
      scales(context(), kTensors * 64 * 6), amaxes(context(), kTensors * 4);
  input.upload(encode(std::vector<float>(kTensors * 64 * 96, -1.5F), DataType::kBf16));
  std::vector<QuantizeRequest> requests(kTensors);
  for (size_t i = 0; i < kTensors; ++i) {
    requests[i].x = {input.address() + i * 12288, DataType::kBf16, 64, 96};
    requests[i].y = {codes.address() + i * 3072, scales.address() + i * 384,
                     amaxes.address() + i * 4};
  }
  const Result<Batch> batch = Batch::quantize(context(), requests);
  ASSERT_TRUE(batch.ok()) << batch.status().to_string();
  EXPECT_EQ(batch->kernels(), 2);  // the amaxes, the codes
  expect_ok(batch->launch());
  EXPECT_EQ(codes.download(), std::vector<uint8_t>(kTensors * 3072, 0xFF));
  EXPECT_EQ(scales.download(), std::vector<uint8_t>(kTensors * 384, 0x7E));
  EXPECT_EQ(decode(amaxes.download(), DataType::kF32), std::vector<float>(kTensors, 1.5F));
}

// Small tensors alone would get other tiles than large ones.
TEST_P(QuantizeBatch, TensorsOfAllSizesShareAKernel) {
  constexpr int64_t kRows[] = {1, 64, 512}, kColumns[] = {16, 128, 8192};
  const Guarded memory(context(), 512 * 8192 * 4);
  for (const auto format :
       {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
    for (const auto copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
      for (const auto rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        for (const DataType type : {DataType::kBf16, DataType::kF16, DataType::kF32}) {
          std::vector<QuantizeRequest> requests(std::size(kRows));
          for (size_t i = 0; i < requests.size(); ++i) {
            QuantizeRequest& one = requests[i];
            one.x = {memory.address(), type, kRows[i], kColumns[i]};
            one.y = {memory.address(), memory.address(), memory.address()};
            one.y_transposed = one.y;
            one.amax_given = true;
            one.format = format;
            one.copies = copies;
            one.rounding = rounding;
          }
          const Result<Batch> batch = Batch::quantize(context(), requests);
          ASSERT_TRUE(batch.ok()) << batch.status().to_string();
          EXPECT_EQ(batch->kernels(), 1) << format_name(format) << " copies "
                                         << static_cast<int>(copies) << " " << type_name(type);
        }
      }
    }
  }
}

TEST_P(QuantizeBatch, BadRequestsNameTheRequest) {
  Guarded memory(context(), 4096);
  QuantizeRequest good;
  good.x = {memory.address(), DataType::kBf16, 4, 32};
  good.y = {memory.address() + 1024, memory.address() + 2048, memory.address() + 3072};
  QuantizeRequest bad = good;
  bad.x.rows = 0;
  const QuantizeRequest requests[] = {good, bad};
  EXPECT_EQ(std::string(Batch::quantize(context(), requests).status().message()),
            "requests[1]: x.rows = 0: must be >= 1");
  EXPECT_EQ(std::string(Batch::quantize(context(), {}).status().message()), "requests is empty");
}

INSTANTIATE_TEST_SUITE_P(Devices, QuantizeBatch, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
