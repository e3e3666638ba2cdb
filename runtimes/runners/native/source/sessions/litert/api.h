// The part of LiteRT's C interface that a run needs, declared by hand: no header of LiteRT takes part in the build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgevit::litert {

using Status = int;
constexpr Status kOk = 0;

using Environment = struct EnvironmentHandle*;
using Model = struct ModelHandle*;
using Signature = struct SignatureHandle*;
using Subgraph = struct SubgraphHandle*;
using TensorOfModel = struct TensorHandle*;
using Options = struct OptionsHandle*;
using OpaqueOptions = struct OpaqueOptionsHandle*;
using CpuOptions = struct CpuOptionsHandle*;
using CompiledModel = struct CompiledModelHandle*;
using Requirements = struct RequirementsHandle*;
using Buffer = struct BufferHandle*;

constexpr int kCpu = 1;  // of the accelerators, a bit
constexpr int kReadLock = 0;
constexpr int kWriteLock = 1;
constexpr int kMaxRank = 8;

struct Layout {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  std::int32_t dimensions[kMaxRank];  // negative where free; undefined from `rank` on
  std::uint32_t strides[kMaxRank];
};
static_assert(sizeof(Layout) == 68);

struct TensorType {
  int element_type;
  Layout layout;
};
static_assert(sizeof(TensorType) == 72);

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
};

// The functions of one loaded library, null where its version has none.
struct Api {
  Status (*create_environment)(int count, const void* options, Environment*) = nullptr;
  void (*destroy_environment)(Environment) = nullptr;

  Status (*create_model_from_file)(const char* file, Model*) = nullptr;                    // before 2.1.6
  Status (*create_model_in_environment)(Environment, const char* file, Model*) = nullptr;  // since 2.1.6
  void (*destroy_model)(Model) = nullptr;
  Status (*get_num_signatures)(Model, std::size_t*) = nullptr;
  Status (*get_signature)(Model, std::size_t index, Signature*) = nullptr;

  Status (*get_signature_key)(Signature, const char**) = nullptr;
  Status (*get_signature_subgraph)(Signature, Subgraph*) = nullptr;
  Status (*get_num_inputs)(Signature, std::size_t*) = nullptr;
  Status (*get_num_outputs)(Signature, std::size_t*) = nullptr;
  Status (*get_input_name)(Signature, std::size_t index, const char**) = nullptr;
  Status (*get_output_name)(Signature, std::size_t index, const char**) = nullptr;
  Status (*get_input)(Subgraph, std::size_t index, TensorOfModel*) = nullptr;
  Status (*get_output)(Subgraph, std::size_t index, TensorOfModel*) = nullptr;
  Status (*get_tensor_type)(TensorOfModel, TensorType*) = nullptr;

  Status (*create_options)(Options*) = nullptr;
  void (*destroy_options)(Options) = nullptr;
  Status (*set_accelerators)(Options, int accelerators) = nullptr;
  Status (*add_opaque_options)(Options, OpaqueOptions) = nullptr;  // takes them over
  Status (*create_opaque_options)(const char* name, void* payload, void (*destroy)(void*), OpaqueOptions*) = nullptr;
  Status (*create_cpu_options)(OpaqueOptions*) = nullptr;            // before 2.1.3
  Status (*find_cpu_options)(OpaqueOptions, CpuOptions*) = nullptr;  // before 2.1.3
  Status (*set_cpu_threads)(CpuOptions, int threads) = nullptr;      // before 2.1.3

  Status (*create_compiled_model)(Environment, Model, Options, CompiledModel*) = nullptr;
  void (*destroy_compiled_model)(CompiledModel) = nullptr;
  Status (*resize_input)(CompiledModel, std::size_t signature, std::size_t input, const int* dimensions,
                         std::size_t rank) = nullptr;
  Status (*get_output_layouts)(CompiledModel, std::size_t signature, std::size_t count, Layout*,
                               bool allocate) = nullptr;  // since 2.1.0
  Status (*get_input_requirements)(CompiledModel, std::size_t signature, std::size_t input, Requirements*) = nullptr;
  Status (*get_output_requirements)(CompiledModel, std::size_t signature, std::size_t output, Requirements*) = nullptr;
  Status (*run)(CompiledModel, std::size_t signature, std::size_t inputs, Buffer*, std::size_t outputs,
                Buffer*) = nullptr;

  Status (*create_buffer)(Environment, const TensorType*, Requirements, Buffer*) = nullptr;
  void (*destroy_buffer)(Buffer) = nullptr;
  Status (*get_buffer_size)(Buffer, std::size_t*) = nullptr;
  Status (*lock)(Buffer, void** address, int mode) = nullptr;
  Status (*unlock)(Buffer) = nullptr;
};

// Load the library at `path`, which is of the version that `runtime` ends in, as "LiteRT 2.3.0".
// Throws Failure: `runtime` ends in no version, or in one whose interface is not known here, or the library cannot be
// loaded, or it is not of that version.
Api load(const std::string& path, const std::string& runtime);

// LiteRT's name and number of a status, as "kLiteRtStatusErrorFileIO, status 500".
std::string status_text(Status status);

}  // namespace edgevit::litert
