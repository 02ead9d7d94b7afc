//! Finding the sessions of an earlier agent: by journal, by unit and by socket.

use std::collections::HashSet;
use std::sync::Arc;

use cm_protocol::{EventKind, SessionId};

use super::Engine;
use super::actor::Actor;
use super::launch::FACTS;
use super::record::SessionRecord;
use crate::host::clock;

/// A session's facts are small; whatever is larger is not ours.
const FACTS_BYTES: u64 = 4 * 1024 * 1024;

/// Takes up every session that may be alive. Each finds out for itself, at the same time as the others:
/// one that hangs holds up nobody. `known`: what the journal remembers.
pub fn adopt_all(engine: &Arc<Engine>, known: &[SessionRecord]) {
    let mut records: Vec<SessionRecord> = known.iter().filter(|r| r.is_open()).cloned().collect();
    let remembered: HashSet<&SessionId> = known.iter().map(|r| &r.id).collect();
    for record in stray(engine) {
        if !remembered.contains(&record.id) {
            engine.hub.notice(
                "session_found",
                format!("{} was not in the journal but its terminal is there: taken up again", record.id),
            );
            engine.hub.remember(record.clone());
            // What led here is lost with the journal; who follows events must hear of it all the same.
            let session = Box::new(record.info(clock::unix_now()));
            engine.hub.publish(EventKind::SessionAdded { session });
            records.push(record);
        }
    }
    for record in records {
        let actor = Actor::found(engine.clone(), record);
        engine.tracker.spawn(actor.run());
    }
}

/// Sessions whose directories stand in the runtime directory, whatever the journal says.
fn stray(engine: &Engine) -> Vec<SessionRecord> {
    let Ok(entries) = std::fs::read_dir(engine.runtime.path()) else { return Vec::new() };
    entries
        .flatten()
        .filter(|e| e.file_name().to_str().is_some_and(|n| SessionId::from(n).is_well_formed()))
        .filter_map(|e| {
            let facts = e.path().join(FACTS);
            if std::fs::metadata(&facts).ok()?.len() > FACTS_BYTES {
                return None;
            }
            let record: SessionRecord = serde_json::from_slice(&std::fs::read(&facts).ok()?).ok()?;
            (e.file_name().to_str() == Some(record.id.as_str())).then_some(record)
        })
        .collect()
}
