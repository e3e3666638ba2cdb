// Against numpy itself: test_core.py. Here what is damaged.
#include <doctest/doctest.h>

#include <cstring>

#include "core/checksums.h"
#include "core/failure.h"
#include "core/feed.h"
#include "core/npz.h"

using edgevit::DType;
using edgevit::Failure;
using edgevit::parse_npz;
using edgevit::Tensor;
using edgevit::TensorSets;

namespace {

Tensor tensor(const std::string& name, std::vector<std::int64_t> shape, DType dtype = DType::kFloat32) {
  Tensor made{name, dtype, std::move(shape), {}};
  made.allocate();
  for (std::size_t i = 0; i < made.data.size(); ++i) made.data[i] = static_cast<std::byte>(i * 7 + 1);
  return made;
}

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TensorSets sets() {
  return {{tensor("a", {2, 3}), tensor("b/c", {}, DType::kInt64)},
          {tensor("a", {2, 3}), tensor("b/c", {}, DType::kInt64)}};
}

}  // namespace

TEST_CASE("what is written is read back") {
  const TensorSets back = parse_npz(bytes_of(edgevit::format_npz(sets())), "x");
  REQUIRE(back.size() == 2);
  REQUIRE(back[1].size() == 2);
  CHECK(back[1][1].name == "b/c");
  CHECK(back[0][0].shape == std::vector<std::int64_t>{2, 3});
  CHECK(back[0][0].data == sets()[0][0].data);
  CHECK(back[0][1].dtype == DType::kInt64);
}

TEST_CASE("an archive that is cut anywhere is refused") {
  const std::string whole = edgevit::format_npz(sets());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK_THROWS_AS(parse_npz(bytes_of(whole.substr(0, length)), "x"), Failure);
  }
  CHECK_THROWS_WITH_AS(parse_npz(bytes_of(whole + "x"), "x"),
                       "'x' is no archive of arrays: it is cut, or bytes stand behind its end", Failure);
}

TEST_CASE("a changed byte of the values is found by its CRC") {
  const std::string whole = edgevit::format_npz({{tensor("a", {64})}});
  const std::string values(reinterpret_cast<const char*>(tensor("a", {64}).data.data()), 256);
  std::string damaged = whole;
  const std::size_t place = damaged.find(values);
  REQUIRE(place != std::string::npos);
  damaged[place + 100] = static_cast<char>(damaged[place + 100] ^ 1);
  CHECK_THROWS_WITH_AS(parse_npz(bytes_of(damaged), "x"),
                       "'x' is no archive of arrays: '0/a.npy' was changed: its CRC-32 differs", Failure);
}

TEST_CASE("sets that do not follow each other are refused") {
  std::string two = edgevit::format_npz(sets());
  for (std::size_t place = two.find("1/a"); place != std::string::npos; place = two.find("1/a"))
    two.replace(place, 3, "2/a");
  CHECK_THROWS_AS(parse_npz(bytes_of(two), "x"), Failure);
  CHECK_THROWS_AS(parse_npz(bytes_of(edgevit::format_npz({})), "x"), Failure);
  CHECK_THROWS_AS(parse_npz(bytes_of(edgevit::format_npz({{tensor("a", {1}), tensor("a", {1})}})), "x"), Failure);
}

TEST_CASE("feeds must be what the model takes") {
  const std::vector<edgevit::TensorInfo> takes = {{"b/c", DType::kInt64, {}}, {"a", DType::kFloat32, {-1, 3}}};
  TensorSets fed = sets();
  edgevit::fit_feeds(takes, fed, "x");
  CHECK(fed[0][0].name == "b/c");
  CHECK(fed[0][1].name == "a");

  fed = sets();
  CHECK_THROWS_WITH_AS(edgevit::fit_feeds({{"a", DType::kFloat32, {2, 4}}, takes[0]}, fed, "x"),
                       "input 0 of 'x': 'a' is float32 (2, 3), the model takes float32 (2, 4)", Failure);
  fed = sets();
  CHECK_THROWS_AS(edgevit::fit_feeds({{"a", DType::kFloat16, {2, 3}}, takes[0]}, fed, "x"), Failure);
  fed = sets();
  CHECK_THROWS_WITH_AS(edgevit::fit_feeds({takes[0], {"z", DType::kFloat32, {2, 3}}}, fed, "x"),
                       "input 0 of 'x' lacks 'z'; the model takes 'b/c', 'z'", Failure);
  fed = sets();
  CHECK_THROWS_WITH_AS(edgevit::fit_feeds({takes[0]}, fed, "x"), "input 0 of 'x' has arrays beside 'b/c'", Failure);
}

TEST_CASE("shapes that no memory holds are refused before it is taken") {
  Tensor huge{"a", DType::kFloat64, {1LL << 30, 1LL << 30}, {}};
  CHECK_THROWS_AS(huge.allocate(), Failure);
  Tensor negative{"a", DType::kFloat64, {-1}, {}};
  CHECK_THROWS_AS(negative.allocate(), Failure);
  Tensor empty{"a", DType::kFloat64, {0, 1LL << 50}, {}};
  empty.allocate();
  CHECK(empty.data.empty());
}
