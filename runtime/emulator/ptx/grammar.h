// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The recursive-descent parser behind parse_ptx(): its state, and one method a production. Inside,
// the first error is thrown as a ParseError.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/emulator/ptx/lexer.h"
#include "runtime/emulator/ptx/module.h"
#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator {

// What a name stands for in one scope.
struct Meaning {
  enum class Kind : uint8_t { kRegister, kVariable, kFunction, kLabel, kTargets, kPrototype };
  Kind kind = Kind::kRegister;
  uint8_t components = 1;  // of a vector register, which has that many indices in a row
  Type type = Type::kB32;
  uint32_t index = 0;
  uint32_t line = 0;              // of the declaration
  uint32_t element_size = 0;      // bytes, of a variable
  std::string_view operand_name;  // what operands call a variable or a function
};

// `%r<100>`: %r0 is register `first`, %r1 comes `components` later.
struct RegisterRange {
  uint32_t first = 0;
  uint32_t count = 0;
  uint8_t components = 1;
  Type type = Type::kB32;
};

// A use of a name that may be a label further down.
struct LabelUse {
  Token name;
  bool in_table = false;  // of .branchtargets; else an operand of an instruction
  uint32_t owner = 0;     // index of the table or of the instruction
  uint32_t slot = 0;      // in the table, or of the operand
};

struct Scope {
  std::unordered_map<std::string_view, Meaning> names;
  std::unordered_map<std::string_view, RegisterRange> ranges;
  std::vector<LabelUse> label_uses;
  Token open;  // its brace
};

// The value of a constant expression.
struct Constant {
  enum class Kind : uint8_t { kSigned, kUnsigned, kFloat32, kFloat64 };
  Kind kind = Kind::kSigned;
  uint64_t bits = 0;

  bool is_integer() const { return kind == Kind::kSigned || kind == Kind::kUnsigned; }
};

class Parser {
 public:
  explicit Parser(std::string_view text);
  Module parse_module();

 private:
  // The words before the name of a variable: `.shared .align 16 .v2 .f32`.
  struct Declaration {
    Space space = Space::kGlobal;
    std::optional<Type> type;
    uint32_t vector = 1;
    uint32_t align = 0;  // 0: natural
  };
  enum class Linkage : uint8_t { kNone, kExtern, kVisible, kWeak, kCommon };

  // parser.cpp: tokens
  [[noreturn]] static void fail_at(const Token& token, std::string message);
  [[noreturn]] void fail_expected(std::string_view what) const;
  void advance() { token_ = lexer_.next(); }
  Token take();
  bool accept(char punctuation);
  bool accept(std::string_view word);
  void expect(char punctuation, std::string_view where);
  Token expect_name(std::string_view what);
  uint32_t expect_number(std::string_view what, uint64_t limit);
  Location location(const Token& token) const;

  // parser.cpp: module scope
  void parse_header();
  void parse_version();
  void parse_target();
  void parse_module_item();
  Linkage parse_linkage();
  void parse_file();
  void parse_loc();
  void parse_section();
  void parse_pragma();
  void parse_alias();
  void resolve_aliases();

  // declarations.cpp
  static std::optional<Space> space_of(std::string_view word);
  Declaration parse_declaration_words(Space space);
  void parse_pointer_attribute();
  void parse_attribute();
  Type require_type(const Declaration& declaration) const;
  Variable parse_declarator(const Declaration& declaration, std::vector<uint64_t>& dimensions);
  std::vector<uint64_t> parse_dimensions();
  void parse_module_variable(Linkage linkage);
  void parse_body_variable();
  void parse_registers();
  void declare_register_range(const Token& name, const Declaration& declaration);
  void declare_register(const Token& name, Type type, uint32_t components);
  void take_register_budget(const Token& at, uint64_t count);
  void add_registers(const std::string& name, Type type, uint32_t components);
  std::vector<Variable> parse_parameters(bool named);
  Variable parse_parameter(bool named);
  uint32_t add_module_variable(const Token& name, const Variable& variable);

  // initialisers.cpp
  void parse_initializer(Variable& variable, const Declaration& declaration,
                         const std::vector<uint64_t>& dimensions);
  uint64_t parse_braces(Variable& variable, const std::vector<uint64_t>& dimensions, size_t level,
                        uint64_t base);
  void parse_scalar(Variable& variable, uint64_t element);
  void parse_symbol(Variable& variable, uint64_t offset, uint32_t size, uint32_t shift);
  void parse_masked_symbol(Variable& variable, uint64_t offset, const Token& at, uint64_t mask);
  void store_initial(Variable& variable, uint64_t offset, uint64_t bits);

  // expressions.cpp
  Constant parse_constant();
  Constant parse_binary(int lowest);
  Constant parse_unary();
  Constant parse_primary();
  int64_t parse_integer_constant(std::string_view what);

  // functions.cpp
  void parse_function(Linkage linkage, bool is_entry);
  bool parse_performance_directive();
  void parse_dimensions3(uint32_t (&dimensions)[3]);
  uint32_t declare_function(const Token& name, bool has_body);
  void declare_parameters();
  void parse_body();
  void parse_statement();
  bool parse_body_directive();
  void parse_labelled(const Token& label);
  void parse_prototype(const Token& label);
  void parse_call_targets(const Token& label);
  void parse_branch_targets(const Token& label);
  void parse_instruction(const Token& opcode, uint32_t guard, bool guard_negated);
  void open_scope(const Token& brace);
  void close_scope();
  void resolve_label(const LabelUse& use, const Meaning& meaning);

  // names.cpp
  std::optional<Meaning> find_name(std::string_view name) const;
  void declare(const Token& name, const Meaning& meaning);
  std::string_view unique_name(std::string_view name, Space space);

  // operands.cpp
  static constexpr uint32_t kNested = ~0u;  // the slot of an operand that cannot be a label
  Operand parse_operand(uint32_t slot);
  Operand parse_name_operand(uint32_t slot);
  Operand parse_constant_operand();
  Operand parse_address();
  Operand parse_elements(Operand::Kind kind, char close);
  Operand parse_negated();
  Operand register_operand(const Token& name, const Meaning& meaning);
  Operand special_operand(const Token& name);
  Operand label_operand(const Token& name, uint32_t slot);
  void parse_index(Operand& operand, const Meaning& meaning);
  Operand parse_pair(Operand first);
  int64_t parse_offset();

  Lexer lexer_;
  Token token_;
  uint32_t depth_ = 0;  // of expressions and braces
  uint64_t register_budget_;

  Module module_;
  std::unordered_map<std::string_view, Meaning> module_names_;
  std::unordered_map<std::string, std::string> aliases_;
  Location source_;  // of the last .loc

  Function* function_ = nullptr;  // being parsed
  std::vector<Scope> scopes_;
  std::unordered_set<std::string_view> used_names_;    // of variables of the function
  std::unordered_set<std::string_view> static_names_;  // the same, of all functions, in memory that
                                                       // the module has once
  std::deque<std::string> made_names_;
  std::vector<Token> parameter_names_;  // returns, then parameters
  std::string_view opcode_;             // of the instruction being parsed
};

// Fails when braces or parentheses nest deeper than any compiler writes them.
class DepthGuard {
 public:
  DepthGuard(uint32_t& depth, const Token& at) : depth_(depth) {
    constexpr uint32_t kDeepest = 200;
    if (depth_ == kDeepest) throw ParseError{at.line, at.column, "nested deeper than 200 levels"};
    ++depth_;
  }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  uint32_t& depth_;
};

std::optional<Type> type_of(std::string_view word);  // ".f32"
bool is_special_register(std::string_view name);     // "%tid.x", "%laneid"

}  // namespace nibble::emulator
