// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/device_problem.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "runtime/context_state.h"

namespace nibble::bench {

namespace {

constexpr int64_t kPatternElements = int64_t{1} << 20;

int64_t aligned(int64_t bytes) { return (bytes + 511) / 512 * 512; }

uint16_t to_bf16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

// Values below 8 in magnitude, not below 2^-14: no rounding mode or subnormal to think of.
uint16_t to_f16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  return static_cast<uint16_t>(magnitude < 0x38800000u ? sign
                                                       : sign | (magnitude - 0x38000000u) >> 13);
}

float to_float(const uint8_t* element, DataType type) {
  uint32_t bits = 0;
  std::memcpy(&bits, element, static_cast<size_t>(size_of(type)));
  if (type == DataType::kBf16) bits <<= 16;
  if (type == DataType::kF16) {
    const uint32_t magnitude = bits & 0x7fff;
    if (magnitude < 0x400) {  // subnormal: dequantisation makes them
      const float value = std::ldexp(static_cast<float>(magnitude), -24);
      return (bits & 0x8000) != 0 ? -value : value;
    }
    bits = (bits & 0x8000) << 16 | ((magnitude << 13) + 0x38000000u);
  }
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

std::optional<Context> open_device(const std::string& device, Report& report) {
  Options options = Options::from_environment();
  options.device = device;
  Result<Context> opened = Context::create(options);
  const Code code = opened.status().code();
  if (code == Code::kNoDevice || code == Code::kLibraryMissing) {
    std::printf("SKIPPED: nothing was measured, for there is no %s here\n%s\n", device.c_str(),
                opened.status().to_string().c_str());
    return std::nullopt;
  }
  Context context = require(std::move(opened));
  const DeviceInfo& info = context.device();
  report.set_device(info.name, info.driver_version);
  if (info.emulated) std::printf("EMULATED: these figures say nothing of a GPU\n");
  return context;
}

void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n%s\n", status.to_string().c_str(),
               std::string(status.detail()).c_str());
  std::exit(1);
}

DeviceProblem::DeviceProblem(Context& context, Shape shape, DataType type)
    : context_(context),
      shape_(shape),
      type_(type),
      matrix_bytes_(shape.rows * shape.columns * size_of(type)),
      codes_bytes_(shape.rows * code_row_bytes(shape.columns)),
      scales_bytes_(scale_bytes(shape.rows, shape.columns, ScaleLayout::kRowMajor)),
      matrix_pitch_(aligned(matrix_bytes_)),
      codes_pitch_(aligned(codes_bytes_)),
      scales_pitch_(aligned(scale_bytes(shape.rows, shape.columns, ScaleLayout::k128x4))) {
  const DeviceInfo& device = context.device();
  // The smallest of the buffers that are rotated is that of codes and scales.
  if (!device.emulated) {
    const int64_t set = codes_pitch_ + scales_pitch_;
    sets_ = static_cast<int>(std::clamp<int64_t>(3 * device.l2_bytes / set + 1, 2, 32768));
  }
  x_ = require(context.allocate(sets_ * matrix_pitch_));
  y_ = require(context.allocate(sets_ * matrix_pitch_));
  codes_ = require(context.allocate(sets_ * codes_pitch_));
  scales_ = require(context.allocate(sets_ * scales_pitch_));
  amax_ = require(context.allocate(sets_ * int64_t{512}));
  fill_input();
}

void DeviceProblem::fill_input() {
  const int64_t elements = std::min(kPatternElements, shape_.rows * shape_.columns);
  std::mt19937 bits(static_cast<uint32_t>(shape_.columns));
  std::normal_distribution<float> normal;
  const auto width = static_cast<size_t>(size_of(type_));
  start_.resize(static_cast<size_t>(elements) * width);
  for (size_t i = 0; i < static_cast<size_t>(elements); ++i) {
    const float value = std::clamp(normal(bits), -7.9f, 7.9f);
    uint8_t* const element = start_.data() + i * width;
    const uint16_t half = type_ == DataType::kF16 ? to_f16(value) : to_bf16(value);
    type_ == DataType::kF32 ? std::memcpy(element, &value, width)
                            : std::memcpy(element, &half, width);
    largest_ = std::max(largest_, std::abs(to_float(element, type_)));
  }
  const ContextState& state = context_.state();
  const CurrentContext current(state.driver(), state.device.context);
  const auto pattern = static_cast<int64_t>(start_.size());
  for (int set = 0; set < sets_; ++set) {
    const DevicePointer to = at(x_, set, matrix_pitch_);
    for (int64_t done = 0; done < matrix_bytes_;) {
      const int64_t count = std::min(matrix_bytes_ - done, set == 0 && done == 0 ? pattern
                                                           : set == 0            ? done
                                                                                 : matrix_bytes_);
      if (set == 0 && done == 0) {
        require(context_.copy_to_device(to, start_.data(), count));
      } else {
        const auto offset = static_cast<uint64_t>(done);
        require(state.driver().check(
            state.driver().cuMemcpyDtoDAsync(to + offset, x_.address(), static_cast<size_t>(count),
                                             nullptr),
            "cuMemcpyDtoDAsync"));
      }
      done += count;
    }
    require(context_.copy_to_device(at(amax_, set, 512), &largest_, sizeof largest_));
  }
}

AmaxRequest DeviceProblem::amax(int set) const {
  return {{at(x_, set, matrix_pitch_), type_, shape_.rows, shape_.columns, 0},
          at(amax_, set, 512),
          nullptr};
}

QuantizeRequest DeviceProblem::quantize(int set, ScaleLayout layout) const {
  QuantizeRequest request;
  request.x = {at(x_, set, matrix_pitch_), type_, shape_.rows, shape_.columns, 0};
  request.y = {at(codes_, set, codes_pitch_),
               at(scales_, set, scales_pitch_),
               at(amax_, set, 512),
               layout,
               0,
               0};
  request.amax_given = true;
  return request;
}

DequantizeRequest DeviceProblem::dequantize(int set, ScaleLayout layout) const {
  const QuantizeRequest quantized = quantize(set, layout);
  return {
      quantized.y, {at(y_, set, matrix_pitch_), type_, shape_.rows, shape_.columns, 0}, nullptr};
}

Status DeviceProblem::copy(int set, int64_t bytes) const {
  const ContextState& state = context_.state();
  const CurrentContext current(state.driver(), state.device.context);
  const int64_t count = std::min(bytes / 2, matrix_bytes_);
  return state.driver().check(
      state.driver().cuMemcpyDtoDAsync(at(y_, set, matrix_pitch_), at(x_, set, matrix_pitch_),
                                       static_cast<size_t>(count), nullptr),
      "cuMemcpyDtoDAsync");
}

void DeviceProblem::poison() {
  poison_matrix();
  for (const Buffer* buffer : {&codes_, &scales_}) {
    require(context_.fill(buffer->address(), 0xFF, buffer->size()));
  }
}

void DeviceProblem::poison_matrix() { require(context_.fill(y_.address(), 0xFF, y_.size())); }
void DeviceProblem::poison_amax() { require(context_.fill(amax_.address(), 0xFF, sizeof(float))); }

std::vector<uint8_t> DeviceProblem::outputs() {
  constexpr int64_t kMost = int64_t{1} << 24;  // of each: what is copied in moments
  const int64_t matrix = std::min(kMost, matrix_pitch_), codes = std::min(kMost, codes_pitch_);
  const int64_t scales = std::min(kMost, scales_pitch_);
  constexpr int64_t kAmax = sizeof(float);
  std::vector<uint8_t> bytes(static_cast<size_t>(matrix + codes + scales + kAmax));
  require(context_.copy_to_host(bytes.data(), y_.address(), matrix));
  require(context_.copy_to_host(bytes.data() + matrix, codes_.address(), codes));
  require(context_.copy_to_host(bytes.data() + matrix + codes, scales_.address(), scales));
  require(context_.copy_to_host(bytes.data() + matrix + codes + scales, amax_.address(), kAmax));
  return bytes;
}

double DeviceProblem::error_of_start() {
  std::vector<uint8_t> y(start_.size());
  require(context_.copy_to_host(y.data(), y_.address(), static_cast<int64_t>(y.size())));
  const auto width = static_cast<size_t>(size_of(type_));
  double difference = 0, norm = 0;
  for (size_t i = 0; i < y.size(); i += width) {
    const double x = to_float(start_.data() + i, type_);
    const double error = to_float(y.data() + i, type_) - x;
    difference += error * error;
    norm += x * x;
  }
  return std::sqrt(difference / norm);
}

float DeviceProblem::computed_amax() {
  float value = 0;
  require(context_.copy_to_host(&value, amax_.address(), sizeof value));
  return value;
}

std::vector<double> time_on_device(Context& context, int samples,
                                   const std::function<Status(int)>& launch) {
  const ContextState& state = context.state();
  const DriverApi& driver = state.driver();
  const CurrentContext current(driver, state.device.context);
  const auto check = [&](CUresult result, const char* call) {
    require(driver.check(result, call));
  };
  CUevent start = nullptr, stop = nullptr;
  check(driver.cuEventCreate(&start, 0), "cuEventCreate");
  check(driver.cuEventCreate(&stop, 0), "cuEventCreate");
  int set = 0;
  const auto batch = [&](int count) {
    check(driver.cuEventRecord(start, nullptr), "cuEventRecord");
    for (int i = 0; i < count; ++i) require(launch(set++));
    check(driver.cuEventRecord(stop, nullptr), "cuEventRecord");
    check(driver.cuEventSynchronize(stop), "cuEventSynchronize");
    float milliseconds = 0;
    check(driver.cuEventElapsedTime(&milliseconds, start, stop), "cuEventElapsedTime");
    return milliseconds;
  };
  int count = 1;
  (void)batch(2);  // compiles, loads, warms up
  while (batch(count) < 1 && count < 4096) count *= 2;
  std::vector<double> seconds;
  seconds.reserve(static_cast<size_t>(samples));
  for (int i = 0; i < samples; ++i) seconds.push_back(batch(count) * 1e-3 / count);
  check(driver.cuEventDestroy(start), "cuEventDestroy");
  check(driver.cuEventDestroy(stop), "cuEventDestroy");
  return seconds;
}

}  // namespace nibble::bench
