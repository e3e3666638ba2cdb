// Text between bytes and code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace edgevit {

// Append `code`, a Unicode scalar value, to `out`.
void append_utf8(std::string& out, std::uint32_t code);

// The code points of `bytes`; U+FFFD for each byte that begins none.
std::vector<std::uint32_t> decode_utf8(std::string_view bytes);

}  // namespace edgevit
