// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whole runs of nibble gemm on the emulator. Expected products are computed here, in double, from
// the inputs; bounds on the error are those of the formats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <tuple>

#include "nibble/context.hpp"
#include "runtime/cli/fidelity.h"
#include "runtime/cli/gemm_operand.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/safetensors.h"
#include "tests/cli/command.h"
#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

using Values = std::vector<float>;

Values random_values(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Values values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

void write_npy(const std::string& path, const std::vector<int64_t>& shape, const Values& values) {
  auto writer = NpyWriter::create(path, "<f4", shape);
  ASSERT_TRUE(writer.ok()) << writer.status().to_string();
  ASSERT_TRUE(writer->write(0, values.data(), values.size() * sizeof(float)).ok());
  ASSERT_TRUE(writer->commit().ok());
}

Values read_npy(const std::string& path) {
  const auto array = NpyFile::open(path);
  EXPECT_TRUE(array.ok()) << array.status().to_string();
  if (!array.ok() || array->type() != DataType::kF32) return {};
  Values values(static_cast<size_t>(array->rows() * array->columns()));
  EXPECT_TRUE(
      array->file().read(array->data_start(), values.data(), values.size() * sizeof(float)).ok());
  return values;
}

class Gemm : public testing::Test {
 protected:
  static constexpr int64_t kM = 40, kN = 24, kK = 80;

  void SetUp() override {
    ::setenv("NIBBLE_EMULATOR_LIBRARY", NIBBLE_EMULATOR_LIBRARY, 0);
    ::setenv("NIBBLE_CACHE_DIR", (folder_.path() + "/cache").c_str(), 1);
    ::setenv("NIBBLE_DEVICE", "emulator:sm_100a", 1);
    const auto context = Context::create();
    ASSERT_TRUE(context.ok()) << context.status().to_string();
    if (!context->compiler().available) GTEST_SKIP() << "no NVRTC: " << context->compiler().problem;
    write_npy(a_, {kM, kK}, a_values_);
    write_npy(b_, {kN, kK}, b_values_);
  }
  void TearDown() override {
    ::unsetenv("NIBBLE_DEVICE");
    ::unsetenv("NIBBLE_CACHE_DIR");
  }

  // Column n of row m of A x B^T, exact.
  double product(int64_t m, int64_t n) const {
    double sum = 0;
    for (int64_t k = 0; k < kK; ++k) {
      sum += double{a_values_[static_cast<size_t>(m * kK + k)]} *
             double{b_values_[static_cast<size_t>(n * kK + k)]};
    }
    return sum;
  }
  // |d - expected| / |expected| over all elements.
  template <class Expected>
  double relative_error(const Values& d, int64_t columns, const Expected& expected) const {
    EXPECT_EQ(d.size(), static_cast<size_t>(kM * columns));
    if (d.size() != static_cast<size_t>(kM * columns)) return INFINITY;
    double error = 0;
    double size = 0;
    for (int64_t m = 0; m < kM; ++m) {
      for (int64_t n = 0; n < columns; ++n) {
        const double value = expected(m, n);
        const double difference = double{d[static_cast<size_t>(m * columns + n)]} - value;
        error += difference * difference;
        size += value * value;
      }
    }
    return std::sqrt(error / size);
  }
  nlohmann::json run_json(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"gemm", a_, b_, "-o", d_, "--json"});
    const Ran ran = run_command(arguments);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return ran.json();
  }
  // The exit code and the one line on stderr.
  Ran run_plain(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"gemm", "--quiet"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_command(all);
  }

  TemporaryFolder folder_;
  std::string a_ = folder_.file("a.npy");
  std::string b_ = folder_.file("b.npy");
  std::string d_ = folder_.file("d.npy");
  Values a_values_ = random_values(kM * kK, 1);
  Values b_values_ = random_values(kN * kK, 2);
};

TEST_F(Gemm, EveryFormatIsAsCloseAsItsBits) {
  // Of normal random operands: about sqrt(2) times the error of one.
  const std::map<std::string, std::pair<double, double>> bounds{{"nvfp4", {0.08, 0.20}},
                                                                {"mxfp4", {0.10, 0.25}},
                                                                {"mxfp8", {0.02, 0.06}},
                                                                {"fp8", {0.02, 0.06}},
                                                                {"bf16", {0.0005, 0.005}}};
  for (const auto& [format, bound] : bounds) {
    for (const char* kernel : {"auto", "trusted"}) {
      const nlohmann::json report = run_json({"--format", format, "--kernel", kernel});
      const double error =
          relative_error(read_npy(d_), kN, [&](int64_t m, int64_t n) { return product(m, n); });
      EXPECT_GT(error, bound.first) << format;
      EXPECT_LT(error, bound.second) << format;
      EXPECT_NEAR(report["error"]["frobenius"].get<double>(), error, 1e-9 + 1e-6 * error);
      EXPECT_NEAR(report["error"]["snr_db"].get<double>(), -20 * std::log10(error), 1e-4);
      EXPECT_EQ(report["error"]["rows"], kM);
      const std::string label = report["kernel"];
      EXPECT_TRUE(label.starts_with(std::string(kernel) == "auto" ? "gemm " : "gemm_trusted "))
          << label;
      EXPECT_NE(label.find("format=" + format), std::string::npos) << label;
    }
  }
}

// Two bits of mantissa less the sign: errors of up to an eighth, twice those of E4M3.
TEST_F(Gemm, Fp8OperandsAreOfTwoTypes) {
  for (const char* a : {"e4m3", "e5m2"}) {
    for (const char* b : {"e4m3", "e5m2"}) {
      const nlohmann::json report = run_json({"--format", "fp8", "--a-fp8", a, "--b-fp8", b});
      const double error =
          relative_error(read_npy(d_), kN, [&](int64_t m, int64_t n) { return product(m, n); });
      const bool narrow = std::string(a) == "e4m3" && std::string(b) == "e4m3";
      EXPECT_GT(error, narrow ? 0.02 : 0.045) << a << b;
      EXPECT_LT(error, narrow ? 0.045 : 0.1) << a << b;
      const std::string label = report["kernel"];
      EXPECT_NE(label.find(std::string(" a_e5m2=") + (a[1] == '5' ? "1" : "0")), std::string::npos);
      EXPECT_NE(label.find(std::string(" b_e5m2=") + (b[1] == '5' ? "1" : "0")), std::string::npos);
    }
  }
  EXPECT_EQ(run_plain({a_, b_, "-o", d_, "--a-fp8", "e5m2"}).exit, 2);
}

TEST_F(Gemm, EpilogueIsAppliedInOrder) {
  const Values c = random_values(kM * kN, 3);
  const Values bias = random_values(kN, 4);
  write_npy(folder_.file("c.npy"), {kM, kN}, c);
  write_npy(folder_.file("bias.npy"), {kN}, bias);
  const nlohmann::json report =
      run_json({"--format", "bf16", "--alpha", "0.5", "--beta", "2", "--c", folder_.file("c.npy"),
                "--bias", folder_.file("bias.npy"), "--activation", "silu"});
  const auto expected = [&](int64_t m, int64_t n) {
    const double x = 0.5 * product(m, n) + 2 * double{c[static_cast<size_t>(m * kN + n)]} +
                     double{bias[static_cast<size_t>(n)]};
    return x / (1 + std::exp(-x));
  };
  const double error = relative_error(read_npy(d_), kN, expected);
  EXPECT_LT(error, 0.005);
  EXPECT_NEAR(report["error"]["frobenius"].get<double>(), error, 1e-6);
}

TEST_F(Gemm, ResidualIsAddedAfterTheActivation) {
  for (const bool gated : {false, true}) {
    const int64_t columns = gated ? kN / 2 : kN;
    const Values residual = random_values(kM * columns, 6);
    write_npy(folder_.file("residual.npy"), {kM, columns}, residual);
    std::vector<std::string> arguments{
        "--format", "bf16", "--residual", folder_.file("residual.npy"), "--activation", "relu"};
    if (gated) arguments.emplace_back("--gated");
    const nlohmann::json report = run_json(arguments);
    const auto expected = [&](int64_t m, int64_t n) {
      const double added = residual[static_cast<size_t>(m * columns + n)];
      if (!gated) return std::max(product(m, n), 0.0) + added;
      return std::max(product(m, 2 * n), 0.0) * product(m, 2 * n + 1) + added;
    };
    const double error = relative_error(read_npy(d_), columns, expected);
    EXPECT_LT(error, 0.01);
    EXPECT_NEAR(report["error"]["frobenius"].get<double>(), error, 1e-6);
  }
  const Ran wrong = run_plain({a_, b_, "-o", d_, "--residual", a_});
  EXPECT_NE(wrong.exit, 0);
  EXPECT_NE(wrong.err.find("a.npy is 40 x 80: must be 40 x 24"), std::string::npos) << wrong.err;
}

TEST_F(Gemm, ConfigurationIsTaken) {
  const nlohmann::json report = run_json({"--config", "tile_n=32,stages=3,scheduler=0"});
  const std::string label = report["kernel"];
  for (const char* part : {" tile_n=32 ", " stages=3 ", " scheduler=static"}) {
    EXPECT_NE(label.find(part), std::string::npos) << label;
  }
  const Ran wrong = run_plain({a_, b_, "-o", d_, "--config", "tile_n=256,epilogue_columns=8"});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_NE(wrong.err.find("epilogue_columns"), std::string::npos) << wrong.err;
}

TEST_F(Gemm, InspectShowsTheKernelOfARequest) {
  const Ran ran = run_command({"inspect", "gemm", "--m", "500", "--format", "fp8", "--a-fp8",
                               "e5m2", "--output", "nvfp4", "--activation", "silu", "--gated",
                               "--config", "cta_group=2,tile_n=128", "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const nlohmann::json kernel = ran.json();
  const std::string label = kernel["label"];
  for (const char* part : {"gemm sm_100a ", " format=fp8 a_e5m2=1 b_e5m2=0 output=nvfp4 ",
                           " activation=silu gated=1 ", " cta_group=2 tile_n=128 "}) {
    EXPECT_NE(label.find(part), std::string::npos) << label;
  }
  EXPECT_EQ(kernel["source"].get<std::string>().find("// " + label), 0U);
  EXPECT_NE(kernel["ptx"].get<std::string>().find("tcgen05.mma"), std::string::npos);
  EXPECT_EQ(kernel["key"].get<std::string>().size(), 32U);
  EXPECT_GT(kernel["resources"]["dynamic_shared_bytes"], 100000);
  EXPECT_LE(kernel["cubin_bytes"], 65536);
}

TEST_F(Gemm, GatedPairsHalveTheColumns) {
  const Values bias = random_values(kM, 5);
  write_npy(folder_.file("bias.npy"), {kM}, bias);
  const nlohmann::json report = run_json({"--format", "bf16", "--gated", "--activation", "relu",
                                          "--row-bias", folder_.file("bias.npy")});
  const auto expected = [&](int64_t m, int64_t n) {
    const double shift = bias[static_cast<size_t>(m)];
    return std::max(product(m, 2 * n) + shift, 0.0) * (product(m, 2 * n + 1) + shift);
  };
  const double error = relative_error(read_npy(d_), kN / 2, expected);
  EXPECT_LT(error, 0.01);
  EXPECT_NEAR(report["error"]["frobenius"].get<double>(), error, 1e-6);
}

TEST_F(Gemm, UserEpilogueRunsOnTheDevice) {
  write_file(folder_.file("clamp.cu"),
             "struct Epilogue {\n"
             "  float low, high;\n"
             "  __device__ float operator()(float x, long long row, long long column) const {\n"
             "    return fminf(fmaxf(x, low), high) + row * 100 + column;\n"
             "  }\n"
             "};\n");
  for (const char* kernel : {"auto", "trusted"}) {
    const nlohmann::json report = run_json({"--format", "bf16", "--kernel", kernel, "--epilogue",
                                            folder_.file("clamp.cu"), "--epilogue-arguments=-1,2"});
    EXPECT_TRUE(report["error"].is_null());
    EXPECT_NE(report["kernel"].get<std::string>().find(" user="), std::string::npos);
    const Values d = read_npy(d_);
    ASSERT_EQ(d.size(), static_cast<size_t>(kM * kN));
    for (int64_t m = 0; m < kM; ++m) {
      for (int64_t n = 0; n < kN; ++n) {
        const double expected =
            std::clamp(product(m, n), -1.0, 2.0) + static_cast<double>(m * 100 + n);
        EXPECT_NEAR(double{d[static_cast<size_t>(m * kN + n)]}, expected, 0.2) << m << ", " << n;
      }
    }
  }
  const std::vector<std::string> files{a_, b_, "-o", d_, "--epilogue", folder_.file("clamp.cu")};
  const Ran wrong = run_plain(files);
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_NE(wrong.err.find("= 0: must be sizeof(Epilogue) = 8"), std::string::npos) << wrong.err;

  write_file(folder_.file("clamp.cu"), "struct Epilogue {\n  int x\n};\n");
  const Ran broken = run_plain(files);
  EXPECT_EQ(broken.exit, 1);
  EXPECT_NE(broken.err.find("epilogue.cuh(3): error"), std::string::npos) << broken.err;
}

TEST_F(Gemm, OutputsAndInputsOfEveryType) {
  const std::string d = folder_.file("d.safetensors");
  for (const auto& [name, type, bytes] :
       {std::tuple("f32", "F32", 4), std::tuple("f16", "F16", 2), std::tuple("bf16", "BF16", 2)}) {
    const Ran ran = run_command({"gemm", a_, b_, "-o", d, "--format", "bf16", "--output", name});
    ASSERT_EQ(ran.exit, 0) << ran.err;
    EXPECT_NE(ran.out.find("SNR"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("says nothing about a GPU"), std::string::npos) << ran.out;
    const auto file = SafetensorsFile::open(d);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    ASSERT_EQ(file->tensors().size(), 1u);
    const TensorInfo& tensor = file->tensors().front();
    EXPECT_EQ(tensor.name, "D");
    EXPECT_EQ(tensor.type, type);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{kM, kN}));
    EXPECT_EQ(tensor.bytes, static_cast<uint64_t>(kM * kN * bytes));
    // What was written is read again, with and without its name: D x D^T.
    const Ran again = run_command({"gemm", d + ":D", d, "-o", d_, "--format", "bf16", "--json"});
    ASSERT_EQ(again.exit, 0) << again.err;
    EXPECT_LT(again.json()["error"]["frobenius"].get<double>(), 0.005);
  }
}

TEST_F(Gemm, RowsOfOddLengths) {
  for (const int64_t k : {1, 15, 17, 33}) {
    const Values a = random_values(3 * k, 6);
    const Values b = random_values(5 * k, 7);
    write_npy(a_, {3, k}, a);
    write_npy(b_, {5, k}, b);
    for (const char* format : {"nvfp4", "mxfp4", "mxfp8", "fp8", "bf16"}) {
      const nlohmann::json report = run_json({"--format", format});
      EXPECT_LT(report["error"]["frobenius"].get<double>(), 0.3) << format << " " << k;
      EXPECT_EQ(read_npy(d_).size(), 15u);
    }
  }
}

TEST_F(Gemm, WrongUsageIsRefusedBeforeAnythingIsDone) {
  const auto expect = [&](const std::vector<std::string>& arguments, int exit,
                          const std::string& text) {
    const Ran ran = run_plain(arguments);
    EXPECT_EQ(ran.exit, exit) << ran.err;
    EXPECT_NE(ran.err.find(text), std::string::npos) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(d_));
  };
  expect({}, 2, "two matrices");
  expect({a_}, 2, "two matrices");
  expect({a_, b_}, 2, "-o is required");
  expect({a_, b_, "-o", "d.txt"}, 2, ".npy or .safetensors");
  expect({a_, b_, "-o", d_, "--output", "bf16"}, 2, "NumPy has no bf16");
  expect({a_, b_, "-o", a_}, 2, "is an input");
  expect({a_, b_, "-o", d_, "--beta", "1"}, 2, "--beta and --c");
  expect({a_, b_, "-o", d_, "--bias", a_, "--row-bias", a_}, 2, "one of them");
  expect({a_, b_, "-o", d_, "--epilogue-arguments", "1"}, 2, "needs --epilogue");
  expect({a_, b_, "-o", d_, "--format", "int4"}, 2, "int4");
  expect({"--explain", "--m", "4"}, 2, "--m, --n and --k");
  expect({a_, b_, "-o", d_, "--m", "4"}, 2, "without files");
  const std::string missing = folder_.file("missing.npy");
  expect({a_, missing, "-o", d_}, 3, "missing.npy");
  expect({a_, b_, "-o", d_, "--epilogue", folder_.file("missing.cu")}, 3, "missing.cu");
  const std::string other = folder_.file("other.npy");
  write_npy(other, {2, kK + 1}, random_values(2 * (kK + 1), 1));
  expect({a_, other, "-o", d_}, 3, "as many columns");
  expect({a_, b_, "-o", d_, "--beta", "1", "--c", other}, 3, "must be 40 x 24");
  expect({a_, b_, "-o", d_, "--bias", other}, 3, "must have 24");
  Values values = random_values(2 * kK, 1);
  values[3] = NAN;
  write_npy(other, {2, kK}, values);
  expect({a_, other, "-o", d_}, 3, "1 elements are NaN");
  expect({a_, b_, "-o", d_, "--device", "none:sm_100a"}, 4, "no device");
  expect({a_, b_, "-o", d_, "--device", "emulator:sm_90a", "--kernel", "tensor"}, 4, "sm_90a");
}

TEST_F(Gemm, TargetsWithoutTensorCoresOfThatKindUseTheTrustedKernel) {
  const nlohmann::json report = run_json({"--device", "emulator:sm_90a"});
  EXPECT_TRUE(report["kernel"].get<std::string>().starts_with("gemm_trusted sm_90a"));
  EXPECT_LT(report["error"]["frobenius"].get<double>(), 0.2);
}

TEST_F(Gemm, ExplainsWithAndWithoutFiles) {
  const Ran ran = run_command({"gemm", "--explain", "--m", "4096", "--n", "4096", "--k", "4096",
                               "--output", "bf16", "--device", "none:sm_100a"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("tensor"), std::string::npos) << ran.out;
  EXPECT_TRUE(ran.out.ends_with("\n"));
  const nlohmann::json report = run_json({"--explain"});
  EXPECT_GT(report["explanation"]["config"]["tile_n"].get<int>(), 0);
  EXPECT_GT(report["explanation"]["microseconds"]["total"].get<double>(), 0);
  EXPECT_EQ(report["explanation"]["measured"], false);
  EXPECT_FALSE(report["error"].is_null());
}

// The nearest value of a list, the even one of two that are as near.
uint8_t nearest_e4m3(double value) {
  int best = 0;
  for (int code = 1; code < 0x7f; ++code) {
    const double distance = std::abs(std::abs(value) - decode_e4m3(static_cast<uint8_t>(code)));
    const double least = std::abs(std::abs(value) - decode_e4m3(static_cast<uint8_t>(best)));
    if (distance < least || (distance == least && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best | (std::signbit(value) ? 0x80 : 0));
}

TEST(GemmOperand, HostFormatsRoundToTheNearest) {
  HostMatrix matrix{1, 40, random_values(40, 8)};
  matrix.values[0] = 0;
  matrix.values[1] = -0.0F;
  matrix.values[2] = 1e-6F;
  const PackedMatrix fp8 = pack(OperandFormat::kFp8, matrix);
  EXPECT_EQ(fp8.row_stride, 48);
  float amax = 0;
  for (float value : matrix.values) amax = std::max(amax, std::abs(value));
  EXPECT_EQ(fp8.scale, static_cast<float>(amax / 448.0));
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(fp8.data[i], nearest_e4m3(double{matrix.values[i]} / double{fp8.scale})) << i;
  }
  const PackedMatrix mxfp8 = pack(OperandFormat::kMxfp8, matrix);
  EXPECT_EQ(mxfp8.scales.size(), 512u);
  for (size_t i = 0; i < 40; ++i) {
    const double scale = std::ldexp(1, mxfp8.scales[i / 32] - 127);
    EXPECT_EQ(mxfp8.data[i], nearest_e4m3(double{matrix.values[i]} / scale)) << i;
  }
  // No element of a block saturates, and half the scale would let one.
  for (size_t block = 0; block < 2; ++block) {
    float largest = 0;
    for (size_t i = 32 * block; i < std::min<size_t>(40, 32 * block + 32); ++i) {
      largest = std::max(largest, std::abs(matrix.values[i]));
    }
    const double scale = std::ldexp(1, mxfp8.scales[block] - 127);
    EXPECT_LE(double{largest}, 448 * scale);
    EXPECT_GT(double{largest}, 448 * scale / 2);
  }
}

}  // namespace
}  // namespace nibble::cli
