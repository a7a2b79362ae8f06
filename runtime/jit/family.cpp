// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/family.h"

#include "runtime/jit/user_source.h"

namespace nibble {

static_assert(kMaxConstants % 2 == 0, "the hash takes values two at a time");

uint64_t KernelSpec::hash() const {
  // FNV-1a over whole words: a few multiplications, no bytes of padding.
  uint64_t h = 0xcbf29ce484222325u;
  auto mix = [&](uint64_t word) { h = (h ^ word) * 0x100000001b3u; };
  mix(reinterpret_cast<uintptr_t>(family));
  mix(reinterpret_cast<uintptr_t>(arch));
  mix(reinterpret_cast<uintptr_t>(source));
  const size_t count = family == nullptr ? 0 : family->constants.size();
  for (size_t i = 0; i < count; i += 2) {
    mix(static_cast<uint32_t>(values[i]) |
        static_cast<uint64_t>(static_cast<uint32_t>(values[i + 1])) << 32);
  }
  return h ^ h >> 32;
}

KernelSpec default_spec(const Family& family, const Arch& arch) {
  KernelSpec spec{&family, &arch, {}};
  for (size_t i = 0; i < family.constants.size(); ++i) {
    const Constant& constant = family.constants[i];
    if (constant.origin == Constant::Origin::kTarget) {
      spec.values[i] = (arch.features & constant.feature) == constant.feature;
    } else {
      spec.values[i] = constant.values.front();
    }
  }
  return spec;
}

const Variant* find_variant(const KernelSpec& spec) {
  for (const Variant& variant : spec.family->variants) {
    if ((spec.arch->features & variant.features) == variant.features) return &variant;
  }
  return nullptr;
}

int dynamic_shared_bytes(const KernelSpec& spec) {
  return spec.family->dynamic_shared == nullptr ? 0 : spec.family->dynamic_shared(spec);
}

std::string label(const KernelSpec& spec) {
  std::string text(spec.family->name);
  text += ' ';
  text += spec.arch->name;
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    const Constant& constant = spec.family->constants[i];
    if (constant.origin == Constant::Origin::kTarget) continue;
    const auto value = static_cast<size_t>(spec.values[i]);
    text += ' ';
    text += constant.label;
    text += '=';
    text += value < constant.value_names.size() ? std::string(constant.value_names[value])
                                                : std::to_string(spec.values[i]);
  }
  if (spec.source != nullptr) text += " user=" + spec.source->digest.substr(0, 8);
  return text;
}

std::string render(const KernelSpec& spec) {
  const Family& family = *spec.family;
  std::string text = "// " + label(spec) + "\n";
  if (spec.source != nullptr) text += "#include \"" + std::string(kUserSourceName) + "\"\n";
  text += "struct Config {\n  enum : int {\n";
  for (size_t i = 0; i < family.constants.size(); ++i) {
    text += "    " + std::string(family.constants[i].name) + " = " +
            std::to_string(spec.values[i]) + ",\n";
  }
  if (family.takes_epilogue) {
    const bool user = spec.source != nullptr;
    text += "    kUser = " + std::string(user ? "1" : "0") + ",\n";
  }
  text += "  };\n";
  if (spec.source != nullptr) text += "  using Epilogue = ::Epilogue;\n";
  text += "};\n#include \"" + std::string(find_variant(spec)->include) + "\"\n";
  // 1: registers are not spared for more thread blocks on an SM; of the multiplications one fills
  // its shared memory, the other would spill.
  const char* blocks = family.takes_epilogue ? ", 1" : "";
  text += "extern \"C\" __global__ __launch_bounds__(" + std::string(family.launch_bounds) +
          blocks + ") void kernel(\n";
  text += "    const __grid_constant__ nibble::" + std::string(family.params_type) + " params) {\n";
  text += "  nibble::" + std::string(family.name) + "<Config>(params);\n}\n";
  return text;
}

}  // namespace nibble
