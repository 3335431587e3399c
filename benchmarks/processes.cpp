// SPDX-License-Identifier: BSL-1.0
// Steps a second of a training by several processes. Usage: [mpirun -n N] benchmark_processes [EVENTS_PER_STEP [PARTICLES]]
// Prints one row; the same global batch for every N. Build with -DDEW_MPI=ON, and set OMP_NUM_THREADS.
#include <dew/event/simulated_detector.hpp>
#include <dew/graph/geometric_graph.hpp>
#include <dew/loss/edge_losses.hpp>
#include <dew/model/edge_classifier.hpp>
#include <dew/train/started_processes.hpp>
#include <dew/train/trainer.hpp>

using namespace dew;

namespace {
/// Time and waiting from the end of the first epoch (in which graphs are built) to the last step.
struct Pace {
  Processes* group;
  Clock clock;
  std::int64_t* steps;
  double *seconds, *waited;
  double began = 0, waited_before = 0;
  void on(EpochEnded const& e) {
    if (e.epoch == 0) began = clock(), waited_before = group->seconds_waited(), *steps = 0;
  }
  void on(StepEnded const&) {
    ++*steps;
    *seconds = clock() - began;
    *waited = group->seconds_waited() - waited_before;
  }
};
}  // namespace

int main(int argc, char** argv) {
  try {
    int const events_per_step = argc > 1 ? std::stoi(argv[1]) : 4;
    std::int64_t const particles = argc > 2 ? std::stoll(argv[2]) : 300;
    auto const launch = launch_of_this_process();
    TrainerSettings settings;
    settings.processes = start_processes(launch, {}, at::kCPU);
    for (std::int64_t id = 1; id <= 24; ++id) settings.train.push_back(id);
    SimulatedDetector const source{{.particles = particles}};
    Trained trained(Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 64, .layers = 3}}}, source.labelled(1), 1);
    std::int64_t parameters = 0;
    for (auto const& [name, t] : trained.tensors()) parameters += t.numel();
    std::int64_t steps = 0;
    double seconds = 0, waited = 0;
    auto& group = *settings.processes;
    Trainer trainer(trained, source, std::tuple{}, settings, Callbacks{}.add(Pace{&group, steady_clock(), &steps, &seconds, &waited}));
    trainer.run(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 6, .events_per_step = events_per_step}));
    if (group.first())
      fmt::print(
          "{} processes of {} threads, {} events a step, {} parameters: {:.2f} steps/s, {:.1f} % of the time in messages and waiting\n",
          group.size(), at::get_num_threads(), events_per_step, parameters, double(steps) / seconds, 100 * waited / seconds);
    return 0;
  } catch (Error const& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.exit_status();
  }
}
