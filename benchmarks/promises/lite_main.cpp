// The lite interpreter of one release, as Android's bindings call it: prints every operator's schema, or runs a file.
//
//   lite_main                   schemas, one a line
//   lite_main model.ptl         then, a line of standard input a run: OUTPUT<tab>INPUT@1x3x224x224<tab>...
//
// Inputs are raw float32; an output is its rank, its sizes (int64 each) and its float32 values. Wheels before 1.13 lack
// the headers of the lite interpreter, so what is called is declared here: a module is only passed on by reference, and
// gets more room than any release takes.
#include <torch/csrc/jit/runtime/operator.h>
#include <ATen/ATen.h>
#if TORCH_RELEASE >= 110
#include <c10/core/InferenceMode.h>
#endif
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace torch { namespace jit {
namespace mobile {
class Function;
class Module;
struct Method {
  c10::IValue operator()(std::vector<c10::IValue> stack) const;
  const Module* owner;
  Function* function;
};
class Module {
 public:
  ~Module() {}
  Method get_method(const std::string& name) const;
 private:
  alignas(16) char bytes[4096];
};
}  // namespace mobile
mobile::Module _load_for_mobile(const std::string& file, c10::optional<at::Device> device);
}}  // namespace torch::jit

static void write_tensor(std::ofstream& out, const at::Tensor& value) {
  at::Tensor tensor = value.contiguous().to(at::kFloat);
  int64_t rank = tensor.dim();
  out.write(reinterpret_cast<const char*>(&rank), sizeof rank);
  for (int64_t size : tensor.sizes()) out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out.write(static_cast<const char*>(tensor.data_ptr()), tensor.numel() * sizeof(float));
}

static at::Tensor read_tensor(const std::string& argument) {
  size_t at = argument.rfind('@');
  std::vector<int64_t> shape;
  std::stringstream sizes(argument.substr(at + 1));
  for (std::string size; std::getline(sizes, size, 'x');) shape.push_back(std::stoll(size));
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::ifstream file(argument.substr(0, at), std::ios::binary);
  file.read(static_cast<char*>(tensor.data_ptr()), tensor.numel() * sizeof(float));
  if (!file) throw std::runtime_error("input too short: " + argument);
  return tensor;
}

static void run(const torch::jit::mobile::Module& module, std::istream& line) {
  std::string target;
  std::getline(line, target, '\t');
  std::vector<c10::IValue> inputs;
  for (std::string input; std::getline(line, input, '\t');) inputs.push_back(read_tensor(input));
  c10::IValue result = module.get_method("forward")(inputs);
  std::ofstream out(target, std::ios::binary);
  if (result.isTensor()) write_tensor(out, result.toTensor());
  else for (const auto& one : result.toTuple()->elements()) write_tensor(out, one.toTensor());
  out.close();
  if (!out) throw std::runtime_error("cannot write " + target);
}

int main(int count, char** arguments) try {
  if (count == 1) {
    for (const auto& one : torch::jit::getAllOperators()) std::cout << one->schema() << "\n";
    return 0;
  }
  at::NoGradGuard no_grad;
#if TORCH_RELEASE < 110
  at::AutoNonVariableTypeMode guard(true);
#else
  c10::InferenceMode guard;
#endif
  at::globalContext().setQEngine(at::kQNNPACK);  // the default of builds for phones, and of no other
  auto module = torch::jit::_load_for_mobile(arguments[1], c10::nullopt);
  std::cout << "loaded" << std::endl;
  for (std::string text; std::getline(std::cin, text);) {
    std::stringstream line(text);
    run(module, line);
    std::cout << "done" << std::endl;
  }
  return 0;
} catch (const std::exception& error) {
  std::string text = error.what();
  std::cout << "refused: " << text.substr(0, text.find('\n')) << std::endl;
  return 1;
}
