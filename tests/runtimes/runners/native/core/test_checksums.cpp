#include <doctest/doctest.h>

#include <string>

#include "core/checksums.h"

namespace {

std::string digest(const std::string& text) { return edgevit::sha256(text.data(), text.size()); }

}  // namespace

TEST_CASE("SHA-256 of NIST's examples") {  // FIPS 180-4's example values, and the long message of FIPS 180-2, B.3
  CHECK(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("CRC-32's check value") {  // of the catalogue of CRC algorithms: CRC-32/ISO-HDLC
  CHECK(edgevit::crc32("123456789", 9) == 0xCBF43926);
  CHECK(edgevit::crc32("", 0) == 0);
}
