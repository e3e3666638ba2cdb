#include <doctest/doctest.h>

#include "core/failure.h"
#include "core/request.h"

using edgevit::Failure;
using edgevit::parse_request;
using edgevit::Request;

namespace {

const std::string kRequest =
    R"({"schema_version": 4, "format": "onnx", "model": "a b$.onnx", "inputs": "i.npz", "lines": "l",
  "outputs": "o.npz", "library": "native/x.so", "runtime": "x 1", "takes": [{"name": "im", "shape": [-1, 3], "dtype": "float32", "layout": null}],
  "gives": [], "workload": {"runs": 3, "rounds": 5, "warmup": 2, "gap_ms": null, "burst": null, "gap_spread": null, "burst_factors": null,
  "controls": null, "seed": null, "schedule": [{"gap_ms": 1.5, "count": 2, "wait_ms": 0.0}, {"gap_ms": 0.0, "count": 0, "wait_ms": 2.25},
  {"gap_ms": 0, "count": 1, "wait_ms": 0}], "threads": 4, "affinity": "f0", "idle_s": 0.5, "pulses": {"busy_ms": [30, 10], "idle_ms": 5}, "timeout_s": 600.0}})";

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kRequest;
  const std::size_t place = text.find(from);
  REQUIRE(place != std::string::npos);
  return text.replace(place, from.size(), to);
}

}  // namespace

TEST_CASE("a request is read as the host writes it") {
  const Request request = parse_request(kRequest);
  CHECK(request.model == "a b$.onnx");
  CHECK(request.library == "native/x.so");
  CHECK(request.outputs == "o.npz");
  REQUIRE(request.takes.size() == 1);
  CHECK(request.takes[0].shape == std::vector<std::int64_t>{-1, 3});
  CHECK(request.workload.cpus == std::vector<int>{4, 5, 6, 7});
  CHECK(request.workload.idle_ns == 500'000'000);
  REQUIRE(request.workload.schedule.size() == 3);
  CHECK(request.workload.schedule[0].gap_ns == 1'500'000);
  CHECK(request.workload.schedule[1].wait_ns == 2'250'000);
  REQUIRE(request.workload.pulses);
  CHECK(request.workload.pulses->busy_ns == std::vector<std::int64_t>{30'000'000, 10'000'000});
}

TEST_CASE("what may be absent is absent") {
  CHECK(!parse_request(changed("\"o.npz\"", "null")).outputs);
  CHECK(parse_request(changed("\"f0\"", "null")).workload.cpus.empty());
  CHECK(!parse_request(changed("{\"busy_ms\": [30, 10], \"idle_ms\": 5}", "null")).workload.pulses);
  CHECK(parse_request(changed("\"native/x.so\"", "null")).library.empty());
}

TEST_CASE("a request of another version is refused before anything else of it is read") {
  CHECK_THROWS_WITH(parse_request("{\"schema_version\": 3}"),
                    "a request of version 3, this runner takes 4: build the runner anew, with the host's own sources");
  CHECK_THROWS_AS(parse_request(changed(": 4", ": 5")), Failure);
  CHECK_THROWS_AS(parse_request(changed(": 4", ": \"4\"")), Failure);
}

TEST_CASE("what is impossible is refused") {
  const std::pair<const char*, const char*> kChanges[] = {{"\"runs\": 3", "\"runs\": 4"},
                                                          {"\"runs\": 3", "\"runs\": 0"},
                                                          {"\"runs\": 3", "\"runs\": -1"},
                                                          {"\"warmup\": 2", "\"warmup\": -1"},
                                                          {"\"warmup\": 2", "\"warmup\": 2.5"},
                                                          {"\"threads\": 4", "\"threads\": 0"},
                                                          {"\"threads\": 4", "\"threads\": 9999"},
                                                          {"\"idle_s\": 0.5", "\"idle_s\": -1"},
                                                          {"\"idle_s\": 0.5", "\"idle_s\": 1e9"},
                                                          {"\"f0\"", "\"0\""},
                                                          {"\"f0\"", "\"\""},
                                                          {"\"f0\"", "\"0xf\""},
                                                          {"\"f0\"", "\"F0\""},
                                                          {"\"count\": 2", "\"count\": 0"},
                                                          {"\"count\": 2", "\"count\": -2"},
                                                          {"2.25", "0"},
                                                          {"\"gap_ms\": 1.5", "\"gap_ms\": -1"},
                                                          {"\"float32\"", "\"complex64\""},
                                                          {"[-1, 3]", "[-2, 3]"},
                                                          {"\"takes\"", "\"taken\""},
                                                          {"\"model\"", "\"modell\""},
                                                          {"\"onnx\"", "1"},
                                                          {"[30, 10]", "30"}};
  for (const auto& change : kChanges) {
    CAPTURE(change.first);
    CAPTURE(change.second);
    CHECK_THROWS_AS(parse_request(changed(change.first, change.second)), Failure);
  }
}

TEST_CASE("the file for the reason is found whatever else is wrong") {
  CHECK(edgevit::lines_file("{\"schema_version\": 99, \"lines\": \"here\"}") == "here");
  CHECK(edgevit::lines_file("{\"lines\": 1}").empty());
  CHECK(edgevit::lines_file("no JSON").empty());
}
