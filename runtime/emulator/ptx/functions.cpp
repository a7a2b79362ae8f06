// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Functions: their headers, bodies, scopes, labels and instructions.
#include <string>
#include <utility>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {

void Parser::parse_function(Linkage linkage, bool is_entry) {
  Function function;
  function_ = &function;
  function.is_entry = is_entry;
  parameter_names_.clear();
  if (accept(".attribute")) parse_attribute();
  if (!is_entry && token_.is('(')) function.returns = parse_parameters(true);
  const Token name = expect_name("the name of a function");
  function.name = name.text;
  function.location = location(name);
  if (token_.is('(')) function.parameters = parse_parameters(true);
  while (parse_performance_directive()) {
  }
  if (!token_.is('{') && !token_.is(';')) fail_expected("'{' or ';' after the head of a function");
  const bool has_body = token_.is('{');
  if (has_body && linkage == Linkage::kExtern) {
    fail_at(name, "the .extern function " + describe(name) + " has a body");
  }
  function.is_extern = !has_body;
  const uint32_t index = declare_function(name, has_body);
  if (has_body) {
    parse_body();
  } else {
    advance();
  }
  if (has_body || module_.functions[index].name.empty()) {
    module_.functions[index] = std::move(function);
  }
  function_ = nullptr;
}

// Index of the function in the module: that of its declaration, if there was one.
uint32_t Parser::declare_function(const Token& name, bool has_body) {
  const auto found = module_names_.find(name.text);
  if (found != module_names_.end() && found->second.kind == Meaning::Kind::kFunction) {
    if (has_body && !module_.functions[found->second.index].is_extern) {
      fail_at(name, "the function " + describe(name) + " is already defined, on line " +
                        std::to_string(found->second.line));
    }
    return found->second.index;
  }
  Meaning meaning;
  meaning.kind = Meaning::Kind::kFunction;
  meaning.index = static_cast<uint32_t>(module_.functions.size());
  meaning.operand_name = name.text;
  declare(name, meaning);
  module_.functions.emplace_back();
  return meaning.index;
}

bool Parser::parse_performance_directive() {
  if (accept(".maxntid")) {
    parse_dimensions3(function_->max_threads);
  } else if (accept(".reqntid")) {
    parse_dimensions3(function_->required_threads);
  } else if (accept(".reqnctapercluster")) {
    parse_dimensions3(function_->required_cluster);
  } else if (accept(".minnctapersm")) {
    function_->min_blocks_per_sm = expect_number("a number of blocks", UINT32_MAX);
  } else if (accept(".maxnreg")) {
    function_->max_registers = expect_number("a number of registers", UINT32_MAX);
  } else if (accept(".maxclusterrank")) {
    function_->max_cluster_rank = expect_number("a number of blocks", UINT32_MAX);
  } else if (accept(".explicitcluster")) {
    function_->explicit_cluster = true;
  } else if (accept(".noreturn")) {
    function_->no_return = true;
  } else if (accept(".maxnctapersm") || accept(".abi_preserve") ||
             accept(".abi_preserve_control") || accept(".local_maxnreg")) {
    expect_number("a number", UINT32_MAX);  // advice for a register allocator
  } else if (accept(".pragma")) {
    parse_pragma();
  } else if (accept(".attribute")) {
    parse_attribute();
  } else if (accept(".loc")) {
    parse_loc();
  } else {
    return accept(".blocksareclusters");
  }
  return true;
}

void Parser::parse_dimensions3(uint32_t (&dimensions)[3]) {
  uint32_t given = 0;
  do {
    if (given == 3) fail_expected("at most 3 sizes before this");
    dimensions[given++] = expect_number("a size", UINT32_MAX);
  } while (accept(','));
  while (given < 3) dimensions[given++] = 1;
}

// Puts returns, then parameters, into a scope of their own around the body.
void Parser::declare_parameters() {
  size_t place = 0;
  for (std::vector<Variable>* list : {&function_->returns, &function_->parameters}) {
    for (size_t i = 0; i < list->size(); ++i, ++place) {
      const Variable& parameter = (*list)[i];
      const Token& name = parameter_names_[place];
      if (name.text == "_") continue;
      if (parameter.space == Space::kRegister) {
        declare_register(name, parameter.type, 1);
        continue;
      }
      Meaning meaning;
      meaning.kind = Meaning::Kind::kVariable;
      meaning.type = parameter.type;
      meaning.index = static_cast<uint32_t>(place);
      meaning.element_size = size_of(parameter.type);
      meaning.operand_name = name.text;
      used_names_.insert(name.text);
      declare(name, meaning);
    }
  }
}

void Parser::parse_body() {
  used_names_.clear();
  open_scope(token_);
  declare_parameters();
  open_scope(take());
  while (scopes_.size() > 1) {
    if (token_.is('}')) {
      advance();
      close_scope();
    } else {
      parse_statement();
    }
  }
  close_scope();
  source_ = {};
}

void Parser::open_scope(const Token& brace) {
  constexpr size_t kDeepest = 200;
  if (scopes_.size() == kDeepest) fail_at(brace, "scopes nest deeper than 200 levels");
  scopes_.emplace_back().open = brace;
}

// Resolves the labels of the scope. Uses of names that it does not have go to the scope around it.
void Parser::close_scope() {
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  for (LabelUse& use : scope.label_uses) {
    const auto found = scope.names.find(use.name.text);
    if (found != scope.names.end()) {
      resolve_label(use, found->second);
    } else if (scopes_.empty()) {
      fail_at(use.name, describe(use.name) + " is not declared");
    } else {
      scopes_.back().label_uses.push_back(use);
    }
  }
}

void Parser::resolve_label(const LabelUse& use, const Meaning& meaning) {
  if (use.in_table) {
    if (meaning.kind != Meaning::Kind::kLabel) {
      fail_at(use.name, "expected a label, found " + describe(use.name));
    }
    function_->branch_targets[use.owner][use.slot] = meaning.index;
    return;
  }
  const Instruction& instruction = function_->body[use.owner];
  const bool wants_table = instruction.opcode == "brx";
  const bool wants_prototype = instruction.opcode == "call";
  Operand& operand = function_->body[use.owner].operands[use.slot];
  operand.index = meaning.index;
  if (meaning.kind == Meaning::Kind::kPrototype && wants_prototype) {
    operand.kind = Operand::Kind::kPrototype;
  } else if (meaning.kind == Meaning::Kind::kTargets ? !wants_table
             : meaning.kind == Meaning::Kind::kLabel ? wants_table || wants_prototype
                                                     : true) {
    const std::string_view expected = wants_table       ? "a .branchtargets table"
                                      : wants_prototype ? "a .callprototype or .calltargets"
                                                        : "a label";
    fail_at(use.name, "expected " + std::string(expected) + ", found " + describe(use.name));
  }
}

void Parser::parse_statement() {
  if (token_.is('{')) return open_scope(take());
  if (accept('@')) {
    const bool negated = accept('!');
    const Token name = expect_name("the predicate register of a guard");
    const std::optional<Meaning> meaning = find_name(name.text);
    if (!meaning || meaning->kind != Meaning::Kind::kRegister) {
      fail_at(name, "expected a declared register as the guard, found " + describe(name));
    }
    if (meaning->type != Type::kPred || meaning->components != 1) {
      fail_at(name, "the guard " + describe(name) + " is not a .pred register");
    }
    return parse_instruction(expect_name("an instruction after its guard"), meaning->index,
                             negated);
  }
  if (token_.kind == Token::Kind::kDotWord) {
    if (!parse_body_directive()) fail_expected("an instruction or a declaration");
    return;
  }
  if (token_.kind == Token::Kind::kEnd) {
    fail_at(token_, "expected '}' for the '{' on line " + std::to_string(scopes_.back().open.line) +
                        ", found the end of the text");
  }
  const Token word = expect_name("an instruction");
  if (accept(':')) return parse_labelled(word);
  parse_instruction(word, kNoRegister, false);
}

bool Parser::parse_body_directive() {
  if (token_.is(".reg")) {
    parse_registers();
  } else if (space_of(token_.text)) {
    parse_body_variable();
  } else if (accept(".loc")) {
    parse_loc();
  } else if (accept(".pragma")) {
    parse_pragma();
  } else if (accept(".file")) {
    parse_file();
  } else {
    return false;
  }
  return true;
}

void Parser::parse_labelled(const Token& label) {
  if (accept(".callprototype")) return parse_prototype(label);
  if (accept(".calltargets")) return parse_call_targets(label);
  if (accept(".branchtargets")) return parse_branch_targets(label);
  Meaning meaning;
  meaning.kind = Meaning::Kind::kLabel;
  meaning.index = static_cast<uint32_t>(function_->body.size());
  declare(label, meaning);
}

// prototype_0 : .callprototype (.param .b32 _) _ (.param .b64 _, .param .align 8 .b8 _[16]);
void Parser::parse_prototype(const Token& label) {
  Prototype prototype;
  prototype.name = label.text;
  if (token_.is('(')) prototype.returns = parse_parameters(false);
  expect_name("'_' in place of a function's name");
  if (token_.is('(')) prototype.parameters = parse_parameters(false);
  while (!token_.is(';')) {
    if (accept(".noreturn")) continue;
    if (!accept(".abi_preserve") && !accept(".abi_preserve_control")) {
      fail_expected("';' after a prototype");
    }
    expect_number("a number of registers", UINT32_MAX);
  }
  advance();
  Meaning meaning;
  meaning.kind = Meaning::Kind::kPrototype;
  meaning.index = static_cast<uint32_t>(function_->prototypes.size());
  declare(label, meaning);
  function_->prototypes.push_back(std::move(prototype));
}

void Parser::parse_call_targets(const Token& label) {
  Prototype prototype;
  prototype.name = label.text;
  do {
    const Token name = expect_name("the name of a function");
    const std::optional<Meaning> target = find_name(name.text);
    if (!target || target->kind != Meaning::Kind::kFunction) {
      fail_at(name, "expected the name of a declared function, found " + describe(name));
    }
    prototype.targets.emplace_back(name.text);
  } while (accept(','));
  expect(';', "after '.calltargets'");
  Meaning meaning;
  meaning.kind = Meaning::Kind::kPrototype;
  meaning.index = static_cast<uint32_t>(function_->prototypes.size());
  declare(label, meaning);
  function_->prototypes.push_back(std::move(prototype));
}

void Parser::parse_branch_targets(const Token& label) {
  Meaning meaning;
  meaning.kind = Meaning::Kind::kTargets;
  meaning.index = static_cast<uint32_t>(function_->branch_targets.size());
  declare(label, meaning);
  std::vector<uint32_t>& targets = function_->branch_targets.emplace_back();
  do {
    const Token name = expect_name("a label");
    scopes_.back().label_uses.push_back(
        {name, true, meaning.index, static_cast<uint32_t>(targets.size())});
    targets.push_back(0);
  } while (accept(','));
  expect(';', "after '.branchtargets'");
}

void Parser::parse_instruction(const Token& opcode, uint32_t guard, bool guard_negated) {
  if (opcode.text[0] == '%') fail_at(opcode, "expected an instruction, found " + describe(opcode));
  opcode_ = opcode.text;
  Instruction instruction;
  instruction.opcode = opcode.text;
  instruction.guard = guard;
  instruction.guard_negated = guard_negated;
  instruction.location = location(opcode);
  while (token_.kind == Token::Kind::kDotWord) {
    instruction.modifiers.emplace_back(take().text.substr(1));
  }
  if (!token_.is(';')) {
    do {
      instruction.operands.push_back(
          parse_operand(static_cast<uint32_t>(instruction.operands.size())));
    } while (accept(','));
  }
  expect(';', "or ',' after an operand");
  function_->body.push_back(std::move(instruction));
  opcode_ = {};
}

}  // namespace nibble::emulator
