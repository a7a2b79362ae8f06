// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace nibble::cli {
namespace {

using Json = nlohmann::json;

TensorInfo tensor(const std::string& name, std::vector<int64_t> shape = {64, 64},
                  const std::string& type = "BF16") {
  TensorInfo info{name, type, std::move(shape)};
  info.bytes = tensor_bytes(info.type, info.shape).value();
  return info;
}

TEST(Checkpoint, DecidesByNameShapeAndType) {
  const Selector selector = Selector::create({}, {}).value();
  const char* quantized[] = {
      "model.layers.0.self_attn.q_proj.weight",
      "model.layers.10.mlp.gate_proj.weight",
      "model.layers.1.mlp.experts.7.down_proj.weight",
      "encoder.layer.0.attention.self.query.weight",
      "encoder.layer.0.attention.output.dense.weight",
      "encoder.layer.0.intermediate.dense.weight",
      "encoder.layer.0.output.dense.weight",
      "layers.0.feed_forward.w1.weight",
      "a.weight",
  };
  for (const char* name : quantized) {
    EXPECT_TRUE(selector.decide(tensor(name)).quantize)
        << name << ": " << selector.decide(tensor(name)).reason;
  }
  const struct {
    const char* name;
    const char* reason;
  } copied[] = {
      {"embeddings.word_embeddings.weight", "an embedding"},
      {"embeddings.token_type_embeddings.weight", "an embedding"},
      {"model.embed_tokens.weight", "an embedding"},
      {"transformer.wte.weight", "an embedding"},
      {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "an embedding"},
      {"lm_head.weight", "an output head"},
      {"output.weight", "an output head"},
      {"classifier.weight", "an output head"},
      {"pooler.dense.weight", "an output head"},
      {"encoder.layer.0.output.LayerNorm.weight", "a norm"},
      {"model.layers.0.mlp.gate.weight", "a router"},
      {"model.layers.0.block_sparse_moe.gate.weight", "a router"},
      {"model.layers.0.mlp.shared_expert_gate.weight", "a router"},
      {"model.vision_tower.layers.0.mlp.fc1.weight", "of a vision tower"},
      {"model.layers.0.linear_attn.conv1d.weight", "a convolution"},
      {"weight", "not named *.weight"},
      {".weight", "not named *.weight"},
      {"model.layers.0.mlp.up_proj.bias", "not named *.weight"},
  };
  for (const auto& [name, reason] : copied) {
    EXPECT_FALSE(selector.decide(tensor(name)).quantize) << name;
    EXPECT_EQ(selector.decide(tensor(name)).reason, reason) << name;
  }
  EXPECT_EQ(selector.decide(tensor("a.weight", {64})).reason, "not a matrix");
  EXPECT_EQ(selector.decide(tensor("a.weight", {2, 64, 64})).reason, "not a matrix");
  EXPECT_EQ(selector.decide(tensor("a.weight", {64, 24})).reason, "columns are no multiple of 16");
  EXPECT_EQ(selector.decide(tensor("a.weight", {0, 64})).reason, "no elements");
  EXPECT_EQ(selector.decide(tensor("a.weight", {64, 64}, "F64")).reason, "type F64");
  EXPECT_EQ(selector.decide(tensor("a.weight", {64, 64}, "U8")).reason, "type U8");
  EXPECT_TRUE(selector.decide(tensor("a.weight", {64, 64}, "F16")).quantize);
  EXPECT_TRUE(selector.decide(tensor("a.weight", {64, 64}, "F32")).quantize);
  EXPECT_FALSE(selector.decide(tensor(std::string(100000, 'a') + ".weight")).quantize);
}

TEST(Checkpoint, IncludeOverridesNamesAndExcludeOverridesAll) {
  const Selector selector = Selector::create({"lm_head"}, {"layers\\.0\\.", "^b"}).value();
  EXPECT_TRUE(selector.decide(tensor("lm_head.weight")).quantize);
  EXPECT_FALSE(selector.decide(tensor("lm_head.weight", {64, 24})).quantize);
  EXPECT_EQ(selector.decide(tensor("model.layers.0.up_proj.weight")).reason, "excluded");
  EXPECT_TRUE(selector.decide(tensor("model.layers.10.up_proj.weight")).quantize);
  EXPECT_EQ(selector.decide(tensor("b.lm_head.weight")).reason, "excluded");
  const auto bad = Selector::create({}, {"(a"});
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("(a"), std::string_view::npos);
}

TEST(Checkpoint, GroupsWhatLoadersFuse) {
  const std::string a = "model.layers.0.self_attn.";
  EXPECT_EQ(fusion_group(a + "q_proj.weight"), fusion_group(a + "k_proj.weight"));
  EXPECT_EQ(fusion_group(a + "q_proj.weight"), fusion_group(a + "v_proj.weight"));
  EXPECT_NE(fusion_group(a + "q_proj.weight"), fusion_group(a + "o_proj.weight"));
  EXPECT_NE(fusion_group(a + "q_proj.weight"),
            fusion_group("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_EQ(fusion_group("m.gate_proj.weight"), fusion_group("m.up_proj.weight"));
  EXPECT_NE(fusion_group("m.gate_proj.weight"), fusion_group("m.down_proj.weight"));
  EXPECT_EQ(fusion_group("e.3.w1.weight"), fusion_group("e.3.w3.weight"));
  EXPECT_NE(fusion_group("e.3.w1.weight"), fusion_group("e.4.w1.weight"));
  EXPECT_EQ(fusion_group("s.query.weight"), fusion_group("s.value.weight"));
  EXPECT_EQ(fusion_group("q_proj.weight"), fusion_group("k_proj.weight"));
}

TEST(Checkpoint, NamesTheThreeTensors) {
  const auto modelopt = quantized_tensors(CheckpointFormat::kModelOpt, tensor("a.weight", {6, 32}));
  ASSERT_EQ(modelopt.size(), 3U);
  EXPECT_EQ(modelopt[0].name, "a.weight");
  EXPECT_EQ(modelopt[0].type, "U8");
  EXPECT_EQ(modelopt[0].shape, (std::vector<int64_t>{6, 16}));
  EXPECT_EQ(modelopt[1].name, "a.weight_scale");
  EXPECT_EQ(modelopt[1].type, "F8_E4M3");
  EXPECT_EQ(modelopt[1].shape, (std::vector<int64_t>{6, 2}));
  EXPECT_EQ(modelopt[2].name, "a.weight_scale_2");
  EXPECT_EQ(modelopt[2].type, "F32");
  EXPECT_TRUE(modelopt[2].shape.empty());
  const auto compressed =
      quantized_tensors(CheckpointFormat::kCompressedTensors, tensor("a.weight", {6, 32}));
  EXPECT_EQ(compressed[0].name, "a.weight_packed");
  EXPECT_EQ(compressed[1].name, "a.weight_scale");
  EXPECT_EQ(compressed[2].name, "a.weight_global_scale");
  EXPECT_EQ(compressed[2].shape, std::vector<int64_t>{1});
}

TEST(Checkpoint, TensorScales) {
  EXPECT_EQ(tensor_scale(CheckpointFormat::kModelOpt, BlockScaling::kLargest, 2688), 1);
  EXPECT_EQ(tensor_scale(CheckpointFormat::kModelOpt, BlockScaling::kLargest, 5376), 2);
  EXPECT_EQ(tensor_scale(CheckpointFormat::kCompressedTensors, BlockScaling::kLargest, 5376), 0.5);
  EXPECT_EQ(tensor_scale(CheckpointFormat::kModelOpt, BlockScaling::kFourOverSix, 3072), 2);
  EXPECT_EQ(tensor_scale(CheckpointFormat::kModelOpt, BlockScaling::kLargest, 0), 1);
  EXPECT_EQ(tensor_scale(CheckpointFormat::kCompressedTensors, BlockScaling::kLargest, 0), 1);
  EXPECT_TRUE(std::isfinite(
      tensor_scale(CheckpointFormat::kCompressedTensors, BlockScaling::kLargest, 1e-44F)));
}

TEST(Checkpoint, WritesConfigurationsThatLoadersRead) {
  const Json legacy = Json::parse(hf_quant_config("NVFP4", {"lm_head"}));
  EXPECT_EQ(legacy["producer"]["name"], "modelopt");
  const Json expected = {{"quant_algo", "NVFP4"},
                         {"kv_cache_quant_algo", nullptr},
                         {"group_size", 16},
                         {"exclude_modules", {"lm_head"}}};
  EXPECT_EQ(legacy["quantization"], expected);

  const Json modelopt =
      Json::parse(quantization_config(CheckpointFormat::kModelOpt, "W4A16_NVFP4", {"lm_head"}));
  EXPECT_EQ(modelopt["quant_method"], "modelopt");
  EXPECT_EQ(modelopt["quant_algo"], "W4A16_NVFP4");
  EXPECT_EQ(modelopt["ignore"], Json::array({"lm_head"}));
  EXPECT_TRUE(modelopt["config_groups"]["group_0"]["input_activations"].is_null());

  const Json compressed =
      Json::parse(quantization_config(CheckpointFormat::kCompressedTensors, "", {"lm_head"}));
  EXPECT_EQ(compressed["quant_method"], "compressed-tensors");
  EXPECT_EQ(compressed["format"], "nvfp4-pack-quantized");
  EXPECT_EQ(compressed["config_groups"]["group_0"]["weights"]["strategy"], "tensor_group");
  EXPECT_EQ(compressed["config_groups"]["group_0"]["weights"]["group_size"], 16);
  EXPECT_EQ(compressed["config_groups"]["group_0"]["targets"], Json::array({"Linear"}));
}

}  // namespace
}  // namespace nibble::cli
