// The layout of a report as text.
#include "tool/report.h"

#include <gtest/gtest.h>

#include <sstream>

namespace paceline::tool {
namespace {

std::string text_of(const Json& document) {
  std::ostringstream out;
  print_text(document, out);
  return out.str();
}

TEST(Report, ValuesOfOneObjectStandInAColumn) {
  EXPECT_EQ(text_of({{"a", 1}, {"long_name", "x"}, {"b", true}}),
            "a          1\n"
            "long name  x\n"
            "b          yes\n");
}

TEST(Report, AbilitiesAreOneLine) {
  EXPECT_EQ(text_of({{"shm", ability("")}, {"verbs", ability("no device")}}),
            "shm    yes\n"
            "verbs  no: no device\n");
}

TEST(Report, ObjectsAreIndented) {
  EXPECT_EQ(text_of({{"outer", {{"inner", {{"x", 1}}}, {"y", 2}}}}),
            "outer\n"
            "  inner\n"
            "    x  1\n"
            "  y  2\n");
}

TEST(Report, ListsOfValuesAreOneLine) {
  EXPECT_EQ(text_of({{"some", Json::array({"a", "b"})}, {"no", Json::array()}}),
            "some  a b\n"
            "no    none\n");
}

TEST(Report, ListsOfObjectsAreOneAfterTheOther) {
  Json one = {{"name", "rxe0"}};
  one.update(ability(""));
  one["port"] = 1;
  Json other = {{"name", "siw0"}};
  other.update(ability("is iWARP"));
  EXPECT_EQ(text_of({{"device", Json::array({one, other})}}),
            "device\n"
            "  name    rxe0\n"
            "  usable  yes\n"
            "  port    1\n"
            "device\n"
            "  name     siw0\n"
            "  usable   no\n"
            "  why not  is iWARP\n");
}

TEST(Report, AnEmptyObjectSaysSo) {
  EXPECT_EQ(text_of({{"set", Json::object()}}), "set  none\n");
}

}  // namespace
}  // namespace paceline::tool
