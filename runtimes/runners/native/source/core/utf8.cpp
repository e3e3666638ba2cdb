#include "utf8.h"

namespace edgevit {

namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;

// How many bytes a character takes that begins with `first`; 0 where none does.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

}  // namespace

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [code](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += tail(6);
    out += tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += tail(12);
    out += tail(6);
    out += tail(0);
  }
}

std::vector<std::uint32_t> decode_utf8(std::string_view bytes) {
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by length: shorter forms are no UTF-8
  std::vector<std::uint32_t> codes;
  for (std::size_t place = 0; place < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[place]);
    const std::size_t length = length_of(first);
    std::uint32_t code = length <= 1 ? first : first & (0xFFU >> (length + 1));
    bool whole = length > 0 && place + length <= bytes.size();
    for (std::size_t index = 1; whole && index < length; ++index) {
      const auto next = static_cast<unsigned char>(bytes[place + index]);
      whole = (next & 0xC0) == 0x80;
      code = (code << 6) | (next & 0x3F);
    }
    whole = whole && code >= kLeast[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    codes.push_back(whole ? code : kReplacement);
    place += whole ? length : 1;
  }
  return codes;
}

}  // namespace edgevit
