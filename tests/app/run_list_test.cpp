// SPDX-License-Identifier: BSL-1.0
// Ten runs of all kinds under one folder: found, listed, sorted, filtered, compared.
#include "dew/app/run_list.hpp"

#include <fstream>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
struct Made {
  double score = 0.9;  // 0: not finished
  int hidden = 32, epochs = 3, best = 3;
  bool recorded = true;
};
void write(fs::path const& file, std::string const& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}
void make(fs::path const& folder, Made const& m) {
  write(folder / "config.toml", fmt::format("# a run of program\n# with dew\n\n# events\nevents = \"1-3,9\"\nminutes = 0.0\n\n[model]\n# "
                                            "width\nhidden = {}\nlist = [1, 2]\n\n"
                                            "[model.fit]\nlearning_rate = 0.002\n",
                                            m.hidden));
  std::string log =
      R"({"kind":"epoch","stage":"first","epoch":0,"step":5,"loss":9.0,"validation.loss":0.001,"validation.first.x":1.5,"time_s":6.0})"
      "\n";
  for (int e = 0; e < m.epochs; ++e) {
    log += fmt::format(R"({{"kind":"step","stage":"model","epoch":{},"step":{},"loss":0.5}})"
                       "\n",
                       e, 5 * e + 1);
    log += fmt::format(
        R"({{"kind":"epoch","stage":"model","epoch":{0},"step":{1},"loss":{2},"validation.loss":{3},"validation.tracking.dm":{4},"time_s":{5}}})"
        "\n",
        e, 5 * e + 5, 1.0 / (e + 1), e + 1 == m.best ? 0.1 : 0.5, 0.5 + 0.01 * e, 60.0 * (e + 1));
  }
  write(folder / "log.jsonl", log);
  if (m.recorded)
    write(
        folder / "run.json",
        R"({"program": "program", "starts": [{"started": "2026-01-01T00:00:00Z", "host": "a"}, {"started": "2026-01-02T00:00:00Z", "host": "b",
             "git": {"commit": "0123456789abcdef", "branch": "main", "dirty": true}}]})");
  if (m.score > 0) {
    write(folder / "model.safetensors", "x");
    write(folder / "metrics.json",
          fmt::format(R"({{"tracking.dm": {}, "tracking.dm.error": 0.01, "edges.auc": 0.99, "events": 5, "seed": 1, "version": "0.1.0"}})",
                      m.score));
  }
  for (auto const* of_a_run : {"checkpoints", "graphs", "wandb"})
    write(folder / of_a_run / "inner" / "config.toml", "# a run of nothing\na = 1\n");
}
/// best, middle, worst, other, more/nested, stopped, running, broken_log, broken_metrics, unrecorded; and what is no run.
void make_ten(fs::path const& root) {
  make(root / "best", {.score = 0.95, .hidden = 64, .best = 2});
  make(root / "middle", {.score = 0.9});
  make(root / "worst", {.score = 0.1, .hidden = 8, .epochs = 7, .best = 1});
  make(root / "other", {.score = 0.9, .hidden = 128});
  make(root / "more" / "nested", {.score = 0.85, .hidden = 16});
  make(root / "stopped", {.score = 0, .epochs = 2, .best = 1});
  make(root / "running", {.score = 0, .epochs = 1, .best = 1});
  make(root / "broken_log", {.score = 0.5});
  write(root / "broken_log" / "log.jsonl", "{\"kind\":\"epoch\",\"sta\n{\"kind\":\"step\"}\n");
  make(root / "broken_metrics", {.score = 0.5});
  write(root / "broken_metrics" / "metrics.json", "{\"tracking.dm\": 0.");
  make(root / "unrecorded", {.score = 0.7, .recorded = false});
  write(root / "no_run" / "config.toml", "[project]\nname = \"x\"\n");
  write(root / "file", "x");
}
std::vector<std::string> names(std::vector<RunInfo> const& runs) {
  std::vector<std::string> out;
  for (auto const& run : runs) out.push_back(run.name);
  return out;
}
RunInfo const& named(std::vector<RunInfo> const& runs, std::string const& name) {
  auto const at = std::find_if(runs.begin(), runs.end(), [&](auto const& run) { return run.name == name; });
  REQUIRE(at != runs.end());
  return *at;
}
std::string refusal(RunsFlags const& flags) {
  try {
    (void)list_runs(flags, {});
  } catch (Error const& e) { return e.what(); }
  return "none";
}
std::vector<std::string> lines(std::string const& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
}  // namespace

TEST_CASE("runs are found below a folder, each with its status, figures, epochs and time") {
  TempDir const folder;
  make_ten(folder.path());
  RunLock const lock(folder / "running");
  std::ofstream(folder / "stopped" / "log.jsonl", std::ios::app) << "{\"kind\":\"epoch\",\"stage\":\"mod";  // cut off while it was written
  write(folder / "stopped" / "lock", "process 1 on nowhere");                                               // left by a dead process
  auto const runs = find_runs(folder.path());
  CHECK(names(runs) == std::vector<std::string>{"best", "broken_log", "broken_metrics", "middle", "more/nested", "other", "running",
                                                "stopped", "unrecorded", "worst"});
  auto const status = [&](std::string const& name) { return named(runs, name).status; };
  for (auto const* name : {"best", "middle", "worst", "other", "more/nested", "unrecorded"}) CHECK(status(name) == RunStatus::finished);
  CHECK(status("running") == RunStatus::running);
  CHECK(status("stopped") == RunStatus::unfinished);
  CHECK(status("broken_log") == RunStatus::broken);
  CHECK(status("broken_metrics") == RunStatus::broken);
  CHECK(named(runs, "broken_metrics").problem == (folder / "broken_metrics" / "metrics.json").string() + ": is no JSON object");
  CHECK(named(runs, "broken_log")
            .problem.starts_with((folder / "broken_log" / "log.jsonl").string() + ": holds a line that is no JSON object"));

  auto const& best = named(runs, "best");
  CHECK(best.figures == Figures{{"tracking.dm", 0.95}, {"edges.auc", 0.99}});
  CHECK(best.stage == "model");
  CHECK(best.epochs == 3);
  CHECK(best.best_epoch == 2);
  CHECK(best.minutes == 3);
  CHECK(best.value("minutes") == "3.00");
  CHECK(best.value("model.hidden") == "64");
  CHECK(best.value("model.list") == "1,2");
  CHECK(best.value("model.fit.learning_rate") == "0.002");
  CHECK(best.value("events") == "1-3,9");
  CHECK(best.value("tracking.dm") == "0.9500");
  CHECK(best.value("starts") == "2");
  CHECK(best.value("started") == "2026-01-02T00:00:00Z");
  CHECK(best.value("host") == "b");
  CHECK(best.value("commit") == "0123456789 with changes");
  CHECK(!best.value("nothing"));
  CHECK(!named(runs, "unrecorded").value("starts"));
  auto const& stopped = named(runs, "stopped");  // the figures of its last validation
  CHECK(stopped.value("tracking.dm") == "0.5100");
  CHECK(stopped.epochs == 2);
  CHECK(stopped.best_epoch == 1);

  CHECK(names(find_runs(folder / "best")) == std::vector<std::string>{"."});
  CHECK(refusal({.folder = (folder / "file").string()}) == (folder / "file").string() + ": is no folder");
  TempDir const empty;
  CHECK(list_runs({.folder = empty.path().string()}, {}) == "no runs\n");
}

TEST_CASE("a record of a run that is something else makes it broken, and nothing worse") {
  TempDir const folder;
  for (auto const* text :
       {"[]", "{\"starts\": 1}", "{\"starts\": [1]}", "{\"starts\": []}", "{\"starts\": [{\"git\": {\"commit\": \"1\"}}]}", ""}) {
    CAPTURE(text);
    make(folder / "run", {});
    write(folder / "run" / "run.json", text);
    auto const runs = find_runs(folder.path());
    REQUIRE(runs.size() == 1);
    CHECK((runs[0].status == RunStatus::broken) == !runs[0].record.is_object());
    for (auto const& column : RunInfo::columns()) (void)runs[0].value(column);
    CHECK(runs_json(runs).size() == 1);
  }
}

TEST_CASE("a list is sorted by any figure or option, the largest first, and those without it last") {
  TempDir const folder;
  make_ten(folder.path());
  auto const by = [&](std::string const& column) {
    auto runs = find_runs(folder.path());
    sort_runs(runs, column);
    return names(runs);
  };
  CHECK(by("tracking.dm") == std::vector<std::string>{"best", "middle", "other", "more/nested", "unrecorded", "stopped", "broken_log",
                                                      "running", "worst", "broken_metrics"});
  CHECK(by("model.hidden").front() == "other");
  CHECK(by("model.hidden").back() == "worst");
  CHECK(by("epochs").front() == "worst");
  make(folder / "just_better", {.score = 0.90000001});  // not as it is shown, rounded
  CHECK(by("tracking.dm")[1] == "just_better");
  CHECK(filter_runs(find_runs(folder.path()), "tracking.dm>0.9").size() == 2);
  CHECK(by("status").front() == "broken_log");
  CHECK(refusal({.folder = folder.path().string(), .sort = "tracking.md"}) == "no run has a 'tracking.md'; the nearest is 'tracking.dm'");
  CHECK(refusal({.folder = folder.path().string(), .columns = {"model.hiden"}}) ==
        "no run has a 'model.hiden'; the nearest is 'model.hidden'");
}

TEST_CASE("conditions keep the runs of which they hold") {
  TempDir const folder;
  make_ten(folder.path());
  auto const kept = [&](std::vector<std::string> const& conditions) {
    auto runs = find_runs(folder.path());
    for (auto const& condition : conditions) runs = filter_runs(std::move(runs), condition);
    return names(runs);
  };
  using Names = std::vector<std::string>;
  CHECK(kept({"status=broken"}) == Names{"broken_log", "broken_metrics"});
  CHECK(kept({"tracking.dm>0.9"}) == Names{"best"});
  CHECK(kept({"tracking.dm>=0.9"}) == Names{"best", "middle", "other"});
  CHECK(kept({"tracking.dm<0.2"}) == Names{"worst"});
  CHECK(kept({"model.hidden<=16"}) == Names{"more/nested", "worst"});
  CHECK(kept({"model.hidden!=32", "tracking.dm==0.9"}) == Names{"other"});
  CHECK(kept({"model.hidden=32.0", "status=finished"}) == Names{"middle", "unrecorded"});
  CHECK(kept({"host=b", "epochs=7"}) == Names{"worst"});
  for (auto const* wrong : {"tracking.dm", "=3", "tracking.dm!3"}) {
    CAPTURE(wrong);
    CHECK(refusal({.folder = folder.path().string(), .filters = {wrong}})
              .starts_with("--filter: expected something like condenser.hidden=48"));
  }
}

TEST_CASE("a list is a table of chosen columns or of headlines, with what is wrong with broken runs below it") {
  TempDir const folder;
  make_ten(folder.path());
  auto const text = lines(list_runs({.folder = folder.path().string(), .sort = "tracking.dm"}, {"tracking.dm", "of.no.run"}));
  REQUIRE(text.size() == 1 + 10 + 2);
  CHECK(text[0] == "run             status      epochs  best_epoch  minutes  tracking.dm");
  CHECK(text[1] == "best            finished         3           2     3.00       0.9500");
  CHECK(text[9] == "worst           finished         7           1     7.00       0.1000");
  CHECK(text[10] == "broken_metrics  broken           3           3     3.00            -");
  CHECK(text[11].starts_with("broken_log: "));
  auto const chosen =
      lines(list_runs({.folder = folder.path().string(), .columns = {"model.hidden"}, .filters = {"status=finished"}}, {"tracking.dm"}));
  REQUIRE(chosen.size() == 7);
  CHECK(chosen[0] == "run          model.hidden");
  CHECK(chosen[1] == "best                   64");
}

TEST_CASE("runs side by side: the options that differ alone, and every figure") {
  TempDir const folder;
  make_ten(folder.path());
  auto const two = list_runs({.folder = folder.path().string(), .compare = {"middle", "best"}}, {});
  CHECK(two.find("\noption        middle  best\nmodel.hidden      32    64\n\n") != std::string::npos);
  CHECK(two.find("learning_rate") == std::string::npos);
  CHECK(two.find("\nfigure       middle    best  difference\ntracking.dm  0.9000  0.9500     +0.0500\nedges.auc    0.9900  0.9900     "
                 "+0.0000\n") != std::string::npos);
  CHECK(two.find("\nbest_epoch ") != std::string::npos);
  auto const three = list_runs({.folder = folder.path().string(), .compare = {"middle", (folder / "worst").string(), "stopped"}}, {});
  CHECK(three.find("\nmodel.hidden      32      8       32\n") != std::string::npos);
  CHECK(three.find("difference") == std::string::npos);
  CHECK(three.find("\nedges.auc    0.9900  0.9900        -\n") != std::string::npos);
  CHECK(list_runs({.folder = folder.path().string(), .compare = {"middle", "unrecorded"}}, {}).find("the options are equal\n") !=
        std::string::npos);
  CHECK(refusal({.folder = folder.path().string(), .compare = {"middle", "bes"}}) ==
        fmt::format("--compare: there is no run 'bes' in {}; the nearest is 'best'", folder.path().string()));
}

TEST_CASE("everything that is known as JSON") {
  TempDir const folder, out;
  make_ten(folder.path());
  auto const file = out / "runs.json";
  (void)list_runs({.folder = folder.path().string(), .sort = "tracking.dm", .json = file.string()}, {});
  auto const json = nlohmann::json::parse(read_file(file));
  REQUIRE(json.size() == 10);
  CHECK(json[0]["name"] == "best");
  CHECK(json[0]["status"] == "finished");
  CHECK(json[0]["figures"]["tracking.dm"] == 0.95);
  CHECK(json[0]["options"]["model.hidden"] == "64");
  CHECK(json[0]["minutes"] == 3);
  CHECK(json[0]["record"]["starts"].size() == 2);
  CHECK(json[9]["problem"].get<std::string>().find("metrics.json") != std::string::npos);
}

TEST_CASE("the flags of runs") {
  RunsFlags flags;
  CLI::App cli;
  add_runs_flags(&cli, flags);
  std::vector<std::string> words{"--columns", "a,b", "folder", "--filter", "a=1",       "--filter", "b<2",
                                 "--sort",    "c",   "--json", "f",        "--compare", "x",        "y"};
  std::reverse(words.begin(), words.end());
  cli.parse(words);
  CHECK(flags.folder == "folder");
  CHECK(flags.columns == std::vector<std::string>{"a", "b"});
  CHECK(flags.filters == std::vector<std::string>{"a=1", "b<2"});
  CHECK(flags.sort == "c");
  CHECK(flags.json == "f");
  CHECK(flags.compare == std::vector<std::string>{"x", "y"});
}
