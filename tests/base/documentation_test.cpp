// docs/configuration.md says what base/variables.h says, word for word.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/variables.h"

namespace paceline {
namespace {

std::string expected_table() {
  const Config defaults;
  std::string table =
      "| variable | field of `Config` | default | allowed | what it does |\n"
      "|---|---|---|---|---|\n";
  for (const Variable& v : variables()) {
    const std::string value = v.show(defaults);
    table += "| `" + std::string(v.name) + "` | `" + std::string(v.field) + "` | " +
             (value.empty() ? "" : "`" + value + "`") + " | " + std::string(v.allowed) + " | " +
             std::string(v.meaning) + " |\n";
  }
  return table;
}

TEST(Documentation, ListsEveryVariableAsTheCodeHasIt) {
  std::ifstream file(PACELINE_CONFIGURATION_DOCUMENT);
  ASSERT_TRUE(file) << PACELINE_CONFIGURATION_DOCUMENT;
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(expected_table()), std::string::npos)
      << "the table of variables in " << PACELINE_CONFIGURATION_DOCUMENT << " should be\n\n"
      << expected_table();
  EXPECT_NE(text.str().find(kSecretFile), std::string::npos);
}

TEST(Documentation, DoesNotPromiseVariablesThatDoNotExist) {
  std::ifstream file(PACELINE_CONFIGURATION_DOCUMENT);
  std::stringstream stream;
  stream << file.rdbuf();
  const std::string text = stream.str();
  int seen = 0;
  for (std::size_t at = text.find("PACELINE_"); at != std::string::npos;
       at = text.find("PACELINE_", at + 1)) {
    const std::size_t end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at);
    const std::string name = text.substr(at, end - at);
    if (name == "PACELINE_") continue;  // the prefix by itself
    bool known = name == kSecretFile;
    for (const Variable& v : variables()) known = known || v.name == name;
    EXPECT_TRUE(known) << name;
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace paceline
