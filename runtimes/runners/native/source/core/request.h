// What is asked for: `RunRequest` of runtimes/runners/contract.py, read from its JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor.h"

namespace edgevit {

constexpr std::int64_t kContractVersion = 3;  // of the lines that are written
constexpr std::int64_t kRequestVersion = 4;   // of the request that is read

struct Step {
  std::int64_t gap_ns = 0;   // rest from the end of what was before
  std::int64_t count = 0;    // forward passes; 0 for a control
  std::int64_t wait_ns = 0;  // how long a control lasts
};

struct Pulses {
  std::vector<std::int64_t> busy_ns;
  std::int64_t idle_ns = 0;
};

struct Workload {
  std::int64_t runs = 0;
  std::int64_t warmup = 0;
  std::int64_t threads = 1;
  std::int64_t idle_ns = 0;
  std::vector<Step> schedule;
  std::vector<int> cpus;  // that may be used; empty for all
  std::optional<Pulses> pulses;
};

struct Request {
  std::string format;                  // "onnx", "tflite", "pte" or "ptl"
  std::string model;                   // file
  std::string library;                 // file of the runtime's library; empty where the program is linked with it
  std::string runtime;                 // its name and version as the host knows them, for runtimes that cannot be asked
  std::string inputs;                  // .npz
  std::string lines;                   // file to write
  std::optional<std::string> outputs;  // .npz to write
  std::vector<TensorInfo> takes;       // in the order of the model, for files that do not say it
  std::vector<TensorInfo> gives;       // likewise
  Workload workload;
};

// Throws Failure: no JSON, another version of the contract, a field that is missing, of another type or impossible.
Request parse_request(std::string_view json);

// The file for the lines that a request names, whatever else is wrong with it; empty where it names none.
std::string lines_file(std::string_view json);

}  // namespace edgevit
