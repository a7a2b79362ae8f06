// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble make-checkpoint: a small checkpoint to try the other commands on, the same bytes on every
// machine.
#include <CLI/CLI.hpp>
#include <bit>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/cli/application.h"
#include "runtime/cli/safetensors.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

struct ModelShape {
  std::string output;
  int64_t layers = 2;
  int64_t hidden = 256;
  int64_t vocabulary = 1024;
  uint64_t seed = 1;
};

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // The sum of 12 uniform values less its mean: close to a standard normal value, and exact integer
  // arithmetic until the last step, so no mathematics library changes its bits.
  double normal() {
    int64_t sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<int64_t>(next() >> 32);
    return static_cast<double>(sum - (int64_t{6} << 32)) * 0x1p-32;
  }

 private:
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

uint16_t to_bf16(double value) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // nearest, ties to even
}

// The tensors of a small Llama.
std::vector<TensorInfo> list_tensors(const ModelShape& options) {
  const int64_t hidden = options.hidden;
  const int64_t inner = hidden * 3;
  const int64_t keys = hidden / 2;  // grouped queries
  std::vector<TensorInfo> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({name + ".weight", "BF16", std::move(shape)});
  };
  add("model.embed_tokens", {options.vocabulary, hidden});
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm", {hidden});
    add(prefix + "self_attn.q_proj", {hidden, hidden});
    add(prefix + "self_attn.k_proj", {keys, hidden});
    add(prefix + "self_attn.v_proj", {keys, hidden});
    add(prefix + "self_attn.o_proj", {hidden, hidden});
    add(prefix + "post_attention_layernorm", {hidden});
    add(prefix + "mlp.gate_proj", {inner, hidden});
    add(prefix + "mlp.up_proj", {inner, hidden});
    add(prefix + "mlp.down_proj", {hidden, inner});
  }
  add("model.norm", {hidden});
  add("lm_head", {options.vocabulary, hidden});
  return tensors;
}

Status write_checkpoint(const ModelShape& options) {
  const std::vector<TensorInfo> tensors = list_tensors(options);
  NIBBLE_TRY_ASSIGN(SafetensorsWriter writer,
                    SafetensorsWriter::create(options.output, tensors, {{"format", "pt"}}));
  Random random(options.seed);
  for (size_t index = 0; index < tensors.size(); ++index) {
    const bool norm = tensors[index].shape.size() == 1;
    int64_t count = 1;
    for (const int64_t extent : tensors[index].shape) count *= extent;
    std::vector<uint16_t> values(static_cast<size_t>(count));
    for (uint16_t& value : values) {
      value = to_bf16(norm ? 1 + 0.05 * random.normal() : 0.02 * random.normal());
    }
    NIBBLE_TRY(writer.write(index, 0, values.data(), values.size() * sizeof(uint16_t)));
  }
  return writer.commit();
}

Outcome make_checkpoint(const ModelShape& options, Session& session) {
  const Status status = write_checkpoint(options);
  if (!status.ok()) return failure(status);
  if (session.json) {
    const nlohmann::ordered_json json = {{"output", options.output},
                                         {"tensors", list_tensors(options).size()}};
    session.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else if (!session.quiet) {
    session.out << options.output << ": " << list_tensors(options).size() << " tensors\n";
  }
  return {};
}

}  // namespace

void add_make_checkpoint(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand(
      "make-checkpoint",
      "Write a small checkpoint (random weights of a Llama, bf16) to try things on");
  command->footer("Example:\n  nibble make-checkpoint -o tiny.safetensors");
  const auto options = std::make_shared<ModelShape>();
  command->add_option("-o,--output", options->output)->required();
  command->add_option("--layers", options->layers)->check(CLI::Range(1, 64))->capture_default_str();
  command->add_option("--hidden", options->hidden, "A multiple of 32")
      ->check(CLI::Range(32, 4096))
      ->check([](const std::string& text) {
        return std::stoll(text) % 32 == 0 ? std::string() : text + ": must be a multiple of 32";
      })
      ->capture_default_str();
  command->add_option("--seed", options->seed)->capture_default_str();
  command->callback([action, options] {
    *action = [options](Session& session) { return make_checkpoint(*options, session); };
  });
}

}  // namespace nibble::cli
