// Any bytes as a request: refused in words or read, and nothing else.
#include <cstddef>
#include <cstdint>

#include "core/failure.h"
#include "core/json.h"
#include "core/request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const edgevit::Request request = edgevit::parse_request(text);
    if (request.workload.runs < 1 || request.workload.threads < 1) __builtin_trap();
  } catch (const edgevit::Failure& failure) {
    edgevit::Json::parse(edgevit::quoted(failure.what()));  // whatever it quotes stands in a line of JSON
  }
  (void)edgevit::lines_file(text);
  return 0;
}
