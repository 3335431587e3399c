// SPDX-License-Identifier: BSL-1.0
// Interrupted trainings of a real program: killed at random moments, its files broken, its folder taken by somebody else.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include "app/tiny_program.hpp"
#include "dew/app/app.hpp"
#include "dew/cluster/dbscan.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/model/condenser.hpp"
#include "dew/model/edge_classifier.hpp"
#include "support/seed.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
using Arguments = std::vector<std::string>;

/// Three parts, with early stopping and the best weights in the second.
int small_program(Arguments const& arguments) {
  std::vector<char const*> argv{"small"};
  for (auto const& a : arguments) argv.push_back(a.c_str());
  return App{"small", Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 8, .layers = 1}},
                               Condenser{{.latent = 3, .hidden = 8, .layers = 1}}, Dbscan{}}}
      .events(TrackMl{})
      .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 24, .warmup_steps = 3, .events_per_step = 2}),
             fit<Condenser>(Attraction{} + Repulsion{}, {.epochs = 30, .learning_rate = 3e-2, .warmup_steps = 3, .patience = 4}),
             scan<Dbscan>(maximise("tracking.pt0.9.double_majority"), {.eps_min = 0.1, .eps_max = 0.9, .eps_steps = 5}))
      .evaluate(EdgeMetrics{}, TrackingMetrics{})
      .run(int(argv.size()), argv.data());
}
/// Another program, with other stages.
int other_program(Arguments const& arguments) {
  std::vector<char const*> argv{"other"};
  for (auto const& a : arguments) argv.push_back(a.c_str());
  return dew::test::tiny_program(int(argv.size()), argv.data(), 1);
}

constexpr char const* child_case = "the program that other cases start";

/// A process that runs the program.
class Process {
 public:
  Process(Arguments const& arguments, fs::path const& output, std::string const& program = "small") {
    std::vector<std::string> words{"app_tests", fmt::format("-tc={}", child_case), "--no-skip", "--", program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files{};
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    REQUIRE(posix_spawn(&id_, "/proc/self/exe", &files, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&files);
  }
  ~Process() { kill(); }
  Process(Process const&) = delete;
  Process& operator=(Process const&) = delete;

  bool running() {
    if (!ended_ && ::waitpid(id_, &status_, WNOHANG) == id_) ended_ = true;
    return !ended_;
  }
  void kill() {
    if (!running()) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, &status_, 0);
    ended_ = true;
  }
  /// The exit status, -1 for a killed process.
  int wait() {
    if (!ended_) ::waitpid(id_, &status_, 0);
    ended_ = true;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  ::pid_t id_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

struct Result {
  int status;
  std::string output;
};
Result run(Arguments const& arguments, std::string const& program = "small") {
  TempDir const folder;
  Process process(arguments, folder / "out", program);
  int const status = process.wait();
  return {status, read_file(folder / "out")};
}

/// Small events, made once for all tests of this process.
std::string events() {
  static TempDir const folder;
  static bool const made =
      run({"simulate", "--out", folder.path().string(), "--select", "1-6", "--particles", "40", "--quiet"}).status == 0;
  REQUIRE(made);
  return folder.path().string();
}
Arguments train_arguments(fs::path const& out, Arguments const& more = {}) {
  Arguments a{"train", "--events", events(), "--train", "1-4", "--validate", "5-6", "--out", out.string(), "--quiet", "--threads", "1"};
  a.insert(a.end(), more.begin(), more.end());
  return a;
}
Arguments resume_arguments(fs::path const& run) { return {"train", "--resume", run.string(), "--quiet"}; }

/// The lines of a log without what a clock said.
std::vector<std::string> timeless(fs::path const& log) {
  std::istringstream in(read_file(log));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    auto const json = nlohmann::ordered_json::parse(line);
    auto kept = nlohmann::ordered_json::object();
    for (auto const& [name, value] : json.items())
      if (!name.starts_with("time_")) kept[name] = value;
    out.push_back(kept.dump());
  }
  return out;
}
std::vector<std::string> timeless_csv(fs::path const& log) {
  std::istringstream in(read_file(log));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line.substr(0, line.rfind(',')));
  return out;
}
std::vector<std::string> names(fs::path const& folder) {
  std::vector<std::string> out;
  if (fs::exists(folder))
    for (auto const& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}
void check_same_run(fs::path const& a, fs::path const& b) {
  CHECK(read_file(a / "model.safetensors") == read_file(b / "model.safetensors"));
  CHECK(read_file(a / "metrics.json") == read_file(b / "metrics.json"));
  CHECK(read_file(a / "config.toml") == read_file(b / "config.toml"));
  CHECK(timeless(a / "log.jsonl") == timeless(b / "log.jsonl"));
  CHECK(timeless_csv(a / "log.csv") == timeless_csv(b / "log.csv"));
  CHECK(names(a / "checkpoints") == names(b / "checkpoints"));
  CHECK(names(a) == names(b));
}
void pause(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }
/// A run that was killed when it had saved checkpoint `number`.
void make_unfinished(fs::path const& run, int number,
                     Arguments const& more = {"--checkpoint.every_steps", "1", "--checkpoint.keep_last", "3"}) {
  TempDir const folder;
  Process process(train_arguments(run, more), folder / "out");
  RunFolder const files(run);
  while (process.running() && !fs::exists(files.checkpoints().path(number))) pause(1e-3);
  process.kill();
  REQUIRE_MESSAGE(fs::exists(files.checkpoints().path(number)), read_file(folder / "out"));
  REQUIRE(!files.finished());
}
/// A small file system of its own, for a scope. Only root may have one.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path const& folder) : folder_(folder) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=4m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(SmallDisk const&) = delete;
  SmallDisk& operator=(SmallDisk const&) = delete;
  bool mounted() const { return mounted_; }
  std::uintmax_t space() const {
    struct ::statvfs status{};
    REQUIRE(::statvfs(folder_.c_str(), &status) == 0);
    return std::uintmax_t(status.f_bavail) * status.f_bsize;
  }
  /// Writes a file that leaves so many bytes.
  void fill_but(std::uintmax_t bytes) const {
    std::ofstream(folder_ / "filler", std::ios::binary) << std::string(space() - bytes, 'x');
    REQUIRE(space() <= bytes);
  }
  void make_room() const { fs::remove(folder_ / "filler"); }

 private:
  fs::path folder_;
  bool mounted_ = false;
};
fs::path newest(fs::path const& run) {
  auto const all = names(run / "checkpoints");
  fs::path found;
  for (auto const& name : all)
    if (name.ends_with(".safetensors")) found = run / "checkpoints" / name;
  return found;
}
}  // namespace

TEST_CASE("the program that other cases start" * doctest::skip()) {
  std::istringstream in(read_file("/proc/self/cmdline"));
  Arguments arguments;
  bool ours = false;
  for (std::string word; std::getline(in, word, '\0');) {
    if (ours) arguments.push_back(word);
    ours = ours || word == "--";
  }
  auto const program = arguments.at(0);
  arguments.erase(arguments.begin());
  int const status = program == "small" ? small_program(arguments) : other_program(arguments);
  std::fflush(stdout), std::fflush(stderr);
  std::_Exit(status);
}

TEST_CASE("a training killed 20 times at random moments gives the bytes of one that was not") {
  constexpr int kills_wanted = 20;
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  auto const uniform = [&](double from, double to) { return std::uniform_real_distribution<double>(from, to)(random); };
  TempDir const folder;
  Arguments const often{"--checkpoint.every_steps", "1"};
  auto const whole = folder / "whole";
  auto const began = std::chrono::steady_clock::now();
  {
    auto const result = run(train_arguments(whole, often));
    REQUIRE_MESSAGE(result.status == 0, result.output);
  }
  double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  // a run without checkpoints every step is the same
  auto const seldom = run(train_arguments(folder / "seldom"));
  REQUIRE_MESSAGE(seldom.status == 0, seldom.output);
  CHECK(read_file(whole / "model.safetensors") == read_file(folder / "seldom" / "model.safetensors"));
  CHECK(timeless(whole / "log.jsonl") == timeless(folder / "seldom" / "log.jsonl"));

  int kills = 0, while_writing = 0, runs = 0;
  for (; kills < kills_wanted; ++runs) {
    auto const path = folder / fmt::format("run{}", runs);
    RunFolder const files(path);
    std::int64_t reached = -1;
    for (bool finished = false; !finished;) {
      Process process(files.exists() ? resume_arguments(path) : train_arguments(path, often), folder / "out");
      if (kills < kills_wanted) {
        if (kills % 2 == 0) {  // whenever: while it starts, trains, scans or scores
          auto const longest = kills % 4 == 0 ? seconds : 0.3 * seconds;
          auto const until = std::chrono::steady_clock::now() + std::chrono::duration<double>(uniform(0, longest));
          while (process.running() && std::chrono::steady_clock::now() < until) pause(1e-3);
        } else {  // while it writes one of its next checkpoints
          std::string last;
          for (auto left = std::uniform_int_distribution<int>(1, 12)(random); left > 0 && process.running();)
            for (auto const& name : names(path / "checkpoints"))
              if (name.ends_with(".part") && name != last) last = name, --left;
        }
        if (process.running()) {
          process.kill();
          ++kills;
          for (auto const& name : names(path / "checkpoints")) while_writing += name.ends_with(".part");
          auto const number = newest(path).empty() ? -1 : read_checkpoint(newest(path)).state.number;
          CHECK(number >= reached);  // never back to the start, and what is there is whole
          reached = number;
          continue;
        }
      }
      auto const status = process.wait();
      REQUIRE_MESSAGE(status == 0, read_file(folder / "out"));
      finished = true;
    }
    check_same_run(path, whole);
  }
  MESSAGE(kills << " kills in " << runs << " runs of " << seconds << " s, " << while_writing
                << " of them while a checkpoint was being written");
  CHECK(while_writing > 0);
}

TEST_CASE("a broken newest checkpoint is warned of and the one before is used") {
  TempDir const folder;
  auto const whole = folder / "whole", path = folder / "run";
  REQUIRE(run(train_arguments(whole)).status == 0);
  make_unfinished(path, 9);
  auto const file = newest(path);
  auto bytes = read_file(file);
  bytes.back() = char(bytes.back() ^ 4);
  write_file_atomically(file, bytes);
  auto const resumed = run(resume_arguments(path));
  REQUIRE_MESSAGE(resumed.status == 0, resumed.output);
  CHECK(resumed.output.find(file.string() + ": is broken: its checksum differs; the one before it is used\n") != std::string::npos);
  CHECK(resumed.output.find("starts over") == std::string::npos);
  CHECK(read_file(path / "model.safetensors") == read_file(whole / "model.safetensors"));
  CHECK(timeless(path / "log.jsonl") == timeless(whole / "log.jsonl"));
  CHECK(run(resume_arguments(path)).output == path.string() + ": is finished already\n");
}

TEST_CASE("a run whose checkpoints are all gone or broken starts over and says so") {
  TempDir const folder;
  auto const path = folder / "run";
  make_unfinished(path, 5);
  for (auto const& name : names(path / "checkpoints")) fs::resize_file(path / "checkpoints" / name, 20);
  auto const resumed = run(resume_arguments(path));
  REQUIRE_MESSAGE(resumed.status == 0, resumed.output);
  CHECK(resumed.output.find("there is none before it\n") != std::string::npos);
  CHECK(resumed.output.find(path.string() + ": has no checkpoint yet; starts over\n") != std::string::npos);
  REQUIRE(run(train_arguments(folder / "whole")).status == 0);
  CHECK(read_file(path / "model.safetensors") == read_file(folder / "whole" / "model.safetensors"));
  CHECK(timeless(path / "log.jsonl") == timeless(folder / "whole" / "log.jsonl"));

  // but not one that began with other weights
  auto const second = folder / "second";
  make_unfinished(second, 3, {"--init", path.string(), "--checkpoint.every_steps", "1"});
  fs::remove_all(second / "checkpoints");
  auto const refused = run(resume_arguments(second));
  CHECK(refused.status == 1);
  CHECK(refused.output.find("has no checkpoint, and began with the weights of another run") != std::string::npos);
}

TEST_CASE("a second process in a run folder is refused, and another training's checkpoint too") {
  TempDir const folder;
  auto const path = folder / "run";
  {
    Process first(train_arguments(path, {"--checkpoint.every_steps", "1"}), folder / "out");
    while (first.running() && newest(path).empty()) pause(1e-3);
    REQUIRE(first.running());
    for (auto const& arguments :
         {resume_arguments(path), train_arguments(path, {"--checkpoint.every_steps", "1"}), train_arguments(path, {"--force"})}) {
      auto const second = run(arguments);
      CHECK(second.status == 2);
      CHECK(second.output.find(path.string() + ": process ") != std::string::npos);
      CHECK(second.output.find(" is training in this folder\n") != std::string::npos);
    }
    REQUIRE(first.running());
  }
  auto const other = run(resume_arguments(path), "other");
  CHECK(other.status == 1);
  CHECK(other.output.find("  pipeline: geometric_graph, edge_classifier, condenser, dbscan there, geometric_graph, edge_classifier, "
                          "connected_components here") != std::string::npos);
  auto const config = read_file(path / "config.toml");
  auto changed = config;
  auto const at = changed.find("learning_rate = 0.03");
  REQUIRE(at != std::string::npos);
  changed.replace(at, 20, "learning_rate = 0.04");
  write_file_atomically(path / "config.toml", changed);
  auto const log = read_file(path / "log.jsonl");
  auto const refused = run(resume_arguments(path));
  CHECK(refused.status == 1);
  CHECK(refused.output == path.string() + ": is of another training:\n  condenser.fit.learning_rate: 0.03 there, 0.04 here\n");
  CHECK(read_file(path / "log.jsonl") == log);
  write_file_atomically(path / "config.toml", config);
  CHECK(run(resume_arguments(path)).status == 0);  // a lock file of a killed process is no obstacle
}

TEST_CASE("a training on a full disk says so, keeps what it has, and goes on exactly when there is room") {
  TempDir const folder;
  SmallDisk const disk(folder / "small");
  if (!disk.mounted()) {
    std::cout << "[skipped] only root can mount a small disk\n";
    return;
  }
  Arguments const options{"--checkpoint.every_steps", "1", "--checkpoint.keep_last", "3", "--cache", (folder / "graphs").string()};
  auto const whole = folder / "whole", path = folder / "small/run", checkpoints = path / "checkpoints";
  REQUIRE(run(train_arguments(whole, options)).status == 0);
  make_unfinished(path, 9, options);
  RunFolder(path).remove_leftovers();
  std::map<std::string, std::string> before;
  for (auto const& name : names(checkpoints)) before[name] = read_file(checkpoints / name);
  REQUIRE(before.size() >= 3);
  auto const last = read_checkpoint(newest(path)).state.number;
  disk.fill_but(fs::file_size(newest(path)) - 8192);  // enough for everything else
  for (int attempt = 0; attempt < 2; ++attempt) {     // the second finds what the first has left
    auto const full = run(resume_arguments(path));
    CHECK(full.status == 1);
    CHECK(full.output == RunFolder(path).checkpoints().path(last + 1).string() +
                             ": cannot be written: No space left on device (earlier checkpoints stay as they are)\n");
    REQUIRE(names(checkpoints).size() == before.size());  // and nothing half written
    for (auto const& [name, bytes] : before) CHECK(read_file(checkpoints / name) == bytes);
    CHECK(!RunFolder(path).finished());
    auto const record = nlohmann::json::parse(read_file(RunFolder(path).record()));
    CHECK(record["starts"].back()["outcome"] == "failed");
  }
  disk.make_room();
  auto const resumed = run(resume_arguments(path));
  REQUIRE_MESSAGE(resumed.status == 0, resumed.output);
  check_same_run(path, whole);
}

TEST_CASE("a checkpoint is a model too") {
  TempDir const folder;
  auto const path = folder / "run";
  REQUIRE(run(train_arguments(path)).status == 0);
  auto const best = names(path / "checkpoints");
  REQUIRE(best.size() == 2);  // one of each fit
  auto const result = run(train_arguments(folder / "second", {"--init", (path / "checkpoints" / best[1]).string(),
                                                              "--edge_classifier.fit.epochs", "0", "--condenser.fit.epochs", "0"}));
  REQUIRE_MESSAGE(result.status == 0, result.output);
  auto const weights = read_checkpoint(path / "checkpoints" / best[1]).weights;
  auto const model = read_safetensors(folder / "second" / "model.safetensors").tensors;
  REQUIRE(model.size() == weights.size());
  for (auto const& [name, t] : weights) CHECK(at::equal(t, model.at(name)));
}
