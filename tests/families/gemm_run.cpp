// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One case from its draw to the comparison.
#include <bit>
#include <cmath>
#include <memory>
#include <sstream>

#include "tests/families/gemm_operands.h"
#include "tests/families/gemm_output.h"
#include "tests/families/gemm_user.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {

namespace {

using reference::Interval;
using reference::Operand;

// Values of a matrix in its element type, and where they are.
struct HostMatrix {
  std::vector<float> values;  // [batch, m, columns]
  DataType type = DataType::kF32;
  int64_t row_stride = 0, batch_stride = 0;
};

class GemmRun {
 public:
  GemmRun(Context& context, const GemmCase& gemm)
      : context_(context), gemm_(gemm), random_(gemm.seed) {}

  void run(const GemmFunction& multiply) {
    draw();
    upload();
    if (testing::Test::HasFatalFailure()) return;
    if (gemm_.workspace) give_workspace();
    const Status status = multiply(context_, request_);
    ASSERT_TRUE(status.ok()) << status.to_string() << "\n" << status.detail();
    expect_ok(context_.synchronize());
    compare();
  }

 private:
  int64_t columns() const { return gemm_.gated ? gemm_.n / 2 : gemm_.n; }

  void draw() {
    for (int64_t batch = 0; batch < gemm_.batch; ++batch) {
      a_.push_back(random_operand(gemm_, gemm_.a_e5m2, gemm_.m, random_));
      b_.push_back(random_operand(gemm_, gemm_.b_e5m2, gemm_.n, random_));
      const std::vector<float> sums = sums_of(a_.back(), b_.back());
      sums_.insert(sums_.end(), sums.begin(), sums.end());
    }
    std::uniform_real_distribution<float> factor(0.5f, 4.0f);
    factors_ = {factor(random_), factor(random_)};
    draw_alpha();
    if (gemm_.has_c) c_ = random_matrix(gemm_.c_type, gemm_.n, gemm_.c_row_gap);
    if (gemm_.residual) {
      residual_ = random_matrix(gemm_.residual_type, columns(), gemm_.residual_row_gap);
    }
    if (gemm_.bias_axis != BiasAxis::kNone) {
      bias_ = random_normal(gemm_.bias_axis == BiasAxis::kColumn ? gemm_.n : gemm_.m,
                            gemm_.bias_type, 1, random_);
    }
    table_ = user_table(gemm_.user, gemm_.m, columns(), random_);
    beta_ = gemm_.has_c ? factor(random_) - 2 : 0;
    draw_output();
  }

  std::vector<float> sums_of(const Operand& a, const Operand& b) const {
    if (gemm_.tensor) return reference::tensor_sums(a, b, parts());
    std::vector<float> sums;
    for (int64_t row = 0; row < gemm_.m; ++row) {
      for (int64_t column = 0; column < gemm_.n; ++column) {
        sums.push_back(reference::trusted_sum(a, row, b, column));
      }
    }
    return sums;
  }

  // Part p of a split k begins at stage steps * p / split.
  std::vector<int64_t> parts() const {
    const int64_t split = std::max(1, gemm_.config.split);
    if (split == 1) return {gemm_.k};
    const int64_t tile = gemm_.config.tile_k;
    EXPECT_GT(tile, 0) << "a case with a split names its tile_k";
    const int64_t steps = (operand_row_bytes(gemm_.format, gemm_.k) + tile - 1) / tile;
    const int64_t elements = tile * 16 / operand_row_bytes(gemm_.format, 16);
    std::vector<int64_t> ends;
    for (int64_t part = 1; part <= split; ++part) ends.push_back(steps * part / split * elements);
    return ends;
  }

  // Typical values of alpha * sum are about 1.
  void draw_alpha() {
    double squares = 0;
    for (float sum : sums_) squares += static_cast<double>(sum) * sum;
    const double typical = std::sqrt(squares / static_cast<double>(sums_.size()));
    alpha_ = std::uniform_real_distribution<float>(-2.0f, 2.0f)(random_);
    if (!std::isfinite(typical) || typical == 0) return;
    double factor = typical;
    if (gemm_.tensor_factors) {
      factor *= static_cast<double>(factors_[0]) * factors_[1];
      if (gemm_.format == OperandFormat::kNvfp4) factor /= 2688.0 * 2688.0;
    }
    alpha_ = static_cast<float>(alpha_ / factor);
  }

  HostMatrix random_matrix(DataType type, int64_t width, int64_t gap) {
    HostMatrix matrix;
    matrix.values = random_normal(gemm_.batch * gemm_.m * width, type, 1, random_);
    matrix.type = type;
    matrix.row_stride = width + gap;
    matrix.batch_stride = gemm_.m * matrix.row_stride + gap;
    return matrix;
  }

  void draw_output() {
    OutputLayout& layout = output_.layout;
    layout = {gemm_.output, gemm_.m, columns(), gemm_.batch};
    layout.row_stride =
        (layout.is_fp4() ? (columns() + 15) / 16 * 16 : columns()) + gemm_.d_row_gap;
    layout.batch_stride = gemm_.m * layout.row_stride + gemm_.d_batch_gap;
    if (layout.is_fp4()) {
      layout.scale_batch_stride =
          reference::size_128x4(gemm_.m, layout.blocks()) + gemm_.scale_batch_gap;
    }
    if (gemm_.in_place) {
      c_.row_stride = layout.row_stride;
      c_.batch_stride = layout.batch_stride;
    }
    for (int64_t batch = 0; batch < gemm_.batch; ++batch) {
      const std::vector<Interval> values = expected_of(batch);
      output_.expected.insert(output_.expected.end(), values.begin(), values.end());
    }
    // Of the data, or half or twice that: then scales saturate, or small blocks lose theirs.
    const float amax = reference::amax(output_.expected).high;
    const float times[] = {0.5f, 1, 2};
    output_.tensor_amax = std::isfinite(amax) && amax > 0 ? amax * times[random_() % 3] : 1;
  }

  std::vector<Interval> expected_of(int64_t batch) const {
    reference::Epilogue epilogue;
    epilogue.alpha = alpha_;
    if (gemm_.tensor_factors) {
      epilogue.a_factor = &factors_[0];
      epilogue.b_factor = &factors_[1];
      epilogue.is_amax = gemm_.format == OperandFormat::kNvfp4;
    }
    epilogue.beta = beta_;
    auto part_of = [&](const std::vector<float>& values) {
      const size_t count = values.size() / static_cast<size_t>(gemm_.batch);
      return std::span(values).subspan(static_cast<size_t>(batch) * count, count);
    };
    epilogue.c = part_of(c_.values);
    epilogue.residual = part_of(residual_.values);
    if (gemm_.bias_axis == BiasAxis::kColumn) epilogue.column_bias = bias_;
    if (gemm_.bias_axis == BiasAxis::kRow) epilogue.row_bias = bias_;
    epilogue.activation = static_cast<int>(gemm_.activation);
    epilogue.gated = gemm_.gated;
    if (gemm_.user != GemmUser::kNone) {
      epilogue.user = [this](float value, int64_t row, int64_t column) {
        return user_value(gemm_.user, table_, columns(), value, row, column);
      };
    }
    return reference::finish(epilogue, part_of(sums_), gemm_.m, gemm_.n);
  }

  // Guarded memory that holds `bytes`.
  DevicePointer device(const std::vector<uint8_t>& bytes) {
    buffers_.push_back(std::make_unique<Guarded>(
        context_, std::max<int64_t>(1, static_cast<int64_t>(bytes.size()))));
    buffers_.back()->upload(bytes);
    return buffers_.back()->address();
  }

  GemmMatrix device(const HostMatrix& matrix) {
    return {device(bytes_of(matrix)), matrix.type, matrix.row_stride, matrix.batch_stride};
  }

  // Gaps are poison.
  std::vector<uint8_t> bytes_of(const HostMatrix& matrix) const {
    const int64_t width = static_cast<int64_t>(matrix.values.size()) / (gemm_.batch * gemm_.m);
    const std::vector<uint8_t> dense = encode(matrix.values, matrix.type);
    const int64_t size = size_of(matrix.type);
    std::vector<uint8_t> bytes(static_cast<size_t>(((gemm_.batch - 1) * matrix.batch_stride +
                                                    (gemm_.m - 1) * matrix.row_stride + width) *
                                                   size),
                               Guarded::kPoison);
    for (int64_t row = 0; row < gemm_.batch * gemm_.m; ++row) {
      const int64_t to = row / gemm_.m * matrix.batch_stride + row % gemm_.m * matrix.row_stride;
      std::copy_n(dense.begin() + row * width * size, width * size, bytes.begin() + to * size);
    }
    return bytes;
  }

  GemmOperand device(const std::vector<Operand>& operand, int64_t row_gap, int64_t batch_gap) {
    const OperandBytes bytes = operand_bytes(operand, row_gap, batch_gap, gemm_.scale_batch_gap);
    GemmOperand result;
    result.data = device(bytes.data);
    if (!bytes.scales.empty()) result.scales = device(bytes.scales);
    // Of k = 0 the strides are 0: what stands for a default is no other.
    result.row_stride = bytes.row_stride;
    result.batch_stride = bytes.batch_stride;
    result.scale_batch_stride = bytes.scale_batch_stride;
    return result;
  }

  void upload() {
    request_.format = gemm_.format;
    request_.m = gemm_.m;
    request_.n = gemm_.n;
    request_.k = gemm_.k;
    request_.batch = gemm_.batch;
    request_.a = device(a_, gemm_.a_row_gap, gemm_.a_batch_gap);
    request_.b = device(b_, gemm_.b_row_gap, gemm_.b_batch_gap);
    if (gemm_.a_e5m2) request_.a.fp8 = Fp8Type::kE5m2;
    if (gemm_.b_e5m2) request_.b.fp8 = Fp8Type::kE5m2;
    request_.alpha = alpha_;
    request_.beta = beta_;
    request_.kernel = gemm_.kernel;
    request_.config = gemm_.config;
    if (gemm_.tensor_factors) {
      const bool amax = gemm_.format == OperandFormat::kNvfp4;
      (amax ? request_.a.amax : request_.a.scale) = device(encode({factors_[0]}, DataType::kF32));
      (amax ? request_.b.amax : request_.b.scale) = device(encode({factors_[1]}, DataType::kF32));
    }
    upload_output();
    GemmEpilogue& epilogue = request_.epilogue;
    if (gemm_.has_c) {
      request_.c = gemm_.in_place
                       ? GemmMatrix{request_.d.data, c_.type, c_.row_stride, c_.batch_stride}
                       : device(c_);
    }
    epilogue.bias_axis = gemm_.bias_axis;
    epilogue.bias_type = gemm_.bias_type;
    if (!bias_.empty()) epilogue.bias = device(encode(bias_, gemm_.bias_type));
    epilogue.activation = gemm_.activation;
    epilogue.gated = gemm_.gated;
    if (gemm_.residual) epilogue.residual = device(residual_);
    if (gemm_.user != GemmUser::kNone) upload_user();
  }

  void upload_user() {
    Result<UserEpilogue> user = UserEpilogue::create(context_, user_source(gemm_.user));
    ASSERT_TRUE(user.ok()) << user.status().to_string() << "\n" << user.status().detail();
    const DevicePointer table = table_.empty() ? 0 : device(table_);
    arguments_ = user_arguments(gemm_.user, table, columns());
    request_.epilogue.user = *user;
    request_.epilogue.user_arguments = arguments_.data();
    request_.epilogue.user_argument_bytes = static_cast<int64_t>(arguments_.size());
  }

  void upload_output() {
    const OutputLayout& layout = output_.layout;
    GemmOutput& d = request_.d;
    d_ = std::make_unique<Guarded>(context_, layout.size(), layout.bytes(gemm_.d_offset));
    if (gemm_.in_place) d_->upload(bytes_of(c_));
    d.data = d_->address();
    d.type = gemm_.output;
    d.row_stride = layout.row_stride;
    d.batch_stride = layout.batch_stride;
    if (layout.is_fp4()) {
      d_scales_ = std::make_unique<Guarded>(context_, layout.scale_size());
      d.scales = d_scales_->address();
      d.scale_batch_stride = layout.scale_batch_stride;
    }
    if (gemm_.output == OutputType::kNvfp4) {
      d.tensor_amax = device(encode({output_.tensor_amax}, DataType::kF32));
    }
    if (gemm_.amax) {
      d_amax_ = std::make_unique<Guarded>(context_, 4);
      d.amax = d_amax_->address();
    }
  }

  void give_workspace() {
    Result<int64_t> bytes = gemm_workspace_bytes(context_, request_);
    ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
    if (*bytes == 0) return;
    request_.workspace = device(std::vector<uint8_t>(static_cast<size_t>(*bytes)));
    request_.workspace_bytes = *bytes;
  }

  void compare() {
    output_.bytes = d_->download();
    if (d_scales_) output_.scales = d_scales_->download();
    const std::vector<uint8_t> before =
        gemm_.in_place ? bytes_of(c_)
                       : std::vector<uint8_t>(output_.bytes.size(), Guarded::kPoison);
    EXPECT_EQ(first_difference(output_, [&](int64_t i) { return before[static_cast<size_t>(i)]; }),
              "");
    if (d_amax_) {
      const float amax = decode(d_amax_->download(), DataType::kF32)[0];
      const Interval expected = stored_amax(output_);
      EXPECT_TRUE(expected.low <= amax && amax <= expected.high)
          << "max |D| = " << amax << ", expected " << expected.low << " to " << expected.high;
    }
    for (const auto& buffer : buffers_) buffer->download();  // checks the guards
  }

  Context& context_;
  const GemmCase& gemm_;
  std::mt19937_64 random_;
  std::vector<Operand> a_, b_;
  std::vector<float> sums_, bias_, factors_;
  float alpha_ = 1, beta_ = 0;
  HostMatrix c_, residual_;
  std::vector<uint8_t> table_, arguments_;
  Output output_;
  GemmRequest request_;
  std::vector<std::unique_ptr<Guarded>> buffers_;
  std::unique_ptr<Guarded> d_, d_scales_, d_amax_;
};

}  // namespace

void check_gemm(Context& context, const GemmCase& gemm, const GemmFunction& multiply) {
  std::ostringstream description;
  description << gemm;
  SCOPED_TRACE(description.str());
  GemmRun(context, gemm).run(multiply);
}

}  // namespace nibble::test
