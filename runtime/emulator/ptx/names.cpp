// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Names: fixed ones (types, special registers) and those that the text declares, scope by scope.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

struct TypeName {
  std::string_view word;
  Type type;
};

constexpr TypeName kTypes[] = {
    {".pred", Type::kPred},   {".b8", Type::kB8},     {".b16", Type::kB16},
    {".b32", Type::kB32},     {".b64", Type::kB64},   {".b128", Type::kB128},
    {".u8", Type::kU8},       {".u16", Type::kU16},   {".u32", Type::kU32},
    {".u64", Type::kU64},     {".s8", Type::kS8},     {".s16", Type::kS16},
    {".s32", Type::kS32},     {".s64", Type::kS64},   {".f16", Type::kF16},
    {".f16x2", Type::kF16x2}, {".bf16", Type::kBf16}, {".bf16x2", Type::kBf16x2},
    {".f32", Type::kF32},     {".f64", Type::kF64},   {".e4m3", Type::kE4m3},
    {".e5m2", Type::kE5m2},
};

// Special registers with components x, y, z and w.
constexpr std::string_view kVectorSpecials[] = {
    "%tid",       "%ntid",       "%ctaid",         "%nctaid",
    "%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid",
};

constexpr std::string_view kScalarSpecials[] = {
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%gridid",
    "%is_explicit_cluster",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%clock",
    "%clock_hi",
    "%clock64",
    "%globaltimer",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%reserved_smem_offset_begin",
    "%reserved_smem_offset_end",
    "%reserved_smem_offset_cap",
    "%reserved_smem_offset_0",
    "%reserved_smem_offset_1",
    "%total_smem_size",
    "%aggr_smem_size",
    "%dynamic_smem_size",
    "%current_graph_exec",
};

bool contains(auto& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// The number in `text`, decimal without leading zeros.
std::optional<uint32_t> decimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_numbered(std::string_view name, std::string_view prefix, std::string_view suffix,
                 uint32_t count) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  const std::optional<uint32_t> number = decimal(name);
  return number && *number < count;
}

}  // namespace

std::optional<Type> type_of(std::string_view word) {
  for (const TypeName& entry : kTypes) {
    if (entry.word == word) return entry.type;
  }
  return std::nullopt;
}

bool is_special_register(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const std::string_view component = name.substr(dot);
    return (component == ".x" || component == ".y" || component == ".z" || component == ".w") &&
           contains(kVectorSpecials, name.substr(0, dot));
  }
  return contains(kVectorSpecials, name) || contains(kScalarSpecials, name) ||
         is_numbered(name, "%envreg", "", 32) || is_numbered(name, "%pm", "", 8) ||
         is_numbered(name, "%pm", "_64", 8);
}

std::optional<Meaning> Parser::find_name(std::string_view name) const {
  size_t prefix = name.size();
  while (prefix > 0 && name[prefix - 1] >= '0' && name[prefix - 1] <= '9') --prefix;
  const std::optional<uint32_t> number = decimal(name.substr(prefix));
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto found = scope->names.find(name); found != scope->names.end()) {
      return found->second;
    }
    if (!number) continue;
    const auto range = scope->ranges.find(name.substr(0, prefix));
    if (range != scope->ranges.end() && *number < range->second.count) {
      Meaning meaning;
      meaning.type = range->second.type;
      meaning.components = range->second.components;
      meaning.index = range->second.first + *number * range->second.components;
      return meaning;
    }
  }
  const auto found = module_names_.find(name);
  if (found == module_names_.end()) return std::nullopt;
  return found->second;
}

void Parser::declare(const Token& name, const Meaning& meaning) {
  auto& names = scopes_.empty() ? module_names_ : scopes_.back().names;
  Meaning entry = meaning;
  entry.line = name.line;
  const auto [existing, inserted] = names.emplace(name.text, entry);
  if (!inserted) {
    fail_at(name, describe(name) + " is already declared in this scope, on line " +
                      std::to_string(existing->second.line));
  }
}

// `name` itself where no other variable in sight of the function has it, else `name#2` and so on,
// which PTX cannot spell.
std::string_view Parser::unique_name(std::string_view name, Space space) {
  std::string_view unique = name;
  const bool is_static =
      space == Space::kShared || space == Space::kGlobal || space == Space::kConst;
  if (used_names_.contains(name) || module_names_.contains(name) ||
      (is_static && static_names_.contains(name))) {
    made_names_.push_back(std::string(name) + "#" + std::to_string(made_names_.size() + 2));
    unique = made_names_.back();
  }
  used_names_.insert(unique);
  if (is_static) static_names_.insert(unique);
  return unique;
}

}  // namespace nibble::emulator
