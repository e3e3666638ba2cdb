#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/checksums.h"
#include "core/failure.h"
#include "core/files.h"
#include "core/json.h"
#include "core/lines.h"

namespace {

std::string room() {
  char name[] = "/tmp/edgevit-core-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  return name;
}

std::string text_of(const std::string& path) {
  const std::vector<std::byte> data = edgevit::read_file(path);
  return std::string(reinterpret_cast<const char*>(data.data()), data.size());
}

}  // namespace

TEST_CASE("a file is written whole or not at all") {
  const std::string home = room(), path = home + "/a b$";
  edgevit::write_file(path, "one");
  CHECK(text_of(path) == "one");
  CHECK(access((path + ".part").c_str(), F_OK) != 0);
  CHECK_THROWS_AS(edgevit::write_file(home + "/no/where", "x"), edgevit::Failure);
  CHECK_THROWS_AS(edgevit::read_file(home), edgevit::Failure);
  CHECK_THROWS_AS(edgevit::read_file(home + "/none"), edgevit::Failure);
  CHECK_THROWS_AS(edgevit::read_file("/dev/zero"), edgevit::Failure);
  mkdir((home + "/d").c_str(), 0755);
  CHECK_THROWS_AS(edgevit::write_file(home + "/d", "x"), edgevit::Failure);
  CHECK(access((home + "/d.part").c_str(), F_OK) != 0);
}

TEST_CASE("lines end in a marker over all before them") {
  const std::string path = room() + "/lines";
  edgevit::LineWriter lines(path);
  edgevit::Line header("header");
  lines.add(header.text("runner", "n \"1\"").numbers("cpus", {0, 3}).null("python").clocks("clocks", 1, 2, 3));
  CHECK(access(path.c_str(), F_OK) != 0);
  lines.end(7);
  const std::string text = text_of(path);
  const std::size_t first = text.find('\n') + 1;
  const edgevit::Json end = edgevit::Json::parse(text.substr(first));
  CHECK(end.at("sha256").text("it") == edgevit::sha256(text.data(), first));
  CHECK(end.at("lines").integer("it") == 1);
  CHECK(end.at("samples").integer("it") == 7);
  CHECK(text.substr(0, first) ==
        "{\"line\": \"header\", \"runner\": \"n \\\"1\\\"\", \"cpus\": [0, 3], \"python\": null, "
        "\"clocks\": {\"realtime_ns\": 1, \"monotonic_ns\": 2, \"boottime_ns\": 3}}\n");
}
