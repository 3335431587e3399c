// SPDX-License-Identifier: BSL-1.0
// The group on GPUs with one process: it exchanges with itself, and a training with it is the plain one bit for bit. Needs a GPU.
#include "dew/train/nccl_processes.hpp"
#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
struct Losses {
  std::vector<double>*out, *validations;
  void on(StepEnded const& e) { out->push_back(e.loss); }
  void on(EpochEnded const& e) {
    out->push_back(e.validation_loss);
    validations->push_back(e.validation_loss);
  }
  void on(ScanTried const& e) { out->push_back(e.value); }
};
struct Outcome {
  std::map<std::string, Tensor> weights;
  std::vector<double> losses, validations;
};

Outcome train(std::shared_ptr<Processes> processes, at::Device device) {
  Outcome out;
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7, device);
  TrainerSettings settings{.train = {1, 2, 3, 4}, .validate = {5, 6}};
  settings.processes = std::move(processes);
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings, Callbacks{}.add(Losses{&out.losses, &out.validations}));
  trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 10, .learning_rate = 0.1, .warmup_steps = 2, .events_per_step = 3}),
              scan<ToyClusterer>(maximise("toy_metric.right")));
  for (auto const& [name, t] : trained.tensors()) out.weights[name] = t.detach().to(at::kCPU);
  return out;
}

void demand(bool ok, char const* what) {
  fmt::print("{}: {}\n", what, ok ? "yes" : "NO");
  check(ok, "{}: no", what);
}
}  // namespace

int main() try {
  if (!at::globalContext().hasCUDA()) {
    fmt::print("[skipped] no GPU\n");
    return 0;
  }
  at::Device const device(at::kCUDA, 0);
  auto const group = std::make_shared<NcclProcesses>(ProcessOptions{.timeout_s = 60, .bucket_mb = 1e-6}, Launch{}, device);

  auto const on_device = at::arange(1000, at::TensorOptions(device).dtype(at::kFloat)).clone(), on_cpu = at::full({3}, 0.1, at::kDouble);
  auto const before = on_device.clone();
  group->sum(on_device), group->sum(on_cpu), group->broadcast(on_device);
  demand(at::equal(on_device, before) && at::equal(on_cpu, at::full({3}, 0.1, at::kDouble)),
         "a sum and a broadcast of one process are what they were");
  demand(group->gather("some text") == std::vector<std::string>{"some text"} && group->first_says(true), "texts are gathered");

  auto const plain = train(std::make_shared<OneProcess>(), device), shared = train(group, device);
  demand(plain.losses == shared.losses && plain.losses.size() > 30, "losses, validations and scans are equal bit for bit");
  bool equal = plain.weights.size() == shared.weights.size();
  for (auto const& [name, t] : plain.weights) equal = equal && at::equal(t, shared.weights.at(name));
  demand(equal, "weights are equal bit for bit");
  demand(plain.validations.back() < plain.validations.front(), "and the training has learned");

  auto const large = at::zeros({500'000}, at::TensorOptions(device).dtype(at::kFloat));
  auto const began = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) group->sum(large);
  fmt::print("a sum of 2 MB: {:.3f} ms\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / 200 * 1e3);
  return 0;
} catch (std::exception const& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
