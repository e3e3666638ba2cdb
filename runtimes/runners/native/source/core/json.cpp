#include "json.h"

#include <cmath>
#include <cstdlib>

#include "failure.h"
#include "utf8.h"

namespace edgevit {

namespace {

constexpr int kDeepest = 16;                         // chosen: a request has 4 levels
constexpr double kMostInteger = 9007199254740992.0;  // 2^53: beyond it a double skips numbers

[[noreturn]] void refuse_kind(const std::string& what, const char* expected) {
  throw Failure("the request's '" + what + "' is not " + expected);
}

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json whole() {
    Json value = parse_value(0);
    skip_space();
    if (place_ != text_.size()) fail("the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw Failure("no JSON: expected " + std::string(expected) + " at byte " + std::to_string(place_));
  }

  char peek() const { return place_ < text_.size() ? text_[place_] : '\0'; }

  void skip_space() {
    while (place_ < text_.size() && std::string_view(" \t\r\n").find(text_[place_]) != std::string_view::npos) ++place_;
  }

  bool take(char wanted) {
    skip_space();
    if (place_ >= text_.size() || text_[place_] != wanted) return false;
    ++place_;
    return true;
  }

  void take_word(std::string_view word) {
    if (text_.substr(place_, word.size()) != word) fail("a value");
    place_ += word.size();
  }

  Json parse_value(int depth) {
    if (depth > kDeepest) fail("fewer levels");
    skip_space();
    Json value;
    switch (peek()) {
      case '{':
        parse_object(value, depth);
        break;
      case '[':
        parse_array(value, depth);
        break;
      case '"':
        value.kind_ = Json::Kind::kString;
        value.text_ = parse_string();
        break;
      case 't':
        take_word("true");
        value.kind_ = Json::Kind::kBool;
        break;
      case 'f':
        take_word("false");
        value.kind_ = Json::Kind::kBool;
        break;
      case 'n':
        take_word("null");
        break;
      default:
        value.kind_ = Json::Kind::kNumber;
        value.number_ = parse_number();
    }
    return value;
  }

  void parse_object(Json& value, int depth) {
    value.kind_ = Json::Kind::kObject;
    take('{');
    if (take('}')) return;
    do {
      skip_space();
      if (peek() != '"') fail("a key");
      std::string key = parse_string();
      for (const auto& [known, ignored] : value.members_) {
        if (known == key) fail("each key once");
      }
      if (!take(':')) fail("a colon");
      value.members_.emplace_back(std::move(key), parse_value(depth + 1));
    } while (take(','));
    if (!take('}')) fail("a comma or the end of an object");
  }

  void parse_array(Json& value, int depth) {
    value.kind_ = Json::Kind::kArray;
    take('[');
    if (take(']')) return;
    do {
      value.items_.push_back(parse_value(depth + 1));
    } while (take(','));
    if (!take(']')) fail("a comma or the end of an array");
  }

  bool digits() {
    const std::size_t first = place_;
    while (peek() >= '0' && peek() <= '9') ++place_;
    return place_ > first;
  }

  double parse_number() {
    const std::size_t first = place_;
    if (peek() == '-') ++place_;
    if (peek() == '0') {
      ++place_;
    } else if (!digits()) {
      fail("a value");
    }
    if (peek() == '.') {
      ++place_;
      if (!digits()) fail("a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      ++place_;
      if (peek() == '+' || peek() == '-') ++place_;
      if (!digits()) fail("a digit");
    }
    const double value = std::strtod(std::string(text_.substr(first, place_ - first)).c_str(), nullptr);
    if (!std::isfinite(value)) fail("a number that can be held");
    return value;
  }

  std::string parse_string() {
    std::string out;
    ++place_;
    while (place_ < text_.size() && text_[place_] != '"') {
      const char next = text_[place_++];
      if (static_cast<unsigned char>(next) < 0x20) fail("no control character");
      if (next == '\\') {
        parse_escape(out);
      } else {
        out += next;
      }
    }
    if (place_ >= text_.size()) fail("the end of a string");
    ++place_;
    return out;
  }

  void parse_escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const char name = peek();
    const std::size_t index = name == '\0' ? std::string_view::npos : kNames.find(name);
    if (index != std::string_view::npos) {
      ++place_;
      out += kValues[index];
      return;
    }
    if (name != 'u') fail("a known escape");
    ++place_;
    std::uint32_t code = hexadecimal();
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (text_.substr(place_, 2) != "\\u") fail("the second half of a pair");
      place_ += 2;
      const std::uint32_t low = hexadecimal();
      if (low < 0xDC00 || low > 0xDFFF) fail("the second half of a pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      fail("the first half of a pair");
    }
    append_utf8(out, code);
  }

  std::uint32_t hexadecimal() {
    std::uint32_t value = 0;
    for (int digit = 0; digit < 4; ++digit, ++place_) {
      const char c = peek();
      const std::size_t low = std::string_view("0123456789abcdef").find(c),
                        high = std::string_view("0123456789ABCDEF").find(c);
      const std::size_t found = low != std::string_view::npos ? low : high;
      if (c == '\0' || found == std::string_view::npos) fail("a hexadecimal digit");
      value = value * 16 + static_cast<std::uint32_t>(found);
    }
    return value;
  }

  std::string_view text_;
  std::size_t place_ = 0;
};

Json Json::parse(std::string_view text) { return JsonParser(text).whole(); }

double Json::number(const std::string& what) const {
  if (kind_ != Kind::kNumber) refuse_kind(what, "a number");
  return number_;
}

std::int64_t Json::integer(const std::string& what) const {
  const double value = number(what);
  if (value != std::floor(value) || std::fabs(value) > kMostInteger) refuse_kind(what, "a whole number");
  return static_cast<std::int64_t>(value);
}

const std::string& Json::text(const std::string& what) const {
  if (kind_ != Kind::kString) refuse_kind(what, "text");
  return text_;
}

const std::vector<Json>& Json::items(const std::string& what) const {
  if (kind_ != Kind::kArray) refuse_kind(what, "a list");
  return items_;
}

const std::vector<std::pair<std::string, Json>>& Json::members(const std::string& what) const {
  if (kind_ != Kind::kObject) refuse_kind(what, "an object");
  return members_;
}

const Json& Json::at(const std::string& key) const {
  for (const auto& [name, value] : members(key)) {
    if (name == key) return value;
  }
  throw Failure("the request lacks '" + key + "'");
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const std::uint32_t code : decode_utf8(text)) {
    if (code == '"' || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code < 0x20 || code == 0x7F) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += std::string("\\u00") + kDigits[code >> 4] + kDigits[code & 15];
    } else {
      append_utf8(out, code);
    }
  }
  return out + "\"";
}

}  // namespace edgevit
