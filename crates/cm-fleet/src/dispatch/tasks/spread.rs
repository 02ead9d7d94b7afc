//! The combinations of a file's tasks: matrix, then hosts, then names, order and values. PURE.

use std::collections::HashSet;
use std::ops::Range;

use super::after::Links;
use super::file::{Read, Task};
use super::hosts::Hosts;
use super::template::{Scope, Seat};
use super::{HostFacts, MOST, Stated, Wanted, names, want};
use crate::yaml::{Place, Reader};

/// Bytes of all texts together at most.
const BYTES: usize = 256 << 20;

/// One combination of a task.
pub struct Made<'a> {
    /// The task, by its place in the file.
    pub task: usize,
    /// What its keys stand for.
    pub scope: Scope<'a>,
    /// Its name, where the task has one.
    pub name: Option<String>,
}

/// All combinations.
pub struct All<'a> {
    /// In the file's order.
    pub made: Vec<Made<'a>>,
    /// Which of them belong to each task.
    pub of: Vec<Range<usize>>,
}

/// Notes everything that is wrong with a file and can be said without hosts; how many tasks it stands for.
pub fn check(read: &Read, reader: &mut Reader<'_>) -> Stated {
    let Some(all) = named(read, &mut Hosts::later(), reader) else { return Stated::default() };
    Links::new(read, &all).find(reader);
    each(read, &all, reader, |_, _| {});
    let mut stated = Stated::default();
    for (task, range) in read.tasks.iter().zip(&all.of) {
        match task.each_host() {
            true => stated.for_each_host += range.len(),
            false => stated.tasks += range.len(),
        }
    }
    stated
}

/// All tasks for these hosts. What is wrong is noted, and what is returned is only good if nothing was.
pub fn spread(read: &Read, hosts: &[HostFacts], reader: &mut Reader<'_>) -> Vec<Wanted> {
    let Some(all) = named(read, &mut Hosts::known(hosts), reader) else { return Vec::new() };
    let mut after = Links::new(read, &all).find(reader);
    let mut wanted = Vec::with_capacity(all.made.len());
    each(read, &all, reader, |at, task| {
        let after = after.get_mut(at).map(std::mem::take).unwrap_or_default();
        wanted.push(Wanted { after, ..task });
    });
    wanted
}

fn named<'a>(read: &'a Read, hosts: &mut Hosts<'a>, reader: &mut Reader<'_>) -> Option<All<'a>> {
    let mut all = All { made: Vec::new(), of: Vec::with_capacity(read.tasks.len()) };
    for (index, task) in read.tasks.iter().enumerate() {
        let from = all.made.len();
        combine(index, task, hosts, &mut all.made, reader)?;
        all.of.push(from..all.made.len());
    }
    names::give(read, &mut all, reader);
    Some(all)
}

/// Adds a task's combinations; None where there are too many.
fn combine<'a>(
    index: usize,
    task: &'a Task,
    hosts: &mut Hosts<'a>,
    made: &mut Vec<Made<'a>>,
    reader: &mut Reader<'_>,
) -> Option<()> {
    let matrix = task.settings.matrix.as_ref();
    let keys = matrix.map_or(&[][..], |matrix| matrix.keys.as_slice());
    let most = |place: Place, reader: &mut Reader<'_>| {
        reader.wrong(place, format!("with these the file stands for more than {MOST} tasks"));
    };
    let count = keys.iter().try_fold(1_usize, |count, (_, values)| {
        count.checked_mul(values.len().max(1)).filter(|count| *count <= MOST)
    });
    let Some(count) = count else {
        most(matrix.map_or(task.place, |matrix| matrix.place), reader);
        return None;
    };
    for number in 0..count {
        let scope = Scope { values: combination(keys, number), seat: Seat::Any };
        let Some(seats) = seats(task, &scope, hosts, reader) else { return Some(()) };
        for seat in seats {
            if made.len() == MOST {
                most(task.place, reader);
                return None;
            }
            made.push(Made { task: index, scope: Scope { seat, ..scope.clone() }, name: None });
        }
    }
    Some(())
}

/// The values of one combination; the last key turns fastest.
fn combination(keys: &[(String, Vec<String>)], mut number: usize) -> Vec<(&str, Option<&str>)> {
    let mut values: Vec<(&str, Option<&str>)> = Vec::with_capacity(keys.len());
    for (key, all) in keys.iter().rev() {
        let turns = all.len().max(1);
        values.push((key, all.get(number % turns).map(String::as_str)));
        number /= turns;
    }
    values.reverse();
    values
}

/// For whom a combination is made. None: something is wrong, which has been noted.
fn seats<'a>(
    task: &Task,
    scope: &Scope<'_>,
    hosts: &mut Hosts<'a>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Seat<'a>>> {
    let each = task.settings.each_host.as_ref().filter(|flag| flag.value.0);
    let on = task.settings.on.as_ref();
    if let Some(on) = on.filter(|on| each.is_some() && on.0.needs_host()) {
        reader.wrong(on.0.place, "`on` says which hosts: it cannot depend on one of them");
        return None;
    }
    let Some(facts) = hosts.facts else {
        return Some(vec![if each.is_some() { Seat::Later } else { Seat::Any }]);
    };
    if let (Some(flag), true) = (each, facts.is_empty()) {
        reader.wrong(flag.place, "there are no hosts to make this task for; name an inventory: -i FILE");
        return None;
    }
    let text = match on {
        Some(on) => Some(on.value(scope, reader)?),
        None => None,
    };
    // Without an inventory there is nothing a selector could be looked up in.
    let chosen = match facts.is_empty() {
        true => Ok(Vec::new()),
        false => hosts.select(text.as_deref()),
    };
    match (chosen, on) {
        (Ok(chosen), _) if each.is_some() => {
            Some(chosen.into_iter().filter_map(|at| facts.get(at)).map(Seat::Here).collect())
        }
        (Ok(_), _) => Some(vec![Seat::Any]),
        (Err(why), on) => {
            reader.wrong(on.map_or(task.place, |on| on.0.place), why);
            None
        }
    }
}

/// Gives every combination's task to `take`; one that is wrong is noted, and its task's others are left out.
fn each(read: &Read, all: &All<'_>, reader: &mut Reader<'_>, mut take: impl FnMut(usize, Wanted)) {
    let mut bytes = 0_usize;
    let mut known: HashSet<Place> = reader.problems.iter().map(|problem| problem.place).collect();
    for (task, range) in read.tasks.iter().zip(&all.of) {
        let mut branches = HashSet::new();
        for at in range.clone() {
            let Some(made) = all.made.get(at) else { return };
            let before = reader.problems.len();
            let wanted = want::want(task, made, reader);
            if let Some(why) = wanted.as_ref().and_then(|wanted| want::shared(wanted, &mut branches)) {
                let place = task.settings.worktree.as_ref().map_or(task.place, |tree| tree.0.place);
                reader.wrong(place, why);
            }
            if reader.problems.len() > before {
                want::say_once(read, task, before, &mut known, reader);
                break;
            }
            let Some(wanted) = wanted else { break };
            bytes = bytes.saturating_add(want::bytes(&wanted));
            if bytes > BYTES {
                reader.wrong(task.place, "with this one, the texts of all tasks are over 256 MiB");
                return;
            }
            take(at, wanted);
        }
    }
}
