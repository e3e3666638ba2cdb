#include <doctest/doctest.h>

#include "core/failure.h"
#include "core/json.h"
#include "core/utf8.h"

using edgevit::Failure;
using edgevit::Json;

TEST_CASE("values of every kind are read") {
  const Json read =
      Json::parse(R"( {"a": [1, -2.5e1, 0], "b": "x\n\u00e9\ud83d\ude00\/", "c": null, "d": true, "e": {}} )");
  CHECK(read.at("a").items("a").size() == 3);
  CHECK(read.at("a").items("a")[1].number("a") == -25.0);
  CHECK(read.at("b").text("b") == "x\n\xc3\xa9\xf0\x9f\x98\x80/");
  CHECK(read.at("c").is_null());
  CHECK(read.at("d").kind() == Json::Kind::kBool);
  CHECK(read.at("e").members("e").empty());
}

TEST_CASE("what is no JSON is refused with its place") {
  for (const char* text : {"",
                           "{",
                           "[1,]",
                           "{\"a\" 1}",
                           "01",
                           "1.",
                           "1e",
                           "-",
                           "nul",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\u12g4\"",
                           "\"\n\"",
                           "\"a",
                           "1 2",
                           "{\"a\":1,\"a\":2}",
                           "1e999",
                           "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
                           "+1",
                           "NaN",
                           "'a'"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Json::parse(text), Failure);
  }
  CHECK_THROWS_WITH(Json::parse("[1, x]"), "no JSON: expected a value at byte 4");
}

TEST_CASE("a value of another kind is refused by its name") {
  const Json read = Json::parse(R"({"a": "1", "b": 1.5, "c": 1e300})");
  CHECK_THROWS_WITH(read.at("a").number("a"), "the request's 'a' is not a number");
  CHECK_THROWS_WITH(read.at("b").integer("b"), "the request's 'b' is not a whole number");
  CHECK_THROWS_WITH(read.at("c").integer("c"), "the request's 'c' is not a whole number");
  CHECK_THROWS_WITH(read.at("d"), "the request lacks 'd'");
  CHECK_THROWS_AS(read.at("a").items("a"), Failure);
  CHECK_THROWS_AS(read.at("a").at("x"), Failure);
}

TEST_CASE("text is quoted so that it is read back") {
  for (const std::string text : {"", "plain", "\"\\\n\t\x01\x7f", "\xc3\xa9 \xf0\x9f\x98\x80"}) {
    CHECK(Json::parse(edgevit::quoted(text)).text("it") == text);
  }
  // No UTF-8: a lone byte, a cut character, an overlong one, a half of a pair, beyond Unicode.
  for (const std::string text : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    CAPTURE(text);
    CHECK(Json::parse(edgevit::quoted(text)).text("it").find("\xef\xbf\xbd") == 0);
  }
}
