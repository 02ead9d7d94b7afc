//! The profiles at hand: those that come with the agent, and a user's own; which one is for a tool (PURE).

use std::collections::BTreeMap;

use super::version::Version;
use super::{Profile, ProfileError};

/// The built-in profiles by file.
const TEXTS: [(&str, &str); 8] = [
    ("generic.toml", include_str!("../profiles/generic.toml")),
    ("shell.toml", include_str!("../profiles/shell.toml")),
    ("claude.toml", include_str!("../profiles/claude.toml")),
    ("claude-2-1.toml", include_str!("../profiles/claude-2-1.toml")),
    ("codex.toml", include_str!("../profiles/codex.toml")),
    ("gemini.toml", include_str!("../profiles/gemini.toml")),
    ("opencode.toml", include_str!("../profiles/opencode.toml")),
    ("aider.toml", include_str!("../profiles/aider.toml")),
];

/// The text of a built-in profile, by the profile's name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(file, _)| file.strip_suffix(".toml") == Some(name)).map(|(_, text)| *text)
}

/// The profiles at hand, by tool.
#[derive(Debug, Clone)]
pub struct Profiles {
    /// Those of each tool, the newest first.
    known: BTreeMap<String, Vec<Profile>>,
    generic: Profile,
}

impl Profiles {
    /// Those that come with the agent.
    pub fn builtin() -> Self {
        // These texts are part of the program and a test reads every one: they cannot be wrong at run time.
        let read = |(file, text): &(&str, &str)| {
            Profile::parse(file, text).expect("a built-in profile is well-formed")
        };
        let generic = read(&TEXTS[0]);
        TEXTS[1..].iter().map(read).fold(Self { known: BTreeMap::new(), generic }, Self::with)
    }

    /// The same with one more; it takes the place of one of the same name, and of all of its tool if it is
    /// for every version.
    #[must_use]
    pub fn with(mut self, profile: Profile) -> Self {
        let of_tool = self.known.entry(profile.tool.clone()).or_default();
        let for_all = profile.versions == super::Range::default();
        of_tool.retain(|other| other.name != profile.name && !for_all);
        of_tool.push(profile);
        of_tool.sort_by_key(|profile| std::cmp::Reverse(profile.versions.newness()));
        self
    }

    /// The same with the profiles in these files, and what is wrong with the others of them.
    #[must_use]
    pub fn with_files<'a>(
        self,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Vec<ProfileError>) {
        let mut errors = Vec::new();
        let profiles =
            files.into_iter().fold(self, |profiles, (file, text)| match Profile::parse(file, text) {
                Ok(profile) => profiles.with(profile),
                Err(error) => {
                    errors.push(error);
                    profiles
                }
            });
        (profiles, errors)
    }

    /// The profile for a tool of unknown version: its newest, or the generic one with the tool as its
    /// program.
    pub fn for_tool(&self, tool: &str) -> Profile {
        self.for_version(tool, None)
    }

    /// The profile for a version of a tool, as the tool prints it: the one it is within, else the nearest;
    /// for an unknown version the newest.
    pub fn for_version(&self, tool: &str, version: Option<&str>) -> Profile {
        let Some(of_tool) = self.known.get(tool).filter(|of_tool| !of_tool.is_empty()) else {
            return Profile { program: tool.to_owned(), tool: tool.to_owned(), ..self.generic.clone() };
        };
        let found = version.and_then(Version::parse).and_then(|version| {
            let within = of_tool.iter().find(|profile| profile.versions.contains(&version));
            // Newest first: the first that is wholly older is the nearest below; if none is, the oldest.
            within
                .or_else(|| of_tool.iter().find(|profile| profile.versions.is_below(&version)))
                .or(of_tool.last())
        });
        found.unwrap_or(&of_tool[0]).clone()
    }

    /// Whether a tool has a profile of its own.
    pub fn knows(&self, tool: &str) -> bool {
        self.known.contains_key(tool)
    }

    /// The names of tools with a profile of their own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// All profiles but the generic one, by tool, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Profile> {
        self.known.values().flatten()
    }
}
