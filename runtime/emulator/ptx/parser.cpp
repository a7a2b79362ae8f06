// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The token helpers and the module scope; what stands inside is in the other files of this folder.
#include "runtime/emulator/ptx/parser.h"

#include <charconv>
#include <string>
#include <utility>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kMaxRegisters = 1u << 20;  // of one declaration; of a module: plus its bytes
constexpr uint64_t kMaxFiles = 1u << 16;

void rename_callees(std::vector<Operand>& operands,
                    const std::unordered_map<std::string, std::string>& aliases) {
  for (Operand& operand : operands) {
    if (operand.kind != Operand::Kind::kFunction) continue;
    const auto alias = aliases.find(operand.name);
    if (alias != aliases.end()) operand.name = alias->second;
  }
}

void rename_symbols(std::vector<Variable>& variables,
                    const std::unordered_map<std::string, std::string>& aliases) {
  for (Variable& variable : variables) {
    for (Symbol& symbol : variable.symbols) {
      const auto alias = aliases.find(symbol.name);
      if (alias != aliases.end()) symbol.name = alias->second;
    }
  }
}

}  // namespace

Parser::Parser(std::string_view text)
    : lexer_(text), register_budget_(kMaxRegisters + text.size()) {}

void Parser::fail_at(const Token& token, std::string message) {
  throw ParseError{token.line, token.column, std::move(message)};
}

void Parser::fail_expected(std::string_view what) const {
  fail_at(token_, "expected " + std::string(what) + ", found " + describe(token_));
}

Token Parser::take() {
  const Token token = token_;
  advance();
  return token;
}

bool Parser::accept(char punctuation) {
  if (!token_.is(punctuation)) return false;
  advance();
  return true;
}

bool Parser::accept(std::string_view word) {
  if (!token_.is(word)) return false;
  advance();
  return true;
}

void Parser::expect(char punctuation, std::string_view where) {
  if (accept(punctuation)) return;
  fail_expected("'" + std::string(1, punctuation) + "' " + std::string(where));
}

Token Parser::expect_name(std::string_view what) {
  if (token_.kind != Token::Kind::kName) fail_expected(what);
  return take();
}

uint32_t Parser::expect_number(std::string_view what, uint64_t limit) {
  if (token_.kind != Token::Kind::kInteger) fail_expected(what);
  const Token number = take();
  if (number.value > limit) {
    fail_at(number, "expected " + std::string(what) + " of at most " + std::to_string(limit) +
                        ", found " + describe(number));
  }
  return static_cast<uint32_t>(number.value);
}

Location Parser::location(const Token& token) const {
  return {token.line, source_.source_file, source_.source_line};
}

Module Parser::parse_module() {
  advance();
  module_.files.emplace_back();
  parse_header();
  while (token_.kind != Token::Kind::kEnd) parse_module_item();
  resolve_aliases();
  return std::move(module_);
}

void Parser::parse_header() {
  if (!token_.is(".version")) fail_expected("'.version' at the start of the module");
  advance();
  parse_version();
  if (!token_.is(".target")) fail_expected("'.target' after '.version'");
  advance();
  parse_target();
}

void Parser::parse_version() {
  const Token version = token_;
  const char* end = version.text.data() + version.text.size();
  const auto major = std::from_chars(version.text.data(), end, module_.version_major);
  const bool has_dot = major.ec == std::errc() && major.ptr != end && *major.ptr == '.';
  const auto minor = std::from_chars(has_dot ? major.ptr + 1 : end, end, module_.version_minor);
  if (!has_dot || minor.ec != std::errc() || minor.ptr != end) {
    fail_expected("a version such as '9.0'");
  }
  advance();
}

void Parser::parse_target() {
  module_.target = expect_name("a target such as 'sm_100a'").text;
  while (accept(',')) module_.target_options.emplace_back(expect_name("a target option").text);
}

void Parser::parse_module_item() {
  if (token_.is('@')) {  // @@DWARF lines of old compilers
    advance();
    if (!token_.is('@')) fail_expected("a declaration");
    lexer_.skip_line();
    advance();
    return;
  }
  if (accept(".address_size")) {
    const Token size = token_;
    module_.address_size = expect_number("an address size", 64);
    if (module_.address_size != 64) {
      fail_at(size, "expected an address size of 64, found " + describe(size) +
                        "; addresses of 32 bits are not supported");
    }
    return;
  }
  if (accept(".file")) return parse_file();
  if (accept(".loc")) return parse_loc();
  if (accept(".section")) return parse_section();
  if (accept(".pragma")) return parse_pragma();
  if (accept(".alias")) return parse_alias();
  const Linkage linkage = parse_linkage();
  if (accept(".entry")) return parse_function(linkage, true);
  if (accept(".func")) return parse_function(linkage, false);
  parse_module_variable(linkage);
}

Parser::Linkage Parser::parse_linkage() {
  if (accept(".extern")) return Linkage::kExtern;
  if (accept(".visible")) return Linkage::kVisible;
  if (accept(".weak")) return Linkage::kWeak;
  if (accept(".common")) return Linkage::kCommon;
  return Linkage::kNone;
}

// .file 1 "directory" "name" or .file 1 "name", 1423523673, 4096
void Parser::parse_file() {
  const uint32_t index = expect_number("the index of a file", kMaxFiles);
  if (token_.kind != Token::Kind::kString) fail_expected("the name of a file in quotes");
  std::string name(take().text);
  if (token_.kind == Token::Kind::kString) name += "/" + std::string(take().text);
  if (index >= module_.files.size()) module_.files.resize(index + 1);
  module_.files[index] = std::move(name);
  while (accept(',')) expect_number("a time stamp or a file size", ~0ull);
}

// .loc 1 10 5, function_name $L__info_string0+16, inlined_at 1 30 3
void Parser::parse_loc() {
  source_.source_file = expect_number("the index of a file", kMaxFiles);
  source_.source_line = expect_number("a line number", UINT32_MAX);
  expect_number("a column number", UINT32_MAX);
  while (accept(',')) {
    if (accept("function_name")) {
      expect_name("the label of a function's name");
      if (accept('+')) expect_number("an offset", UINT32_MAX);
    } else if (accept("inlined_at")) {
      expect_number("the index of a file", kMaxFiles);
      expect_number("a line number", UINT32_MAX);
      expect_number("a column number", UINT32_MAX);
    } else {
      fail_expected("'function_name' or 'inlined_at'");
    }
  }
}

void Parser::parse_section() {
  if (token_.kind != Token::Kind::kDotWord && token_.kind != Token::Kind::kName) {
    fail_expected("the name of a section");
  }
  advance();
  const Token open = token_;
  expect('{', "after the name of a section");
  for (uint64_t depth = 1; depth != 0; advance()) {
    if (token_.is('{')) ++depth;
    if (token_.is('}')) --depth;
    if (token_.kind == Token::Kind::kEnd) {
      fail_at(open, "this section has no end: expected '}', found the end of the text");
    }
  }
}

void Parser::parse_pragma() {
  do {
    if (token_.kind != Token::Kind::kString) fail_expected("a pragma in quotes");
    advance();
  } while (accept(','));
  expect(';', "after '.pragma'");
}

void Parser::parse_alias() {
  const Token alias = expect_name("the name of an alias");
  expect(',', "after the name of an alias");
  const Token target = expect_name("the function that the alias stands for");
  expect(';', "after '.alias'");
  for (const Token& name : {alias, target}) {
    const auto found = module_names_.find(name.text);
    if (found == module_names_.end() || found->second.kind != Meaning::Kind::kFunction) {
      fail_at(name, "expected the name of a declared function, found " + describe(name));
    }
  }
  if (module_.functions[module_names_[target.text].index].is_extern) {
    fail_at(target, "the function " + describe(target) + " of an alias is not defined");
  }
  if (!module_.functions[module_names_[alias.text].index].is_extern) {
    fail_at(alias, "the alias " + describe(alias) + " is a function with a body");
  }
  aliases_[std::string(alias.text)] = target.text;
}

// Callers name the function behind an alias, and the declaration of the alias goes.
void Parser::resolve_aliases() {
  if (aliases_.empty()) return;
  rename_symbols(module_.variables, aliases_);
  for (Function& function : module_.functions) {
    rename_symbols(function.variables, aliases_);
    for (Instruction& instruction : function.body) rename_callees(instruction.operands, aliases_);
    for (Prototype& prototype : function.prototypes) {
      for (std::string& target : prototype.targets) {
        if (aliases_.contains(target)) target = aliases_[target];
      }
    }
  }
  std::erase_if(module_.functions,
                [&](const Function& function) { return aliases_.contains(function.name); });
}

std::optional<Module> parse_ptx(std::string_view text, ParseError& error) {
  try {
    return Parser(text).parse_module();
  } catch (const ParseError& first) {
    error = first;
    return std::nullopt;
  }
}

}  // namespace nibble::emulator
