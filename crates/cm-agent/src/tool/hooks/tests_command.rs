//! Whether a command runs tests: by its program and first words, never by words elsewhere in it (PURE).

/// Programs that do nothing else.
const TESTERS: &[&str] = &[
    "pytest",
    "py.test",
    "jest",
    "vitest",
    "mocha",
    "ava",
    "tap",
    "ctest",
    "rspec",
    "phpunit",
    "pest",
    "tox",
    "nox",
    "nose2",
    "nosetests",
    "bats",
    "prove",
    "busted",
    "cypress",
    "playwright",
    "minitest",
    "cargo-nextest",
    "gotestsum",
    "behave",
    "robot",
    "karma",
    "tape",
    "testem",
    "trial",
];

/// Programs that do so with one of these words first.
const WITH_WORD: &[(&str, &[&str])] = &[
    ("cargo", &["test", "t", "nextest", "tarpaulin", "llvm-cov"]),
    ("go", &["test"]),
    ("npm", &["test", "t", "tst"]),
    ("pnpm", &["test", "t"]),
    ("yarn", &["test"]),
    ("bun", &["test"]),
    ("deno", &["test"]),
    ("dotnet", &["test"]),
    ("swift", &["test"]),
    ("mix", &["test"]),
    ("mvn", &["test", "verify", "integration-test"]),
    ("gradle", &["test", "check"]),
    ("sbt", &["test"]),
    ("lein", &["test"]),
    ("bazel", &["test"]),
    ("buck2", &["test"]),
    ("zig", &["test"]),
    ("dart", &["test"]),
    ("flutter", &["test"]),
    ("cabal", &["test"]),
    ("stack", &["test"]),
    ("dune", &["test", "runtest"]),
    ("meson", &["test"]),
    ("rake", &["test", "spec"]),
    ("rails", &["test"]),
    ("composer", &["test"]),
    ("artisan", &["test"]),
    ("make", &["test", "tests", "check"]),
    ("ninja", &["test", "check"]),
    ("just", &["test", "tests", "check"]),
    ("task", &["test", "tests", "check"]),
    ("hatch", &["test"]),
    ("xcodebuild", &["test"]),
];

/// Words in front of a command that run it, and how many words of theirs follow besides options.
const WRAPPERS: &[(&str, usize)] = &[
    ("sudo", 0),
    ("env", 0),
    ("time", 0),
    ("nice", 0),
    ("nohup", 0),
    ("exec", 0),
    ("command", 0),
    ("xvfb-run", 0),
    ("stdbuf", 0),
    ("timeout", 1),
    ("npx", 0),
    ("bunx", 0),
    ("uvx", 0),
    ("uv", 1),
    ("poetry", 1),
    ("pipenv", 1),
    ("pdm", 1),
    ("rye", 1),
    ("bundle", 1),
    ("php", 0),
    ("xargs", 0),
];

/// Whether a command, or a part of it, runs tests.
pub fn is_test_command(command: &str) -> bool {
    command.split(['\n', ';', '&', '|', '(', ')']).any(runs_tests)
}

fn runs_tests(part: &str) -> bool {
    let mut words = part.split_whitespace().map(|word| word.trim_matches(['"', '\''])).peekable();
    while let Some(word) = words.next() {
        if word.contains('=') && !word.starts_with(['-', '/', '.']) {
            continue;
        }
        let program = word.rsplit('/').next().unwrap_or(word);
        if let Some((_, own)) = WRAPPERS.iter().find(|(name, _)| *name == program) {
            while words.peek().is_some_and(|next| next.starts_with('-')) {
                words.next();
            }
            for _ in 0..*own {
                words.next();
            }
            continue;
        }
        let rest: Vec<&str> = words.collect();
        return tests(program, &rest);
    }
    false
}

fn tests(program: &str, rest: &[&str]) -> bool {
    let program = match program {
        "mvnw" => "mvn",
        "gradlew" => "gradle",
        "gmake" | "bmake" => "make",
        other => other,
    };
    // `cargo +nightly test`, `make -j8 check`, `go -C dir test`: options are looked past, their values rarely matter.
    let words = || rest.iter().filter(|word| !word.starts_with(['-', '+']));
    let first = words().next().copied().unwrap_or("");
    if TESTERS.contains(&program) || is_script(program) {
        return true;
    }
    match program {
        "python" | "python2" | "python3" | "py" | "coverage" => {
            match rest.iter().position(|word| *word == "-m") {
                Some(at) => matches!(
                    rest.get(at + 1),
                    Some(&("pytest" | "unittest" | "nose2" | "tox" | "nox" | "doctest"))
                ),
                None => is_script(name(first)) || first == "manage.py" && words().nth(1) == Some(&"test"),
            }
        }
        "node" => rest.contains(&"--test") || is_script(name(first)),
        "sh" | "bash" | "dash" | "zsh" | "ruby" | "perl" => is_script(name(first)),
        "npm" | "pnpm" | "yarn" | "bun" if matches!(first, "run" | "run-script" | "exec" | "dlx") => {
            words().nth(1).is_some_and(|script| {
                TESTERS.contains(script)
                    || *script == "test"
                    || script.starts_with("test:")
                    || script.ends_with(":test")
            })
        }
        "pnpm" | "yarn" | "bun" if TESTERS.contains(&first) => true,
        "cargo" if matches!(first, "xtask" | "make") => words().nth(1) == Some(&"test"),
        "make" | "ninja" | "just" | "task" | "mvn" | "gradle" | "rake" => words().any(|word| {
            let target = word.rsplit(':').next().unwrap_or(word);
            WITH_WORD.iter().any(|(name, goals)| *name == program && goals.contains(&target))
        }),
        _ => WITH_WORD.iter().any(|(name, goals)| *name == program && goals.contains(&first)),
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `test.sh`, `run_tests.py`, `run-tests`, `runtests.sh`; not the shell's own `test`.
fn is_script(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let known = matches!(extension, "sh" | "bash" | "py" | "js" | "mjs" | "ts" | "rb" | "pl");
    match stem {
        "test" | "tests" | "check" => known,
        "runtest" | "runtests" | "run_test" | "run_tests" | "run-test" | "run-tests" => {
            known || extension.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: bool) {
        assert_eq!(is_test_command(command), expected, "{command}");
    }

    #[test]
    fn what_runs_tests() {
        for command in [
            "cargo test",
            "cargo +nightly nextest run",
            "cargo test -p x -- --nocapture",
            "cargo xtask test",
            "pytest",
            "pytest -q tests/test_x.py::t",
            "python -m pytest -x",
            "python3 -m unittest",
            "uv run pytest",
            "poetry run pytest",
            "./manage.py test || python manage.py test",
            "npm test",
            "npm t",
            "npm run test:unit",
            "npm run test -- --watch=false",
            "yarn test",
            "yarn jest",
            "pnpm exec vitest run",
            "npx jest",
            "bunx vitest",
            "bun test",
            "deno test -A",
            "node --test",
            "go test ./...",
            "make test",
            "make -j8 check",
            "gmake tests",
            "ctest --output-on-failure",
            "mvn -q test",
            "./mvnw verify",
            "./gradlew :app:test",
            "gradle check",
            "bundle exec rspec",
            "rake spec",
            "rails test",
            "vendor/bin/phpunit",
            "php artisan test",
            "tox -e py312",
            "nox",
            "bats test/",
            "dotnet test",
            "swift test",
            "mix test",
            "bazel test //...",
            "sh ./run_tests.sh",
            "./run-tests",
            "bash scripts/test.sh",
            "cd app && cargo test 2>&1 | tail -20",
            "RUST_BACKTRACE=1 cargo test",
            "timeout 60 make check",
            "sudo -E env A=b pytest",
            "(cd x; go test ./...)",
            "echo start\nnpm test",
            "coverage run -m pytest",
            "prove -l t",
        ] {
            check(command, true);
        }
    }

    #[test]
    fn what_does_not() {
        for command in [
            "",
            " ",
            "cargo build",
            "cargo run test",
            "ls tests",
            "cat test.sh",
            "test -f x",
            "[ -f test ]",
            "grep -r pytest .",
            "pip install pytest",
            "npm install jest",
            "npm run build",
            "echo cargo test",
            "git commit -m 'cargo test'",
            "make",
            "make install",
            "vim test.py",
            "go build ./...",
            "git checkout test",
            "python script.py test",
            "mkdir tests",
            "rm -rf tests",
            "npm run latest",
        ] {
            check(command, false);
        }
    }
}
