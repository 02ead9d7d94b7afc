//! Scripts as data: frames, what leads from one to the next, and the ways in which they lie.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A whole script. It begins with its first frame.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it is good for, for people.
    #[serde(default)]
    pub about: String,
    /// Never empty.
    pub frame: Vec<Frame>,
}

/// One screen, and what leads away from it. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// What `goto` and the log call it; else its number, from 0.
    pub name: String,
    /// What is drawn. Escape sequences may stand in it.
    pub text: String,
    /// A file with what is drawn instead, beside the script.
    pub screen: Option<PathBuf>,
    /// Draw over what is there instead of clearing it first.
    pub over: bool,
    /// Go on where the cursor is, as a program does that only prints.
    pub append: bool,
    /// The terminal's title from here on.
    pub title: Option<String>,
    /// A program status (OSC 7501) sent with the frame: `state=idle`, `state=blocked:kind=permission`.
    pub status: Option<String>,
    /// Column and row of the cursor, from 0; else it stays behind the text.
    pub cursor: Option<(u16, u16)>,
    /// Whether the cursor is shown from here on.
    pub cursor_visible: Option<bool>,
    /// Whether the alternate screen is used from here on.
    pub alternate: Option<bool>,
    /// Draw only a part at first.
    pub half: Option<Half>,
    /// Something that moves as long as the frame stands.
    pub spin: Option<Spin>,
    /// A box that shows what is typed.
    pub echo: Option<Echo>,
    /// What leads on. The first that happens counts. Without any, the frame stays.
    pub then: Vec<Then>,
    /// End with this code once drawn.
    pub exit: Option<u8>,
}

/// A frame that is drawn in two parts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Half {
    /// How many bytes come first.
    pub bytes: usize,
    /// How long the rest takes; keys that come meanwhile are read, and lead nowhere.
    #[serde(default)]
    pub wait_ms: u64,
    /// The rest comes when this file appears instead.
    pub file: Option<PathBuf>,
}

/// Something that moves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spin {
    /// Column and row, from 0.
    pub at: (u16, u16),
    /// What is shown there, one after another, for ever. `{s}` becomes the seconds since the frame began.
    pub texts: Vec<String>,
    /// For how long each.
    pub every_ms: u64,
}

/// A box for typing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Echo {
    /// Column and row of its first character, from 0.
    pub at: (u16, u16),
    /// A paste of more lines than this shows only how many there are.
    pub collapse_over: Option<usize>,
    /// Enter is lost if it comes so soon after text that was not pasted.
    #[serde(default)]
    pub swallow_enter_ms: u64,
    /// Nothing typed is shown (but it is taken).
    #[serde(default)]
    pub hidden: bool,
}

/// What leads on, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Then {
    /// So long after the frame was drawn.
    pub after: Option<u64>,
    /// When this key is pressed, by tmux's name for it: `Enter`, `Escape`, `Up`, `C-c`, `1`, `y`; `any` is any.
    pub on: Option<String>,
    /// When a line is entered into the box that contains this; empty for any line.
    pub line: Option<String>,
    /// When this file appears, in the directory where the program was started.
    pub file: Option<PathBuf>,
    /// The frame stays so much longer all the same.
    pub stays: u64,
    /// Keys within so many milliseconds after the frame was drawn lead nowhere.
    pub deaf: u64,
    /// A file that is written when this happens, empty or with the line that was entered.
    pub touch: Option<PathBuf>,
    /// The frame's name; else the one that follows in the file.
    pub goto: Option<String>,
}

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
pub enum BadScript {
    /// It, or a screen it names, could not be read.
    #[error("could not read {path}: {source}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not TOML, or not in this shape.
    #[error("{file}: {source}")]
    Shape {
        /// Which.
        file: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Something in it cannot be done.
    #[error("{file}: frame {frame}: {what}")]
    Frame {
        /// Which.
        file: String,
        /// Which frame of it.
        frame: String,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// Reads a script, with the screens it names.
pub fn load(path: &Path) -> Result<Script, BadScript> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|source| BadScript::Read { path: path.to_owned(), source })
    };
    let mut script = parse(&path.display().to_string(), &read(path)?)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    for frame in &mut script.frame {
        if let Some(screen) = &frame.screen {
            frame.text = read(&dir.join(screen))?;
        }
    }
    Ok(script)
}

/// Reads a script's text. Screens are not read yet.
pub fn parse(file: &str, text: &str) -> Result<Script, BadScript> {
    let mut script: Script = toml::from_str(text)
        .map_err(|source| BadScript::Shape { file: file.to_owned(), source: Box::new(source) })?;
    let wrong = |frame: &str, what: String| {
        Err(BadScript::Frame { file: file.to_owned(), frame: frame.to_owned(), what })
    };
    let mut names = BTreeMap::new();
    for (at, frame) in script.frame.iter_mut().enumerate() {
        if frame.name.is_empty() {
            frame.name = at.to_string();
        }
        if names.insert(frame.name.clone(), at).is_some() {
            return wrong(&frame.name, "another frame has this name".to_owned());
        }
    }
    let last = script.frame.len().saturating_sub(1);
    if script.frame.is_empty() {
        return wrong("0", "there is none; add [[frame]]".to_owned());
    }
    for (at, frame) in script.frame.iter().enumerate() {
        if frame.spin.as_ref().is_some_and(|spin| spin.texts.is_empty() || spin.every_ms == 0) {
            return wrong(&frame.name, "spin needs texts and every_ms".to_owned());
        }
        for then in &frame.then {
            let causes = [then.after.is_some(), then.on.is_some(), then.line.is_some(), then.file.is_some()];
            if causes.iter().filter(|cause| **cause).count() != 1 {
                return wrong(&frame.name, "each `then` has one of after, on, line, file".to_owned());
            }
            if then.line.is_some() && frame.echo.is_none() {
                return wrong(&frame.name, "`line` needs an `echo` to type into".to_owned());
            }
            match &then.goto {
                Some(name) if !names.contains_key(name) => {
                    return wrong(&frame.name, format!("there is no frame {name:?} to go to"));
                }
                None if at == last => {
                    return wrong(&frame.name, "no frame follows; say where with `goto`".to_owned());
                }
                _ => {}
            }
        }
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_of_the_kit_are_sound() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut count = 0;
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let script = load(&path).unwrap();
                assert!(!script.about.is_empty(), "{} says what it is good for", path.display());
                count += 1;
            }
        }
        assert!(count >= 5);
    }

    #[test]
    fn what_cannot_be_done_is_said_at_once() {
        let check = |text: &str, expected: &str| {
            let error = parse("x.toml", text).unwrap_err().to_string();
            assert!(error.contains("x.toml") && error.contains(expected), "{text}: {error}");
        };
        check("frame = []", "there is none");
        check("[[frame]]\ntxet = 'a'", "unknown field `txet`");
        check("[[frame]]\nname = 'a'\n[[frame]]\nname = 'a'", "another frame has this name");
        check("[[frame]]\nthen = [{ after = 1 }]", "no frame follows");
        check("[[frame]]\nthen = [{ after = 1, goto = 'b' }]", "there is no frame \"b\"");
        check("[[frame]]\nthen = [{ goto = '0' }]", "one of after, on, line, file");
        check("[[frame]]\nthen = [{ line = '', goto = '0' }]", "needs an `echo`");
        check("[[frame]]\nspin = { at = [0, 0], texts = [], every_ms = 1 }", "spin needs");
    }
}
