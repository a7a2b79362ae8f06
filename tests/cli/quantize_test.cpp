// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whole runs of nibble quantize on the emulator.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "runtime/cli/fidelity.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/quantizer.h"
#include "runtime/cli/safetensors.h"
#include "tests/cli/command.h"
#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

struct Loaded {
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> bytes;
  std::map<std::string, std::string> metadata;
};

Loaded load(const std::string& path) {
  Loaded loaded;
  const auto file = SafetensorsFile::open(path);
  EXPECT_TRUE(file.ok()) << file.status().to_string();
  if (!file.ok()) return loaded;
  loaded.metadata = file->metadata();
  for (const TensorInfo& tensor : file->tensors()) {
    std::string bytes(tensor.bytes, '\0');
    EXPECT_TRUE(file->file().read(file->position(tensor), bytes.data(), bytes.size()).ok());
    loaded.tensors[tensor.name] = tensor;
    loaded.bytes[tensor.name] = bytes;
  }
  return loaded;
}

float scalar(const Loaded& loaded, const std::string& name) {
  float value = 0;
  EXPECT_EQ(loaded.bytes.at(name).size(), sizeof(value)) << name;
  std::memcpy(&value, loaded.bytes.at(name).data(), sizeof(value));
  return value;
}

// The values of a bf16 tensor.
std::vector<double> originals(const Loaded& loaded, const std::string& name) {
  const std::string& bytes = loaded.bytes.at(name);
  std::vector<double> values(bytes.size() / 2);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = std::bit_cast<float>(uint32_t{bits} << 16);
  }
  return values;
}

// As a loader decodes: the magnitudes in a list, the scale by its fields.
double decoded(const std::string& codes, const std::string& scales, double tensor_scale, size_t i) {
  static constexpr double kMagnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const unsigned byte = static_cast<unsigned char>(codes[i / 2]);
  const unsigned code = i % 2 == 0 ? byte & 15 : byte >> 4;
  const unsigned scale = static_cast<unsigned char>(scales[i / 16]);
  const unsigned exponent = scale >> 3;
  const double block = exponent == 0
                           ? (scale & 7) / 512.0
                           : (8.0 + (scale & 7)) * std::pow(2.0, static_cast<int>(exponent) - 10);
  return (code < 8 ? 1 : -1) * kMagnitudes[code & 7] * block * tensor_scale;
}

double snr_of(const Loaded& before, const Loaded& after, const std::string& module,
              const std::string& codes, double tensor_scale) {
  const std::vector<double> x = originals(before, module + ".weight");
  double signal = 0;
  double noise = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double y = decoded(after.bytes.at(module + codes),
                             after.bytes.at(module + ".weight_scale"), tensor_scale, i);
    signal += x[i] * x[i];
    noise += (x[i] - y) * (x[i] - y);
  }
  return 10 * std::log10(signal / noise);
}

class Quantize : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("NIBBLE_EMULATOR_LIBRARY", NIBBLE_EMULATOR_LIBRARY, 0);
    ::setenv("NIBBLE_CACHE_DIR", (folder_.path() + "/cache").c_str(), 1);
    ::setenv("NIBBLE_DEVICE", "emulator:sm_100a", 1);
    const auto context = Context::create();
    ASSERT_TRUE(context.ok()) << context.status().to_string();
    if (!context->compiler().available) GTEST_SKIP() << "no NVRTC: " << context->compiler().problem;
    const Ran made =
        run_command({"make-checkpoint", "-o", input_, "--hidden", "64", "--layers", "2"});
    ASSERT_EQ(made.exit, 0) << made.err;
  }
  void TearDown() override {
    ::unsetenv("NIBBLE_DEVICE");
    ::unsetenv("NIBBLE_CACHE_DIR");
  }

  TemporaryFolder folder_;
  std::string input_ = folder_.file("in.safetensors");
  std::string output_ = folder_.file("out.safetensors");
};

TEST_F(Quantize, ModelOptCheckpoint) {
  const Ran ran = run_command({"quantize", input_, "-o", output_, "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const Loaded before = load(input_);
  const Loaded after = load(output_);
  const nlohmann::json report = ran.json();
  ASSERT_TRUE(report.is_object()) << ran.out;
  EXPECT_EQ(report["totals"]["quantized"], 14);
  EXPECT_EQ(report["device"]["target"], "sm_100a");
  EXPECT_EQ(report["tensors"].size(), before.tensors.size());
  EXPECT_EQ(report["totals"]["file_bytes_after"], std::filesystem::file_size(output_));
  EXPECT_EQ(after.metadata.at("format"), "pt");
  EXPECT_TRUE(nlohmann::json::parse(after.metadata.at("quantization_config")).is_object());

  for (const auto& tensor : report["tensors"]) {
    const std::string name = tensor["name"];
    if (!tensor["quantized"]) {
      EXPECT_EQ(before.bytes.at(name), after.bytes.at(name)) << name;
      continue;
    }
    const std::string module = name.substr(0, name.size() - 7);
    const double snr =
        snr_of(before, after, module, ".weight", scalar(after, module + ".weight_scale_2"));
    EXPECT_NEAR(tensor["snr_db"].get<double>(), snr, 1e-6) << name;
    EXPECT_GT(snr, 18) << name;  // gaussian values in NVFP4: about 20 dB
    EXPECT_LT(snr, 24) << name;
  }
  const std::string layer = "model.layers.0.";
  const float q = scalar(after, layer + "self_attn.q_proj.weight_scale_2");
  EXPECT_EQ(q, scalar(after, layer + "self_attn.k_proj.weight_scale_2"));
  EXPECT_EQ(q, scalar(after, layer + "self_attn.v_proj.weight_scale_2"));
  EXPECT_NE(q, scalar(after, layer + "self_attn.o_proj.weight_scale_2"));
  double largest = 0;
  for (const char* part : {"q", "k", "v"}) {
    for (const double x : originals(before, layer + "self_attn." + part + "_proj.weight")) {
      largest = std::max(largest, std::abs(x));
    }
  }
  EXPECT_EQ(q, static_cast<float>(largest) / 2688.0F);
}

TEST_F(Quantize, FourOverSixLosesLess) {
  const std::string other = folder_.file("four_over_six.safetensors");
  ASSERT_EQ(run_command({"quantize", input_, "-o", output_, "--quiet"}).exit, 0);
  const Ran ran = run_command({"quantize", input_, "-o", other, "--four-over-six", "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const Loaded before = load(input_);
  const Loaded plain = load(output_);
  const Loaded chosen = load(other);
  const nlohmann::json report = ran.json();
  for (const auto& tensor : report["tensors"]) {
    if (!tensor["quantized"]) continue;
    const std::string name = tensor["name"];
    const std::string module = name.substr(0, name.size() - 7);
    const float scale = scalar(chosen, module + ".weight_scale_2");
    EXPECT_FLOAT_EQ(scale, scalar(plain, module + ".weight_scale_2") * 1.75F);
    const double snr = snr_of(before, chosen, module, ".weight", scale);
    EXPECT_NEAR(tensor["snr_db"].get<double>(), snr, 1e-6) << name;
    EXPECT_GT(snr,
              snr_of(before, plain, module, ".weight", scalar(plain, module + ".weight_scale_2")))
        << name;
  }
}

TEST_F(Quantize, CompressedTensorsDecodesToTheSame) {
  const std::string other = folder_.file("ct.safetensors");
  const std::string config = folder_.file("config.json");
  ASSERT_EQ(run_command({"quantize", input_, "-o", output_, "--quiet"}).exit, 0);
  const Ran ran = run_command(
      {"quantize", input_, "-o", other, "--format", "compressed-tensors", "--config", config});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("14 of 21 tensors quantised"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("an output head"), std::string::npos) << ran.out;
  const Loaded modelopt = load(output_);
  const Loaded compressed = load(other);
  const std::string module = "model.layers.1.mlp.down_proj";
  EXPECT_EQ(modelopt.bytes.at(module + ".weight"), compressed.bytes.at(module + ".weight_packed"));
  EXPECT_EQ(modelopt.bytes.at(module + ".weight_scale"),
            compressed.bytes.at(module + ".weight_scale"));
  EXPECT_NEAR(scalar(modelopt, module + ".weight_scale_2") *
                  scalar(compressed, module + ".weight_global_scale"),
              1, 1e-6);
  EXPECT_EQ(nlohmann::json::parse(read_file(config))["format"], "nvfp4-pack-quantized");
}

TEST_F(Quantize, ExcludedAndSplitGroups) {
  const Ran ran = run_command(
      {"quantize", input_, "-o", output_, "--json", "--exclude", "k_proj", "--include", "lm_head"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.err.find("only a part of model.layers.0.self_attn.qkv"), std::string::npos);
  EXPECT_EQ(ran.json()["totals"]["quantized"], 13);
  const Loaded after = load(output_);
  EXPECT_EQ(after.tensors.at("model.layers.0.self_attn.k_proj.weight").type, "BF16");
  EXPECT_EQ(after.tensors.at("lm_head.weight").type, "U8");
  const Ran none = run_command({"quantize", input_, "-o", folder_.file("none"), "--exclude", "."});
  EXPECT_EQ(none.exit, 3);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("none")));
  const Ran again =
      run_command({"quantize", output_, "-o", folder_.file("again"), "--include", "k_proj"});
  EXPECT_EQ(again.exit, 0) << "the k_proj left over can be quantised later: " << again.err;
}

TEST_F(Quantize, NotFiniteWeightsFailAndLeaveTheOldOutput) {
  std::string bytes = read_file(input_);
  const auto file = SafetensorsFile::open(input_);
  ASSERT_TRUE(file.ok());
  for (const TensorInfo& tensor : file->tensors()) {
    if (tensor.name != "model.layers.1.mlp.up_proj.weight") continue;
    bytes.replace(file->position(tensor) + 10, 2, "\xc0\x7f");  // a bf16 NaN
  }
  write_file(input_, bytes);
  write_file(output_, "old");
  const Ran ran = run_command({"quantize", input_, "-o", output_});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_NE(ran.err.find("model.layers.1.mlp.up_proj.weight"), std::string::npos) << ran.err;
  EXPECT_EQ(read_file(output_), "old");
  for (const std::string& name : folder_.names()) {
    EXPECT_EQ(name.find("out.safetensors."), std::string::npos) << "left behind: " << name;
  }
}

TEST_F(Quantize, FolderWithShardsAndConfiguration) {
  const std::string model = folder_.file("model");
  const std::string result = folder_.file("model-nvfp4");
  std::filesystem::create_directory(model);
  ASSERT_EQ(run_command({"make-checkpoint", "-o", model + "/a.safetensors", "--hidden", "32",
                         "--layers", "1"})
                .exit,
            0);
  // A second shard whose names differ: one matrix, one vector.
  auto shard = SafetensorsWriter::create(model + "/b.safetensors",
                                         {{"model.layers.1.mlp.down_proj.weight", "F32", {4, 32}},
                                          {"model.layers.1.norm.weight", "F32", {4}}},
                                         {});
  ASSERT_TRUE(shard.ok());
  const std::vector<float> values(128, 1.5F);
  ASSERT_TRUE(shard->write(0, 0, values.data(), 512).ok());
  ASSERT_TRUE(shard->write(1, 0, values.data(), 16).ok());
  ASSERT_TRUE(shard->commit().ok());
  nlohmann::json map;
  for (const char* name : {"a.safetensors", "b.safetensors"}) {
    for (const auto& [tensor, info] : load(model + "/" + name).tensors) map[tensor] = name;
  }
  write_file(model + "/model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  write_file(model + "/config.json", R"({"model_type":"llama"})");
  write_file(model + "/tokenizer.txt", "words");

  const Ran ran =
      run_command({"quantize", model + "/model.safetensors.index.json", "-o", result, "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(read_file(result + "/tokenizer.txt"), "words");
  const auto config = nlohmann::json::parse(read_file(result + "/config.json"));
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["quantization_config"]["quant_algo"], "W4A16_NVFP4");
  const auto legacy = nlohmann::json::parse(read_file(result + "/hf_quant_config.json"));
  EXPECT_EQ(legacy["quantization"]["exclude_modules"],
            nlohmann::json::array({"model.embed_tokens", "lm_head"}));
  const auto index = nlohmann::json::parse(read_file(result + "/model.safetensors.index.json"));
  size_t tensors = 0;
  for (const char* name : {"a.safetensors", "b.safetensors"}) {
    for (const auto& [tensor, info] : load(result + "/" + name).tensors) {
      EXPECT_EQ(index["weight_map"][tensor], name) << tensor;
      ++tensors;
    }
  }
  EXPECT_EQ(index["weight_map"].size(), tensors);
  // 1.5 everywhere: its own amax, so every value is exact.
  const nlohmann::json report = ran.json();
  for (const auto& tensor : report.at("tensors")) {
    if (tensor["name"] == "model.layers.1.mlp.down_proj.weight") {
      EXPECT_LT(tensor["largest_error"], 1e-6);
    }
  }
}

TEST_F(Quantize, ArraysOfAnyWidth) {
  const std::string array = folder_.file("x.npy");
  auto writer = NpyWriter::create(array, "<f4", {3, 20});
  ASSERT_TRUE(writer.ok());
  std::vector<float> values(60);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 30;
  ASSERT_TRUE(writer->write(0, values.data(), 240).ok());
  ASSERT_TRUE(writer->commit().ok());
  const Ran ran = run_command({"quantize", array, "-o", folder_.file("y"), "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const std::string codes = read_file(folder_.file("y.codes.npy"));
  const std::string scales = read_file(folder_.file("y.scales.npy"));
  const std::string scale = read_file(folder_.file("y.tensor_scale.npy"));
  EXPECT_NE(codes.find("(3,16,)"), std::string::npos);
  EXPECT_NE(scales.find("(3,2,)"), std::string::npos);
  EXPECT_NE(scale.find("'shape': ()"), std::string::npos);
  float tensor_scale = 0;
  std::memcpy(&tensor_scale, scale.data() + scale.size() - 4, 4);
  EXPECT_EQ(tensor_scale, 30.0F / 2688.0F);
  const std::string code_bytes = codes.substr(codes.size() - 48);
  const std::string scale_bytes = scales.substr(scales.size() - 6);
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 32; ++column) {
      const double y = decoded(code_bytes, scale_bytes, tensor_scale, row * 32 + column);
      const double x = column < 20 ? values[row * 20 + column] : 0;
      EXPECT_NEAR(y, x, 30.0 / 6 * 1.1) << row << "," << column;  // half a step at most
    }
  }
  EXPECT_EQ(run_command({"quantize", array, "-o", folder_.file("y.safetensors")}).exit, 3);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("y.safetensors")));
}

TEST_F(Quantize, ChunksDoNotShow) {
  const auto file = SafetensorsFile::open(input_);
  ASSERT_TRUE(file.ok());
  const auto context = Context::create();
  ASSERT_TRUE(context.ok());
  const TensorInfo& tensor = *std::find_if(
      file->tensors().begin(), file->tensors().end(),
      [](const TensorInfo& t) { return t.name == "model.layers.0.mlp.down_proj.weight"; });
  const MatrixInFile matrix{&file->file(), file->position(tensor), DataType::kBf16, tensor.shape[0],
                            tensor.shape[1]};
  std::vector<std::string> results;
  for (const int64_t chunk_bytes : {int64_t{1} << 20, int64_t{1}, matrix.row_bytes() * 7 + 1}) {
    Quantizer quantizer(*context, BlockScaling::kLargest, chunk_bytes);
    const auto amax = quantizer.amax(matrix);
    ASSERT_TRUE(amax.ok()) << amax.status().to_string();
    std::string result(reinterpret_cast<const char*>(&amax.value()), sizeof(float));
    int64_t next = 0;
    int64_t advanced = 0;
    const auto fidelity = quantizer.quantize(
        matrix, *amax, *amax / 2688,
        [&](const QuantizedRows& rows) -> Status {
          EXPECT_EQ(rows.first_row, next);
          next += rows.rows;
          result.append(reinterpret_cast<const char*>(rows.codes),
                        static_cast<size_t>(rows.rows * matrix.columns / 2));
          return {};
        },
        [&](int64_t bytes) { advanced += bytes; });
    ASSERT_TRUE(fidelity.ok()) << fidelity.status().to_string();
    EXPECT_EQ(next, matrix.rows);
    EXPECT_EQ(advanced, matrix.rows * matrix.row_bytes());
    results.push_back(result);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_F(Quantize, InfoAndInspectAsJson) {
  const Ran info = run_command({"info", "--json"});
  ASSERT_EQ(info.exit, 0) << info.err;
  EXPECT_EQ(info.json()["device"]["emulated"], true);
  EXPECT_EQ(info.json()["device"]["target"], "sm_100a");
  EXPECT_EQ(info.json()["cache"]["directory"], folder_.path() + "/cache");
  for (const char* family : {"amax", "quantize", "dequantize"}) {
    const Ran ran = run_command({"inspect", family, "--target", "sm_120a", "--json"});
    ASSERT_EQ(ran.exit, 0) << ran.err;
    EXPECT_NE(ran.json()["ptx"].get<std::string>().find(".target sm_120a"), std::string::npos);
    EXPECT_EQ(ran.json()["source"].get<std::string>().find("// " +
                                                           ran.json()["label"].get<std::string>()),
              0U);
    EXPECT_GT(ran.json()["resources"]["registers"], 0);
  }
  const Ran source = run_command({"inspect", "quantize", "--source"});
  EXPECT_EQ(source.out.substr(0, 12), "// quantize ");
}

}  // namespace
}  // namespace nibble::cli
