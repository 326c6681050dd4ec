// bitsweep completion bash|zsh|fish: a script for the shell, made from the command line's own
// description, so that it never lags behind. Names of sweeps are asked from the coordinator while
// the user types, through `__complete`.
#include <functional>
#include <memory>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

#include "cli/client.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

// A shell that completes must not hang.
constexpr absl::Duration kCompleteTimeout = absl::Seconds(1);

std::vector<const CLI::App*> Verbs(const CLI::App& app) {
  std::vector<const CLI::App*> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_group().empty()) {
      verbs.push_back(verb);
    }
  }
  return verbs;
}

std::vector<std::string> OptionsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

bool Takes(const CLI::App& verb, std::string_view argument) {
  for (const CLI::Option* option : verb.get_options()) {
    if (option->get_positional() && option->get_name(true) == argument) {
      return true;
    }
  }
  return false;
}

std::string Bash(const CLI::App& app) {
  std::string cases;
  std::vector<std::string> names;
  for (const CLI::App* verb : Verbs(app)) {
    names.push_back(verb->get_name());
    absl::StrAppend(
        &cases, "    ", verb->get_name(), ") words=\"", absl::StrJoin(OptionsOf(*verb), " "), "\"");
    if (Takes(*verb, "SWEEP")) {
      absl::StrAppend(&cases, "; arguments=\"$(bitsweep __complete sweeps 2>/dev/null)\"");
    } else if (Takes(*verb, "FILE")) {
      absl::StrAppend(&cases, "; files=1");
    } else if (verb->get_name() == "completion") {
      absl::StrAppend(&cases, "; arguments=\"bash zsh fish\"");
    }
    absl::StrAppend(&cases, " ;;\n");
  }
  constexpr const char* kScript =
      R"sh(# bash completion for bitsweep: source it, or put it into /etc/bash_completion.d/.
_bitsweep() {
  local current="${COMP_WORDS[COMP_CWORD]}" verb="" words="" arguments="" files="" i
  COMPREPLY=()
  case "${COMP_WORDS[COMP_CWORD-1]}" in
    --output) COMPREPLY=($(compgen -W "text json" -- "$current")); return ;;
    --format) COMPREPLY=($(compgen -W "markdown csv json latex html" -- "$current")); return ;;
    --layout) COMPREPLY=($(compgen -W "exact study" -- "$current")); return ;;
    --output-dir|--models-dir) COMPREPLY=($(compgen -d -- "$current")); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      --server|--output) ((i++)) ;;
      -*) ;;
      *) verb="${COMP_WORDS[i]}"; break ;;
    esac
  done
  case "$verb" in
    "") arguments="@VERBS@" ;;
@CASES@  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words @GLOBALS@" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$arguments" -- "$current"))
       [ -n "$files" ] && COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _bitsweep bitsweep
)sh";
  return absl::StrReplaceAll(kScript,
                             {{"@VERBS@", absl::StrJoin(names, " ")},
                              {"@CASES@", cases},
                              {"@GLOBALS@", absl::StrJoin(OptionsOf(app), " ")}});
}

std::string Zsh(const CLI::App& app) {
  // A description within single quotes; ':' separates it from the word.
  const auto quoted = [](const std::string& text) {
    return absl::StrReplaceAll(text, {{"'", "'\\''"}, {":", "\\:"}});
  };
  std::string verbs;
  std::string cases;
  for (const CLI::App* verb : Verbs(app)) {
    absl::StrAppend(&verbs, "    '", verb->get_name(), ":", quoted(verb->get_description()), "'\n");
    absl::StrAppend(
        &cases, "    ", verb->get_name(), ") compadd -- ", absl::StrJoin(OptionsOf(*verb), " "));
    if (Takes(*verb, "SWEEP")) {
      absl::StrAppend(&cases, "; compadd -- ${(f)\"$(bitsweep __complete sweeps 2>/dev/null)\"}");
    } else if (Takes(*verb, "FILE")) {
      absl::StrAppend(&cases, "; _files");
    } else if (verb->get_name() == "completion") {
      absl::StrAppend(&cases, "; compadd -- bash zsh fish");
    }
    absl::StrAppend(&cases, " ;;\n");
  }
  constexpr const char* kScript = R"sh(#compdef bitsweep
# zsh completion for bitsweep: put it as _bitsweep into a folder of $fpath.
_bitsweep() {
  local -a verbs
  verbs=(
@VERBS@  )
  case "${words[CURRENT-1]}" in
    --output) compadd -- text json; return ;;
    --format) compadd -- markdown csv json latex html; return ;;
    --layout) compadd -- exact study; return ;;
    --output-dir|--models-dir) _files -/; return ;;
  esac
  local verb="" i
  for ((i = 2; i < CURRENT; i++)); do
    case "${words[i]}" in
      --server|--output) ((i++)) ;;
      -*) ;;
      *) verb="${words[i]}"; break ;;
    esac
  done
  case "$verb" in
    "") _describe verb verbs ;;
@CASES@  esac
  compadd -- @GLOBALS@
}
if [ "$funcstack[1]" = "_bitsweep" ]; then _bitsweep "$@"; else compdef _bitsweep bitsweep; fi
)sh";
  return absl::StrReplaceAll(
      kScript,
      {{"@VERBS@", verbs}, {"@CASES@", cases}, {"@GLOBALS@", absl::StrJoin(OptionsOf(app), " ")}});
}

std::string Fish(const CLI::App& app) {
  std::string script =
      "# fish completion for bitsweep: put it into ~/.config/fish/completions/bitsweep.fish.\n"
      "complete -c bitsweep -f\n";
  const auto describe = [](const CLI::Option* option) {
    return absl::StrReplaceAll(option->get_description(), {{"\\", "\\\\"}, {"'", "\\'"}});
  };
  const auto add = [&](const CLI::App& owner, const std::string& condition) {
    for (const CLI::Option* option : owner.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        absl::StrAppend(&script,
                        "complete -c bitsweep",
                        condition,
                        " -l ",
                        name,
                        option->get_expected_min() > 0 ? " -r" : "",
                        " -d '",
                        describe(option),
                        "'\n");
      }
    }
  };
  add(app, "");
  for (const CLI::App* verb : Verbs(app)) {
    absl::StrAppend(&script,
                    "complete -c bitsweep -n __fish_use_subcommand -a ",
                    verb->get_name(),
                    " -d '",
                    absl::StrReplaceAll(verb->get_description(), {{"'", "\\'"}}),
                    "'\n");
    const std::string condition =
        absl::StrCat(" -n '__fish_seen_subcommand_from ", verb->get_name(), "'");
    add(*verb, condition);
    if (Takes(*verb, "SWEEP")) {
      absl::StrAppend(&script,
                      "complete -c bitsweep",
                      condition,
                      " -a '(bitsweep __complete sweeps 2>/dev/null)'\n");
    } else if (Takes(*verb, "FILE")) {
      absl::StrAppend(&script, "complete -c bitsweep", condition, " -F\n");
    } else if (verb->get_name() == "completion") {
      absl::StrAppend(&script, "complete -c bitsweep", condition, " -a 'bash zsh fish'\n");
    }
  }
  return script;
}

// Never fails: a shell that completes shows no errors.
absl::StatusOr<ExitCode> ListForCompletion(Context& context) {
  context.PrintRaw("latest");
  const auto client = context.client();
  if (!client.ok()) {
    return ExitCode::kOk;
  }
  const auto response = (*client)->Call(
      (*client)->sweeps(), &v1::Sweeps::Stub::List, v1::ListSweepsRequest(), kCompleteTimeout);
  if (response.ok()) {
    for (const v1::SweepSummary& sweep : response->sweeps()) {
      context.PrintRaw(absl::StrCat(sweep.sweep(), "\n", sweep.name()));
    }
  }
  return ExitCode::kOk;
}

}  // namespace

void AddCompletion(CLI::App& app, VerbRun& chosen) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print a completion script for a shell");
  verb->add_option("SHELL", *shell, "bash, zsh or fish")
      ->type_name("")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  verb->callback([&app, shell, &chosen] {
    const std::string script = *shell == "bash"  ? Bash(app)
                               : *shell == "zsh" ? Zsh(app)
                                                 : Fish(app);
    chosen = [script](Context& context) -> absl::StatusOr<ExitCode> {
      context.PrintRaw(script);
      return ExitCode::kOk;
    };
  });
  auto what = std::make_shared<std::string>();
  CLI::App* hidden = app.add_subcommand("__complete", "")->group("");
  hidden->add_option("WHAT", *what)->required()->check(CLI::IsMember({"sweeps"}).description(""));
  // `what` is kept alive until the command line has been read into it.
  hidden->callback([what, &chosen] { chosen = ListForCompletion; });
}

}  // namespace bitsweep::cli
