//! How far words are from each other, to say which one was probably meant. PURE.

/// Of longer words only the beginning is worth comparing: what it costs grows with both lengths.
pub const LETTERS: usize = 40;

/// How many letters have to be changed, added, left out or swapped.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
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
    fn distances() {
        let check = |a: &str, b: &str, expected: usize| {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        };
        check("port", "port", 0);
        check("prot", "port", 1);
        check("identiy", "identity", 1);
        check("gpu01", "gpu-02", 2);
        check("", "port", 4);
    }
}
