//! PURE. Reading the Dockerfile: its base images, the stages a target needs, and the same with programs built already.

/// A Dockerfile in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What stands before the first stage.
    head: String,
    stages: Vec<Stage>,
}

/// From one FROM to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    /// What it is built on: an image, a stage, or `${ARG}`.
    from: String,
    /// What it is called, if anything.
    name: String,
    text: String,
}

impl Recipe {
    /// Reads a Dockerfile.
    pub fn read(text: &str) -> Self {
        let mut recipe = Self { head: String::new(), stages: Vec::new() };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("FROM ") {
                let mut words = rest.split_whitespace();
                let from = words.next().unwrap_or_default().to_owned();
                let name = words.nth(1).unwrap_or_default().to_owned();
                recipe.stages.push(Stage { from, name, text: String::new() });
            }
            let into = recipe.stages.last_mut().map_or(&mut recipe.head, |stage| &mut stage.text);
            into.push_str(line);
            into.push('\n');
        }
        recipe
    }

    /// The image that `ARG name=` names.
    pub fn base(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix("ARG ")?.strip_prefix(name)?.strip_prefix('='))
    }

    /// The base images that a target needs, by the names of their arguments.
    pub fn bases_of(&self, target: &str) -> Vec<&str> {
        let stages = self.needed(target);
        let all = stages.iter().filter_map(|stage| stage.from.strip_prefix("${")?.strip_suffix('}'));
        let mut bases: Vec<&str> = Vec::new();
        for base in all {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// What a target needs and nothing else: the old builder makes every stage it is shown.
    pub fn only(&self, target: &str) -> String {
        let stages = self.needed(target);
        [self.head.as_str()].into_iter().chain(stages.iter().map(|stage| stage.text.as_str())).collect()
    }

    /// The same with the stages that build programs replaced by those that take them from the context.
    pub fn with_programs(mut self, programs: &[(&str, &str)]) -> Self {
        for (name, program) in programs {
            for stage in self.stages.iter_mut().filter(|stage| stage.name == *name) {
                stage.from = "scratch".into();
                stage.text = format!("FROM scratch AS {name}\nCOPY {program} /out/\n");
            }
        }
        self
    }

    fn needed(&self, target: &str) -> Vec<&Stage> {
        let mut wanted = vec![target];
        let mut next = 0;
        while let Some(name) = wanted.get(next).copied() {
            next += 1;
            for stage in self.stages.iter().filter(|stage| stage.name == name) {
                let copied = stage.text.split_whitespace().filter_map(|word| word.strip_prefix("--from="));
                for on in copied.chain([stage.from.as_str()]) {
                    if !wanted.contains(&on) {
                        wanted.push(on);
                    }
                }
            }
        }
        self.stages.iter().filter(|stage| wanted.contains(&stage.name.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# All.\nARG A=a:1\nARG B=b:1\nFROM ${B} AS programs\nRUN make\nFROM ${A} AS agent\n\
                        COPY --from=programs /out/x /bin/\nFROM agent AS more\nRUN true\nFROM agent\n";

    #[test]
    fn a_target_takes_what_it_needs() {
        let recipe = Recipe::read(TEXT);
        #[track_caller]
        fn check(recipe: &Recipe, target: &str, bases: &[&str], without: &[&str]) {
            assert_eq!(recipe.bases_of(target), bases);
            let text = recipe.only(target);
            assert!(without.iter().all(|word| !text.contains(word)), "{text}");
        }
        check(&recipe, "agent", &["B", "A"], &["more", "FROM agent"]);
        check(&recipe, "programs", &["B"], &["AS agent", "more"]);
        check(&recipe, "more", &["B", "A"], &["FROM agent\n"]);
        assert_eq!(recipe.base("A"), Some("a:1"));
        assert_eq!(recipe.base("C"), None);
        let prebuilt = recipe.with_programs(&[("programs", "x")]);
        assert_eq!(prebuilt.bases_of("agent"), ["A"]);
        assert_eq!(
            prebuilt.only("agent"),
            "# All.\nARG A=a:1\nARG B=b:1\nFROM scratch AS programs\nCOPY x /out/\nFROM ${A} AS agent\n\
             COPY --from=programs /out/x /bin/\n"
        );
    }

    #[test]
    fn the_dockerfile_names_every_crate_and_base() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(root.join("Dockerfile")).expect("the Dockerfile");
        for entry in std::fs::read_dir(root.join("crates")).expect("the crates").flatten() {
            let name = entry.file_name().into_string().expect("a name");
            let copied = format!("COPY crates/{name}/Cargo.toml crates/{name}/\n");
            assert!(text.contains(&copied), "the Dockerfile lacks: {copied}");
        }
        let recipe = Recipe::read(&text);
        assert_eq!(recipe.base("DEBIAN"), Some("debian:bookworm-slim"));
        assert_eq!(recipe.bases_of("agent"), ["RUST", "DEBIAN"]);
        assert_eq!(recipe.bases_of("agent-tools"), ["RUST", "DEBIAN", "NODE"]);
        assert_eq!(recipe.bases_of("fleet"), ["RUST", "DEBIAN"]);
        assert!(!recipe.only("agent").contains("npm") && !recipe.only("fleet").contains("npm"));
    }
}
