//! What was probably meant by a word that does not exist. PURE.

use cm_agent::near::{LETTERS, distance};

/// The nearest of some words, if one is near.
pub fn meant<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let begin = |word: &str| word.to_lowercase().chars().take(LETTERS).collect::<String>();
    let text = begin(text);
    let near = words.into_iter().map(|word| (distance(&text, &begin(word)), word)).min();
    near.filter(|(far, word)| *far <= 1 + word.chars().count() / 4).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(meant(text, ["identity", "port", "gpu-01", "gpu-02"]), expected, "{text}");
        };
        check("identiy", Some("identity"));
        check("Prot", Some("port"));
        check("gpu01", Some("gpu-01"));
        check("colour", None);
        check("", None);
    }
}
