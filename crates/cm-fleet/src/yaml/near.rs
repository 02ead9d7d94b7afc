//! What was probably meant by a word that does not exist. PURE.

/// The nearest of some words, if one is near.
pub fn meant<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let near = words.into_iter().map(|word| (distance(&lower, &word.to_lowercase()), word)).min();
    near.filter(|(far, word)| *far <= 1 + word.chars().count() / 4).map(|(_, word)| word)
}

/// How many letters have to be changed, added, left out or swapped. Only the first forty count.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().take(40).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(swap)
            };
        }
    }
    rows[a.len()][b.len()]
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
