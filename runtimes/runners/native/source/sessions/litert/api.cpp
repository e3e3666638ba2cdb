// What changed in the part that is used here, by LiteRT's headers from v2.0.2 to v2.2.0 and its main branch after that,
// and by the symbols of the libraries of PyPI's ai-edge-litert 2.0.2 to 2.3.0, each of which was run:
//
//   2.0.2, 2.0.3    the library is called libLiteRtRuntimeCApi.so; the shapes of outputs cannot be asked for, so free
//                   axes of inputs cannot be set
//   2.1.0 to 2.1.2  libLiteRt.so; LiteRtGetCompiledModelOutputTensorLayouts
//   2.1.3           the threads are TOML text under the name "xnnpack", no longer a struct that LiteRtCreateCpuOptions
//                   makes under the same name; text is taken for the struct by older versions and the reverse
//   2.1.4           LiteRtGetStatusString is gone, so the names of statuses are kept here
//   2.1.6           LiteRtCreateModelFromFile takes the environment first; came with LiteRtCreateModelFromFd
//   2.2.0, 2.3.0    nothing
//
// No struct that is used here changed, no value of an enumeration, and no other function. Symbols have no types, and no
// function gives the version: a changed argument is seen in a crash, or in an error about something else. Hence the
// version comes from outside, what it promises is compared with the symbols there are, and a minor version that nobody
// has tried is refused. A later patch of one that was tried is taken as the last that was: the comparison still holds.
#include "api.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <tuple>

#include "../../core/failure.h"

namespace edgevit::litert {
namespace {

constexpr Version kFirst{2, 0, 2};
constexpr Version kLast{2, 3, 0};

bool operator<(const Version& left, const Version& right) {
  return std::tie(left.major, left.minor, left.patch) < std::tie(right.major, right.minor, right.patch);
}

std::string text_of(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
}

// A symbol whose presence tells two forms of the interface apart.
struct Mark {
  const char* symbol;
  Version changed;
  bool came;  // with that version; else it left with it
};

constexpr Mark kMarks[] = {
    {"LiteRtGetCompiledModelOutputTensorLayouts", {2, 1, 0}, true},
    {"LiteRtCreateCpuOptions", {2, 1, 3}, false},
    {"LiteRtCreateModelFromFd", {2, 1, 6}, true},
};

struct StatusName {
  Status status;
  const char* name;
};

constexpr StatusName kStatusNames[] = {
    {1, "ErrorInvalidArgument"},
    {2, "ErrorMemoryAllocationFailure"},
    {3, "ErrorRuntimeFailure"},
    {4, "ErrorMissingInputTensor"},
    {5, "ErrorUnsupported"},
    {6, "ErrorNotFound"},
    {7, "ErrorTimeoutExpired"},
    {8, "ErrorWrongVersion"},
    {9, "ErrorUnknown"},
    {10, "ErrorAlreadyExists"},
    {100, "Cancelled"},
    {500, "ErrorFileIO"},
    {501, "ErrorInvalidFlatbuffer"},
    {502, "ErrorDynamicLoading"},
    {503, "ErrorSerialization"},
    {504, "ErrorCompilation"},
    {1000, "ErrorIndexOOB"},
    {1001, "ErrorInvalidIrType"},
    {1002, "ErrorInvalidGraphInvariant"},
    {1003, "ErrorGraphModification"},
    {1500, "ErrorInvalidToolConfig"},
    {2000, "LegalizeNoMatch"},
    {2001, "ErrorInvalidLegalization"},
    {3000, "PatternNoMatch"},
    {3001, "InvalidTransformation"},
    {4000, "ErrorUnsupportedRuntimeVersion"},
    {4001, "ErrorUnsupportedCompilerVersion"},
    {4002, "ErrorIncompatibleByteCodeVersion"},
    {5000, "ErrorUnsupportedOpShapeInferer"},
    {5001, "ErrorShapeInferenceFailed"},
};

Version parse_version(const std::string& runtime) {
  const std::size_t space = runtime.rfind(' ');
  const std::string text = space == std::string::npos ? runtime : runtime.substr(space + 1);
  Version version;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%4d.%4d.%4d%n", &version.major, &version.minor, &version.patch, &end);
  if (read != 3 || static_cast<std::size_t>(end) != text.size() || version < Version{}) {
    throw Failure("the request calls the runtime '" + runtime +
                  "', expected a name and a released version, as 'LiteRT 2.3.0': LiteRT's C interface differs between "
                  "versions and the library cannot be asked");
  }
  return version;
}

void require_known(const Version& version, const std::string& library) {
  const bool older = version < kFirst;
  const bool newer = std::tie(kLast.major, kLast.minor) < std::tie(version.major, version.minor);
  if (older || newer) {
    throw Failure("this runner knows LiteRT's C interface from " + text_of(kFirst) + " to " +
                  std::to_string(kLast.major) + "." + std::to_string(kLast.minor) + ", and " + library +
                  " is LiteRT " + text_of(version) + (older ? ": fetch a newer library" : ": fetch an older library") +
                  (newer ? ", or a newer runner" : ""));
  }
}

// A version that the host got wrong would have functions called with arguments of another form.
void require_marks(void* library, const Version& version, const std::string& path) {
  for (const Mark& mark : kMarks) {
    const bool expected = (version < mark.changed) != mark.came;
    const bool found = dlsym(library, mark.symbol) != nullptr;
    if (found != expected) {
      throw Failure(path + " is not LiteRT " + text_of(version) + ", as which the request names it: it has " +
                    (found ? "" : "no ") + mark.symbol + ", which " + (mark.came ? "came" : "left") + " with " +
                    text_of(mark.changed) + "; fetch the library again");
    }
  }
}

template <typename Function>
void find_optional(void* library, const char* symbol, Function& function) {
  void* const address = dlsym(library, symbol);
  static_assert(sizeof(function) == sizeof(address));
  std::memcpy(&function, &address, sizeof(function));
}

// The symbols of one library, each of which must be there.
struct Symbols {
  void* library;
  const std::string& path;

  template <typename Function>
  void find(const char* symbol, Function& function) const {
    find_optional(library, symbol, function);
    if (function == nullptr) {
      throw Failure(path + " has no function " + symbol + ", which LiteRT has from " + text_of(kFirst) + " to " +
                    text_of(kLast) + ": it is another library");
    }
  }
};

void find_model(const Symbols& symbols, const Version& version, Api& api) {
  symbols.find("LiteRtCreateEnvironment", api.create_environment);
  symbols.find("LiteRtDestroyEnvironment", api.destroy_environment);
  if (version < Version{2, 1, 6}) {
    symbols.find("LiteRtCreateModelFromFile", api.create_model_from_file);
  } else {
    symbols.find("LiteRtCreateModelFromFile", api.create_model_in_environment);
  }
  symbols.find("LiteRtDestroyModel", api.destroy_model);
  symbols.find("LiteRtGetNumModelSignatures", api.get_num_signatures);
  symbols.find("LiteRtGetModelSignature", api.get_signature);
  symbols.find("LiteRtGetSignatureKey", api.get_signature_key);
  symbols.find("LiteRtGetSignatureSubgraph", api.get_signature_subgraph);
  symbols.find("LiteRtGetNumSignatureInputs", api.get_num_inputs);
  symbols.find("LiteRtGetNumSignatureOutputs", api.get_num_outputs);
  symbols.find("LiteRtGetSignatureInputName", api.get_input_name);
  symbols.find("LiteRtGetSignatureOutputName", api.get_output_name);
  symbols.find("LiteRtGetSubgraphInput", api.get_input);
  symbols.find("LiteRtGetSubgraphOutput", api.get_output);
  symbols.find("LiteRtGetRankedTensorType", api.get_tensor_type);
}

void find_options(const Symbols& symbols, const Version& version, Api& api) {
  symbols.find("LiteRtCreateOptions", api.create_options);
  symbols.find("LiteRtDestroyOptions", api.destroy_options);
  symbols.find("LiteRtSetOptionsHardwareAccelerators", api.set_accelerators);
  symbols.find("LiteRtAddOpaqueOptions", api.add_opaque_options);
  if (version < Version{2, 1, 3}) {
    symbols.find("LiteRtCreateCpuOptions", api.create_cpu_options);
    symbols.find("LiteRtFindCpuOptions", api.find_cpu_options);
    symbols.find("LiteRtSetCpuOptionsNumThread", api.set_cpu_threads);
  } else {
    symbols.find("LiteRtCreateOpaqueOptions", api.create_opaque_options);
  }
}

void find_run(const Symbols& symbols, Api& api) {
  symbols.find("LiteRtCreateCompiledModel", api.create_compiled_model);
  symbols.find("LiteRtDestroyCompiledModel", api.destroy_compiled_model);
  symbols.find("LiteRtCompiledModelResizeInputTensor", api.resize_input);
  find_optional(symbols.library, "LiteRtGetCompiledModelOutputTensorLayouts", api.get_output_layouts);
  symbols.find("LiteRtGetCompiledModelInputBufferRequirements", api.get_input_requirements);
  symbols.find("LiteRtGetCompiledModelOutputBufferRequirements", api.get_output_requirements);
  symbols.find("LiteRtRunCompiledModel", api.run);
  symbols.find("LiteRtCreateManagedTensorBufferFromRequirements", api.create_buffer);
  symbols.find("LiteRtDestroyTensorBuffer", api.destroy_buffer);
  symbols.find("LiteRtGetTensorBufferSize", api.get_buffer_size);
  symbols.find("LiteRtLockTensorBuffer", api.lock);
  symbols.find("LiteRtUnlockTensorBuffer", api.unlock);
}

}  // namespace

Api load(const std::string& library, const std::string& runtime) {
  const Version version = parse_version(runtime);
  require_known(version, library);
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays: its threads may outlive a session
  if (handle == nullptr) {
    const char* const words = dlerror();
    const std::string reason = words == nullptr ? "no reason given" : words;
    const std::string named = library + ": ";
    const bool begins = reason.compare(0, named.size(), named) == 0;
    throw Failure("cannot load " + (begins ? reason : named + reason));
  }
  const Symbols symbols{handle, library};
  Api api;
  symbols.find("LiteRtCreateEnvironment", api.create_environment);  // before the marks: is it LiteRT at all
  require_marks(handle, version, library);
  find_model(symbols, version, api);
  find_options(symbols, version, api);
  find_run(symbols, api);
  return api;
}

std::string status_text(Status status) {
  for (const StatusName& known : kStatusNames) {
    if (known.status == status) return std::string("kLiteRtStatus") + known.name + ", status " + std::to_string(status);
  }
  return "status " + std::to_string(status);
}

}  // namespace edgevit::litert
