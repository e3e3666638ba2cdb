// A session without a runtime: each output is its input with every byte increased by one; it does what its model's file
// name says.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "core/failure.h"
#include "core/session.h"

namespace edgevit {

namespace {

class EchoSession : public Session {
 public:
  explicit EchoSession(const Request& request) : takes_(request.takes), gives_(request.gives), model_(request.model) {
    if (model_ == "refused") throw Failure("the runtime says \"no\"\n\xff");
  }

  std::string runtime() const override { return "echo 1"; }

  const std::vector<TensorInfo>& inputs() const override { return takes_; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    if (model_ == "fails") throw Failure("it fell over");
    if (model_ == "killed") std::raise(SIGKILL);
    const timespec duration{0, 2'000'000};
    nanosleep(&duration, nullptr);
    outputs.resize(inputs.size());
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      outputs[index] = inputs[index];
      outputs[index].name = gives_[index].name;
      for (std::byte& value : outputs[index].data) value = static_cast<std::byte>(static_cast<int>(value) + 1);
    }
  }

 private:
  std::vector<TensorInfo> takes_, gives_;
  std::string model_;
};

}  // namespace

std::unique_ptr<Session> open_session(const Request& request) { return std::make_unique<EchoSession>(request); }

}  // namespace edgevit
