// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/gemm_order/order_run.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "templates/embedded_templates.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {

namespace {

namespace fs = std::filesystem;

// [batch, rows, row bytes] of the format and the values in it.
struct Operand {
  std::vector<uint8_t> bytes, scales;
  std::vector<float> values;  // [batch, rows, k]
  int64_t row_bytes = 0;
};

Operand random_operand(const OrderCase& order_case, int64_t rows, std::mt19937& random) {
  Operand operand;
  const int64_t k = order_case.k;
  operand.row_bytes = (operand_row_bytes(order_case.format, k) + 15) / 16 * 16;
  const int64_t all_rows = rows * order_case.batch;
  operand.bytes.resize(static_cast<size_t>(all_rows * operand.row_bytes));
  for (int64_t row = 0; row < all_rows; ++row) {
    uint8_t* bytes = &operand.bytes[static_cast<size_t>(row * operand.row_bytes)];
    for (int64_t i = 0; i < k; ++i) {
      const auto code = static_cast<uint8_t>(random() % 16);
      const float value = reference::decode_e2m1(code);
      operand.values.push_back(value);
      switch (order_case.format) {
        case OperandFormat::kNvfp4:
        case OperandFormat::kMxfp4:
          bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] | code << 4 * (i % 2));
          break;
        case OperandFormat::kMxfp8:
        case OperandFormat::kFp8: {
          const uint8_t magnitude = reference::encode_e4m3(value < 0 ? -value : value);
          bytes[i] = static_cast<uint8_t>(magnitude | (code & 8) << 4);
          break;
        }
        case OperandFormat::kBf16: {
          const uint16_t bits = reference::encode_bf16(value);
          std::memcpy(bytes + 2 * i, &bits, 2);
          break;
        }
      }
    }
  }
  // 1 in E4M3 and in UE8M0; what pads is as good as anything.
  const int64_t scale_bytes = operand_scale_bytes(order_case.format, rows, k) * order_case.batch;
  operand.scales.assign(static_cast<size_t>(scale_bytes),
                        order_case.format == OperandFormat::kNvfp4 ? 0x38 : 127);
  return operand;
}

bool equal_to_exact_sums(const OrderCase& c, const Operand& a, const Operand& b,
                         const std::vector<uint8_t>& d) {
  for (int64_t batch = 0; batch < c.batch; ++batch) {
    for (int64_t m = 0; m < c.m; ++m) {
      for (int64_t n = 0; n < c.n; ++n) {
        const float* x = &a.values[static_cast<size_t>((batch * c.m + m) * c.k)];
        const float* y = &b.values[static_cast<size_t>((batch * c.n + n) * c.k)];
        float sum = 0;  // exact: multiples of 1/4 below 2^22
        for (int64_t k = 0; k < c.k; ++k) sum += x[k] * y[k];
        const auto at = static_cast<size_t>((batch * c.m + m) * c.n + n);
        if (c.output == OutputType::kF32) {
          float value = 0;
          std::memcpy(&value, &d[4 * at], 4);
          if (value != sum) return false;
        } else {
          uint16_t bits = 0;
          std::memcpy(&bits, &d[2 * at], 2);
          const uint16_t wanted = c.output == OutputType::kF16 ? reference::encode_f16(sum)
                                                               : reference::encode_bf16(sum);
          if (bits != wanted && (bits | wanted) != 0x8000) return false;  // +0 and -0
        }
      }
    }
  }
  return true;
}

constexpr int kRight = 0, kWrong = 1, kFailed = 2;

int fail(const Status& status) {
  std::fprintf(stderr, "%s\n%s\n", status.to_string().c_str(),
               std::string(status.detail()).c_str());
  return kFailed;
}

// In the child.
int multiply(const OrderCase& c, const std::string& templates) {
  Options options = Options::from_environment();
  options.device = "emulator:sm_100a";
  options.template_directory = templates;
  options.log = [](LogLevel, std::string_view) {};
  auto context = Context::create(options);
  if (!context.ok()) return fail(context.status());
  std::mt19937 random(1);
  const Operand a = random_operand(c, c.m, random);
  const Operand b = random_operand(c, c.n, random);
  std::vector<uint8_t> d(static_cast<size_t>(c.batch * c.m * c.n) *
                         (c.output == OutputType::kF32 ? 4 : 2));
  std::vector<Buffer> buffers;
  Status status;
  auto upload = [&](const std::vector<uint8_t>& bytes) -> DevicePointer {
    if (bytes.empty()) return 0;
    auto buffer = context->allocate(static_cast<int64_t>(bytes.size()) + 16);
    if (!buffer.ok()) {
      status = buffer.status();
      return 0;
    }
    buffers.push_back(std::move(buffer).value());
    const DevicePointer address = buffers.back().address();
    if (status.ok()) {
      status = context->copy_to_device(address, bytes.data(), static_cast<int64_t>(bytes.size()));
    }
    return address;
  };
  GemmRequest request;
  request.format = c.format;
  request.m = c.m, request.n = c.n, request.k = c.k, request.batch = c.batch;
  request.a = {.data = upload(a.bytes), .scales = upload(a.scales), .row_stride = a.row_bytes};
  request.b = {.data = upload(b.bytes), .scales = upload(b.scales), .row_stride = b.row_bytes};
  request.d = {.data = upload(d), .type = c.output};
  request.kernel = GemmKernel::kTensor;
  request.config = c.config;
  request.dependent_launch = c.dependent_launch;
  constexpr int64_t kWorkspace = int64_t{64} << 20;
  if (c.config.split > 1) {
    request.workspace = upload(std::vector<uint8_t>(kWorkspace));
    request.workspace_bytes = kWorkspace;
  }
  if (status.ok()) status = gemm(context.value(), request);
  if (status.ok()) status = context->synchronize();
  if (status.ok()) {
    status = context->copy_to_host(d.data(), request.d.data, static_cast<int64_t>(d.size()));
  }
  if (!status.ok()) return fail(status);
  return equal_to_exact_sums(c, a, b, d) ? kRight : kWrong;
}

}  // namespace

Outcome run_in_all_orders(const OrderCase& order_case, const std::string& templates, int seeds) {
  std::FILE* messages = std::tmpfile();
  const pid_t child = fork();
  if (child == 0) {
    dup2(fileno(messages), STDERR_FILENO);
    // A launch that does not end is a fault too, long before the test's own limit.
    setenv("NIBBLE_EMULATOR_LIMIT", "40000000", 1);
    setenv("NIBBLE_EMULATOR_CHECK", "order,tensor-fences,tensor-waits,uninitialized", 1);
    // Two clusters of four: each computes many tiles.
    setenv("NIBBLE_EMULATOR_MULTIPROCESSORS", "8", 1);
    setenv("NIBBLE_EMULATOR_SEED", "1", 1);
    setenv("NIBBLE_EMULATOR_SEEDS", std::to_string(seeds).c_str(), 1);
    const int code = multiply(order_case, templates);
    std::fflush(nullptr);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome outcome;
  outcome.ran = WIFEXITED(status) && WEXITSTATUS(status) != kFailed;
  outcome.right = outcome.ran && WEXITSTATUS(status) == kRight;
  std::rewind(messages);
  char line[512];
  while (std::fgets(line, sizeof line, messages) != nullptr) outcome.messages += line;
  std::fclose(messages);
  return outcome;
}

std::string templates_with(const std::vector<Edit>& edits, const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("nibble_templates_" + name);
  fs::remove_all(folder);
  for (const auto& embedded : templates::embedded_templates()) {
    std::string text(embedded.text);
    for (const Edit& edit : edits) {
      if (embedded.name != edit.file) continue;
      const size_t at = text.find(edit.from);
      if (at == std::string::npos || text.find(edit.from, at + 1) != std::string::npos) {
        ADD_FAILURE() << edit.file << " has not exactly one '" << edit.from << "'";
        continue;
      }
      text.replace(at, std::strlen(edit.from), edit.to);
    }
    const fs::path path = folder / embedded.name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  return folder.string();
}

}  // namespace nibble::test
