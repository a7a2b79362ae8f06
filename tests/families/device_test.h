// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the kernel tests share: the devices they run on, host matrices in the kernels' element
// types, and device memory with guard bytes around it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nibble/nibble.hpp>
#include <random>
#include <string>
#include <vector>

namespace nibble::test {

// Every kernel test runs on each of these. "cuda" is skipped, and counted so, where there is no
// GPU.
inline const char* const kDevices[] = {"emulator:sm_90a", "emulator:sm_100a", "emulator:sm_103a",
                                       "emulator:sm_120a", "cuda"};

inline constexpr KernelKind kKernels[] = {KernelKind::kFast, KernelKind::kTrusted};

inline std::string device_test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  for (char& c : name) c = c == ':' ? '_' : c;
  return name;
}

class DeviceTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    // One context for each device, for the whole program: kernels are compiled once. Never
    // destroyed: a driver may be gone by the time that static objects are.
    static auto& contexts = *new std::map<std::string, Result<Context>>;
    const std::string device = GetParam();
    auto at = contexts.find(device);
    if (at == contexts.end()) {
      Options options = Options::from_environment();
      options.device = device;
      at = contexts.emplace(device, Context::create(options)).first;
    }
    if (!at->second.ok() && device == "cuda") {
      GTEST_SKIP() << "SKIPPED, needs a GPU: " << at->second.status().to_string();
    }
    ASSERT_TRUE(at->second.ok()) << at->second.status().to_string() << "\n"
                                 << at->second.status().detail();
    context_ = &at->second.value();
  }
  Context& context() { return *context_; }
  bool on_gpu() const { return GetParam() == std::string("cuda"); }

 private:
  Context* context_ = nullptr;
};

inline void expect_ok(const Status& status) {
  ASSERT_TRUE(status.ok()) << status.to_string() << "\n" << status.detail();
}

// Device memory of `size` bytes between guards, all poisoned; checks the guards when asked.
class Guarded {
 public:
  static constexpr int64_t kGuard = 256;
  static constexpr uint8_t kPoison = 0xA5;

  // `misalign`: bytes by which the start is off the allocation's alignment.
  Guarded(Context& context, int64_t size, int64_t misalign = 0)
      : context_(context), size_(size), misalign_(misalign) {
    Result<Buffer> buffer = context.allocate(size + 2 * kGuard + misalign);
    EXPECT_TRUE(buffer.ok()) << buffer.status().to_string();
    if (buffer.ok()) buffer_ = std::move(buffer).value();
    EXPECT_TRUE(context.fill(buffer_.address(), kPoison, buffer_.size()).ok());
  }
  DevicePointer address() const { return buffer_.address() + kGuard + misalign_; }

  void upload(const std::vector<uint8_t>& bytes) {
    ASSERT_LE(static_cast<int64_t>(bytes.size()), size_);
    expect_ok(context_.copy_to_device(address(), bytes.data(), static_cast<int64_t>(bytes.size())));
  }
  // The contents; fails the test when a guard byte was written.
  std::vector<uint8_t> download() {
    std::vector<uint8_t> all(static_cast<size_t>(buffer_.size()));
    expect_ok(context_.copy_to_host(all.data(), buffer_.address(), buffer_.size()));
    const auto begin = all.begin() + kGuard + misalign_;
    const auto end = begin + size_;
    for (auto at = all.begin(); at != all.end(); ++at) {
      if (at == begin) at = end;
      if (at == all.end()) break;
      if (*at != kPoison) {
        ADD_FAILURE() << "byte " << (at - begin) << " of " << size_ << " was written";
        break;
      }
    }
    return {begin, end};
  }

 private:
  Context& context_;
  int64_t size_;
  int64_t misalign_;
  Buffer buffer_;
};

// The bytes of `values` in an element type (rounded to it), and back.
std::vector<uint8_t> encode(const std::vector<float>& values, DataType type);
std::vector<float> decode(const std::vector<uint8_t>& bytes, DataType type);

// A host matrix whose values are exact in `type`: uniform over the bits of the type (every
// exponent, infinities and NaN among them) or normal with the given scale.
std::vector<float> random_bits(int64_t count, DataType type, std::mt19937_64& random);
std::vector<float> random_normal(int64_t count, DataType type, float scale,
                                 std::mt19937_64& random);

// [rows, columns] dense values spread to rows of `stride` elements, the gaps poisoned.
std::vector<uint8_t> spread(const std::vector<float>& values, DataType type, int64_t rows,
                            int64_t columns, int64_t stride);

}  // namespace nibble::test
