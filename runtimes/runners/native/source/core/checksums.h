// SHA-256 (FIPS 180-4) and the CRC-32 of zip archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgevit {

// 64 hexadecimal digits.
std::string sha256(const void* data, std::size_t size_bytes);

std::uint32_t crc32(const void* data, std::size_t size_bytes);

}  // namespace edgevit
