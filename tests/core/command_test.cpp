// SPDX-License-Identifier: BSL-1.0
#include "dew/core/command.hpp"

#include <fstream>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

TEST_CASE("a program's status and both its outputs come back") {
  auto const result = run_command({"sh", "-c", "printf 'a b'; printf 'went wrong\\n\\n' >&2; exit 3"}, 60);
  CHECK(result.status == 3);
  CHECK(!result.ok());
  CHECK(result.output == "a b");
  CHECK(result.errors == "went wrong\n\n");
  CHECK(result.words() == "went wrong");
  CHECK(run_command({"true"}, 60).ok());
  CHECK(run_command({"sh", "-c", "exit 4"}, 60).words() == "exit status 4");
  CHECK(run_command({"sh", "-c", "kill -9 $$"}, 60).status == 137);
  CHECK(run_command({"cat"}, 60).ok());  // there is no input to wait for
  // more than a pipe holds, on both at once
  auto const much = run_command({"sh", "-c", "for i in 1 2 3; do head -c 100000 /dev/zero >&2; head -c 100000 /dev/zero; done"}, 60);
  CHECK(much.output.size() == 300000);
  CHECK(much.errors.size() == 300000);
}

TEST_CASE("a program that does not start or does not end is a problem in words") {
  auto const absent = run_command({"dew-no-such-program", "x"}, 60);
  CHECK(absent.status == -1);
  CHECK(absent.words() == "dew-no-such-program: No such file or directory");
  auto const endless = run_command({"sh", "-c", "printf begun; exec sleep 1000"}, 0.3);
  CHECK(endless.status == -1);
  CHECK(endless.words() == "sh: no answer in 0 s");
  auto const closed = run_command({"sh", "-c", "exec >&- 2>&-; exec sleep 1000"}, 0.3);  // its outputs end long before itself
  CHECK(closed.words() == "sh: no answer in 0 s");
}

TEST_CASE("a shell reads quoted words back as they were") {
  CHECK(shell_quoted("--out=/a/b_1.2,3:4@5%6+7") == "--out=/a/b_1.2,3:4@5%6+7");
  std::vector<std::string> const words{"a b",       "it's", "",  "$HOME", "`id`", "*", "\"q\"", "\\",
                                       "new\nline", "-x",   "~", "a;b",   "#c",   "!", "é",     "'"};
  for (auto const& word : words) {
    CAPTURE(word);
    if (word != "-x" && word != "'") CHECK(shell_quoted(word).front() == '\'');
    auto const result = run_command({"sh", "-c", "printf %s " + shell_quoted(word)}, 60);
    CHECK(result.output == word);
  }
  auto arguments = words;
  arguments.insert(arguments.begin(), {"printf", "%s|"});
  std::string together;
  for (auto const& word : words) together += word + "|";
  CHECK(run_command({"bash", "-c", shell_line(arguments)}, 60).output == together);
}
