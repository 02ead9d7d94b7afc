//! Circles in a graph of indices: groups in each other, hosts behind each other, tasks after each other. PURE.

/// Finds a circle in a graph of indices: the nodes of the first one found, its first node also last.
pub fn circle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    // 0: not seen, 1: on the path, 2: done.
    let mut state = vec![0_u8; edges.len()];
    for start in 0..edges.len() {
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if *next == 0 && state[node] == 2 {
                path.pop();
                continue;
            }
            state[node] = 1;
            match edges[node].get(*next).copied() {
                Some(to) if state[to] == 1 => {
                    let from = path.iter().position(|(on, _)| *on == to).unwrap_or(0);
                    return Some(path[from..].iter().map(|(on, _)| *on).chain([to]).collect());
                }
                Some(to) => {
                    *next += 1;
                    if state[to] == 0 {
                        path.push((to, 0));
                    }
                }
                None => {
                    state[node] = 2;
                    path.pop();
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles() {
        let check = |edges: &[&[usize]], expected: Option<&[usize]>| {
            let edges: Vec<Vec<usize>> = edges.iter().map(|to| to.to_vec()).collect();
            assert_eq!(circle(&edges).as_deref(), expected, "{edges:?}");
        };
        check(&[], None);
        check(&[&[1, 2], &[2], &[]], None);
        check(&[&[0]], Some(&[0, 0]));
        check(&[&[1], &[2], &[1]], Some(&[1, 2, 1]));
        check(&[&[], &[0, 2], &[3], &[1]], Some(&[1, 2, 3, 1]));
        let long: Vec<Vec<usize>> = (0..100_000).map(|n| vec![(n + 1) % 100_000]).collect();
        assert_eq!(circle(&long).map(|nodes| nodes.len()), Some(100_001), "no recursion");
    }
}
