// SPDX-License-Identifier: BSL-1.0
// bench_ours: dew's side of the benchmark.
//     bench_ours make-data FOLDER [RECORDED]    simulates the events and writes what both sides read
//     bench_ours serve                          answers requests, one JSON object a line: see docs/benchmarks.md
#include <malloc.h>

#include <fstream>
#include <iostream>

#include "rows.hpp"

namespace dew::bench {
namespace {

double status_mb(std::string const& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) / 1024;
  return 0;
}

/// Seconds of one run, and with `memory` the peak of what it added to the process.
json run(Row const& row, bool memory) {
  if (!memory) return {{"s", row.run()}};
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts again from here
  auto const before = status_mb("VmRSS");
  auto const seconds = row.run();
  return {{"s", seconds}, {"mb", status_mb("VmHWM") - before}};
}

/// The best of some runs: what this machine can do.
json rates() {
  at::NoGradGuard const no_grad;
  auto const best = [](int times, auto&& f) {
    double seconds = 1e9;
    for (int i = 0; i < times; ++i) seconds = std::min(seconds, seconds_of(f));
    return seconds;
  };
  std::int64_t const n = 1536, words = 1 << 25;
  auto const a = at::randn({n, n}), b = at::randn({n, n});
  auto c = at::empty({n, n}), from = at::ones({words}), to = at::zeros({words});
  auto const gemm = best(8, [&] { at::mm_out(c, a, b); });
  auto const copy = best(8, [&] { to.copy_(from); });
  return {{"gemm", 2.0 * double(n) * double(n) * double(n) / gemm}, {"copy", 2.0 * 4 * double(words) / copy}};
}

json answer(json const& request, Row& row) {
  auto const what = request.at("do").get<std::string>();
  if (what == "prepare") {
    row = {};
    at::set_num_threads(request.at("threads"));
    auto const name = request.at("row").get<std::string>();
    SetFiles const files{request.at("set").get<std::string>()};
    row = make_graph_row(name, files, request.value("d", 0));
    if (!row.run) row = make_network_row(name, files);
    check(bool(row.run), ErrorKind::usage, "there is no row '{}'", name);
    return {{"n", row.n}, {"flops", row.flops}, {"bytes", row.bytes}, {"seconds", row.seconds}};
  }
  if (what == "run") return run(row, request.value("memory", false));
  if (what == "result") {
    write_safetensors(request.at("file").get<std::string>(), {.tensors = row.result(), .metadata = {}});
    return json::object();
  }
  if (what == "trim" || what == "release") {  // free memory back to the system; with release the row's too
    if (what == "release") row = {};
    malloc_trim(0);
    return json::object();
  }
  if (what == "rates") {
    at::set_num_threads(request.at("threads"));
    return rates();
  }
  fail(ErrorKind::usage, "'{}' is no request", what);
}

int serve() {
  Row row;
  for (std::string line; std::getline(std::cin, line);) {
    json out;
    try {
      out = answer(json::parse(line), row);
    } catch (std::exception const& e) {
      std::string what = e.what();
      out = {{"error", what.substr(0, what.find('\n'))}};
    }
    std::cout << out.dump() << std::endl;
  }
  return 0;
}
}  // namespace
}  // namespace dew::bench

int main(int argc, char** argv) {
  using namespace dew::bench;
  dew::keep_memory();
  std::string const command = argc > 1 ? argv[1] : "";
  try {
    if (command == "serve" && argc == 2) return serve();
    if (command == "make-data" && (argc == 3 || argc == 4)) {
      make_data(argv[2], argc == 4 ? argv[3] : "");
      return 0;
    }
  } catch (std::exception const& e) {
    fmt::print(stderr, "bench_ours: {}\n", e.what());
    return 1;
  }
  fmt::print(stderr, "usage: bench_ours serve\n       bench_ours make-data FOLDER [RECORDED]\n");
  return 2;
}
