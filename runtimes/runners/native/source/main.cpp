// edgevit-runner REQUEST.json: run one request, leave its lines and outputs. See core/runner.h.
#include <cstdio>
#include <cstring>

#include "core/request.h"
#include "core/runner.h"

int main(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "--version") == 0) {
    std::printf("{\"runner\": \"%s\", \"contract\": %lld, \"request\": %lld}\n", edgevit::kRunner,
                static_cast<long long>(edgevit::kContractVersion), static_cast<long long>(edgevit::kRequestVersion));
    return 0;
  }
  if (count != 2 || arguments[1][0] == '-') {
    std::fprintf(stderr, "usage: %s REQUEST.json\n       %s --version\n", arguments[0], arguments[0]);
    return 2;
  }
  return edgevit::run_request(arguments[1]);
}
