#include <doctest/doctest.h>

#include <ctime>

#include "core/clocks.h"
#include "core/failure.h"
#include "core/process.h"
#include "core/steps.h"

using edgevit::do_steps;
using edgevit::Stamps;

namespace {

std::int64_t now_ns() {  // not by core/clocks
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

TEST_CASE("each step is done in its order after its gap") {
  std::vector<std::int64_t> seen;
  const Stamps stamps = do_steps([&] { seen.push_back(now_ns()); },
                                 {{5'000'000, 3, 0}, {20'000'000, 0, 30'000'000}, {10'000'000, 1, 0}, {0, 2, 0}});
  REQUIRE(stamps.runs.size() == 6);
  REQUIRE(stamps.controls.size() == 1);
  REQUIRE(seen.size() == 6);
  for (std::size_t index = 0; index < seen.size(); ++index) {
    CHECK(stamps.runs[index].boot_start_ns > 0);
    CHECK(stamps.runs[index].start_ns <= seen[index]);
    CHECK(seen[index] <= stamps.runs[index].end_ns);
    CHECK(stamps.runs[index].boot_end_ns - stamps.runs[index].boot_start_ns >=
          stamps.runs[index].end_ns - stamps.runs[index].start_ns);
  }
  const edgevit::Stamp& control = stamps.controls[0];
  CHECK(control.start_ns - stamps.runs[2].end_ns >= 20'000'000);
  CHECK(control.end_ns - control.start_ns >= 30'000'000);
  CHECK(stamps.runs[3].start_ns - control.end_ns >= 10'000'000);
}

TEST_CASE("what fails within a step ends them") {
  int count = 0;
  const auto failing = [&count] {
    if (++count == 2) throw edgevit::Failure("no");
  };
  CHECK_THROWS_AS(do_steps(failing, {{0, 5, 0}}), edgevit::Failure);
  CHECK(count == 2);
}

TEST_CASE("a moment that is past is not waited for") {
  const std::int64_t before = now_ns();
  edgevit::sleep_until_ns(before - 5'000'000'000);
  CHECK(now_ns() - before < 1'000'000'000);
}

TEST_CASE("the kernel is believed about cores, and refuses what there are none of") {
  const std::vector<int> all = edgevit::usable_cpus();
  REQUIRE(!all.empty());
  edgevit::pin({all.back()});
  CHECK(edgevit::usable_cpus() == std::vector<int>{all.back()});
  edgevit::pin(all);
  CHECK(edgevit::usable_cpus() == all);
  CHECK_THROWS_AS(edgevit::pin({1023}), edgevit::Failure);
  CHECK_THROWS_AS(edgevit::pin({4096}), edgevit::Failure);
}

TEST_CASE("the peak of memory counts what was freed") {
  const std::int64_t before = edgevit::peak_memory_bytes();
  CHECK(before > 1'000'000);
  {
    std::vector<char> taken(200'000'000, 'x');
    CHECK(taken[7] == 'x');
  }
  CHECK(edgevit::peak_memory_bytes() - before > 150'000'000);
}

TEST_CASE("a pulse keeps the processor busy for its time") {
  timespec before{}, after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  const std::int64_t start = now_ns();
  edgevit::keep_busy(start + 50'000'000);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  CHECK(now_ns() - start >= 50'000'000);
  const std::int64_t used_ns =
      (std::int64_t{after.tv_sec} - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
  CHECK(used_ns > 10'000'000);
}
