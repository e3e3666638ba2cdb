// A strict reader of JSON (RFC 8259) for what the host writes, and the one escape that writing needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgevit {

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  // Throws Failure with the place where the text is no JSON: also for text behind it, for a key that stands twice, and
  // for what is nested deeper than any request.
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }

  // These throw Failure where the value is of another kind; `what` names it.
  double number(const std::string& what) const;
  std::int64_t integer(const std::string& what) const;  // a number without a fraction
  const std::string& text(const std::string& what) const;
  const std::vector<Json>& items(const std::string& what) const;
  const std::vector<std::pair<std::string, Json>>& members(const std::string& what) const;

  // The member `key` of an object; throws Failure where there is none.
  const Json& at(const std::string& key) const;

 private:
  friend class JsonParser;

  Kind kind_ = Kind::kNull;
  double number_ = 0.0;
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

// `text` in quotation marks as JSON; bytes that are no UTF-8 become the replacement character.
std::string quoted(std::string_view text);

}  // namespace edgevit
