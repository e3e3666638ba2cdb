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

#include <cstdio>
#include <tuple>

#include "../../core/failure.h"
#include "../library.h"

namespace edgevit::litert {
namespace {

constexpr Version kFirst{2, 0, 2};
constexpr Version kLast{2, 3, 0};
constexpr Version kTellsShapes{2, 1, 0};
constexpr Version kTakesOptionsAsText{2, 1, 3};
constexpr Version kTakesEnvironment{2, 1, 6};

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
    {"LiteRtGetCompiledModelOutputTensorLayouts", kTellsShapes, true},
    {"LiteRtCreateCpuOptions", kTakesOptionsAsText, false},
    {"LiteRtCreateModelFromFd", kTakesEnvironment, true},
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

void require_known(const Version& version, const std::string& path) {
  const bool older = version < kFirst;
  const bool newer = std::tie(kLast.major, kLast.minor) < std::tie(version.major, version.minor);
  if (older || newer) {
    throw Failure("this runner knows LiteRT's C interface from " + text_of(kFirst) + " to " +
                  std::to_string(kLast.major) + "." + std::to_string(kLast.minor) + ", and " + path + " is LiteRT " +
                  text_of(version) + (older ? ": fetch a newer library" : ": fetch an older library") +
                  (newer ? ", or a newer runner" : ""));
  }
}

// A version that the host got wrong would have functions called with arguments of another form.
void require_marks(const Library& library, const Version& version, const std::string& path) {
  for (const Mark& mark : kMarks) {
    const bool expected = (version < mark.changed) != mark.came;
    const bool found = library.find(mark.symbol) != nullptr;
    if (found != expected) {
      throw Failure(path + " is not LiteRT " + text_of(version) + ", as which the request names it: it has " +
                    (found ? "" : "no ") + mark.symbol + ", which " + (mark.came ? "came" : "left") + " with " +
                    text_of(mark.changed) + "; fetch the library again");
    }
  }
}

template <typename Function>
void find(const Library& library, const char* symbol, Function& function) {
  function = library.require<Function>(symbol);
}

void find_model(const Library& library, const Version& version, Api& api) {
  find(library, "LiteRtDestroyEnvironment", api.destroy_environment);
  if (version < kTakesEnvironment) {
    find(library, "LiteRtCreateModelFromFile", api.create_model_from_file);
  } else {
    find(library, "LiteRtCreateModelFromFile", api.create_model_in_environment);
  }
  find(library, "LiteRtDestroyModel", api.destroy_model);
  find(library, "LiteRtGetNumModelSignatures", api.get_num_signatures);
  find(library, "LiteRtGetModelSignature", api.get_signature);
  find(library, "LiteRtGetSignatureKey", api.get_signature_key);
  find(library, "LiteRtGetSignatureSubgraph", api.get_signature_subgraph);
  find(library, "LiteRtGetNumSignatureInputs", api.get_num_inputs);
  find(library, "LiteRtGetNumSignatureOutputs", api.get_num_outputs);
  find(library, "LiteRtGetSignatureInputName", api.get_input_name);
  find(library, "LiteRtGetSignatureOutputName", api.get_output_name);
  find(library, "LiteRtGetSubgraphInput", api.get_input);
  find(library, "LiteRtGetSubgraphOutput", api.get_output);
  find(library, "LiteRtGetRankedTensorType", api.get_tensor_type);
}

void find_options(const Library& library, const Version& version, Api& api) {
  find(library, "LiteRtCreateOptions", api.create_options);
  find(library, "LiteRtDestroyOptions", api.destroy_options);
  find(library, "LiteRtSetOptionsHardwareAccelerators", api.set_accelerators);
  find(library, "LiteRtAddOpaqueOptions", api.add_opaque_options);
  if (version < kTakesOptionsAsText) {
    find(library, "LiteRtCreateCpuOptions", api.create_cpu_options);
    find(library, "LiteRtFindCpuOptions", api.find_cpu_options);
    find(library, "LiteRtSetCpuOptionsNumThread", api.set_cpu_threads);
  } else {
    find(library, "LiteRtCreateOpaqueOptions", api.create_opaque_options);
  }
}

void find_run(const Library& library, const Version& version, Api& api) {
  find(library, "LiteRtCreateCompiledModel", api.create_compiled_model);
  find(library, "LiteRtDestroyCompiledModel", api.destroy_compiled_model);
  find(library, "LiteRtCompiledModelResizeInputTensor", api.resize_input);
  if (!(version < kTellsShapes)) find(library, "LiteRtGetCompiledModelOutputTensorLayouts", api.get_output_layouts);
  find(library, "LiteRtGetCompiledModelInputBufferRequirements", api.get_input_requirements);
  find(library, "LiteRtGetCompiledModelOutputBufferRequirements", api.get_output_requirements);
  find(library, "LiteRtRunCompiledModel", api.run);
  find(library, "LiteRtCreateManagedTensorBufferFromRequirements", api.create_buffer);
  find(library, "LiteRtDestroyTensorBuffer", api.destroy_buffer);
  find(library, "LiteRtGetTensorBufferSize", api.get_buffer_size);
  find(library, "LiteRtLockTensorBuffer", api.lock);
  find(library, "LiteRtUnlockTensorBuffer", api.unlock);
}

}  // namespace

Api load(const std::string& path, const std::string& runtime) {
  const Version version = parse_version(runtime);
  require_known(version, path);
  const Library library(path);
  Api api;
  find(library, "LiteRtCreateEnvironment", api.create_environment);  // before the marks: is it LiteRT at all
  require_marks(library, version, path);
  find_model(library, version, api);
  find_options(library, version, api);
  find_run(library, version, api);
  return api;
}

std::string status_text(Status status) {
  for (const StatusName& known : kStatusNames) {
    if (known.status == status) return std::string("kLiteRtStatus") + known.name + ", status " + std::to_string(status);
  }
  return "status " + std::to_string(status);
}

}  // namespace edgevit::litert
