// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator on every form: its outputs are those recorded on the card (h200.txt), or those that
// forms_expect.cpp works out for forms that the card does not have.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/emulator/forms/form_compare.h"
#include "tests/emulator/forms/form_runner.h"
#include "tests/emulator/forms/forms_expect.h"

namespace nibble::forms {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(NIBBLE_SOURCE_DIR) / "tests/emulator/forms";

const std::vector<Form>& all_forms() {
  static const std::vector<Form> kForms = [] {
    std::vector<Form> forms;
    std::string error;
    EXPECT_TRUE(read_forms({kFolder}, forms, error)) << error;
    return forms;
  }();
  return kForms;
}

FormRunner* runner() {
  static std::string error;
  static const std::unique_ptr<FormRunner> kRunner =
      FormRunner::open(NIBBLE_EMULATOR_LIBRARY, error);
  EXPECT_NE(kRunner, nullptr) << error;
  return kRunner.get();
}

const Record& recorded() {
  static const Record kRecord = [] {
    Record record;
    std::string error;
    EXPECT_TRUE(read_record(kFolder / "h200.txt", record, error)) << error;
    return record;
  }();
  return kRecord;
}

class Forms : public testing::TestWithParam<size_t> {};

TEST_P(Forms, GiveWhatTheCardGives) {
  const Form& form = all_forms()[GetParam()];
  SCOPED_TRACE(form.name);
  ASSERT_NE(runner(), nullptr);
  const std::vector<Bytes> inputs = make_inputs(form);
  const Outcome outcome = runner()->run(form, inputs);
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRan) << outcome.message;
  if (form.approximate) return;  // it loads and runs; the distance from the card is not held here
  if (!form.expect.empty()) {
    const auto expected = expected_output(form, inputs);
    ASSERT_TRUE(expected) << "no expectation named " << form.expect;
    const Difference difference = compare(form, inputs, outcome.output, *expected);
    EXPECT_EQ(difference.count, 0U) << "a: emulator, b: expected; " << difference.first;
    return;
  }
  const auto digest = recorded().find(form.name);
  ASSERT_NE(digest, recorded().end())
      << "no digest in h200.txt: record it with ptx_forms --record on the card";
  EXPECT_EQ(digest_of(outcome.output), digest->second);
}

std::string name_of(const testing::TestParamInfo<size_t>& info) {
  std::string name = all_forms()[info.param].name;
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Forms, testing::Range<size_t>(0, all_forms().size()), name_of);

TEST(Record, NamesNoFormThatIsGone) {
  std::map<std::string, bool> exists;
  for (const Form& form : all_forms()) exists[form.name] = true;
  for (const auto& [name, digest] : recorded()) EXPECT_TRUE(exists[name]) << name;
}

TEST(Record, HoldsAtLeastTwoHundredForms) { EXPECT_GE(recorded().size(), 200U); }

}  // namespace
}  // namespace nibble::forms
