//! Work in progress in the loop: fetched at intervals, brought to the next host before a task is asked for there.

use std::io;

use cm_client::protocol::{Continues, CreateSession, ErrorCode};
use cm_client::{Client, ClientError};
use futures_util::future::ready;
use tokio::time::Instant;

use super::Run;
use super::asking::{self, Answer};
use crate::dispatch::carry::Commit;
use crate::dispatch::relay::Errand;
use crate::report::event::RunEventKind;
use crate::report::fold::Status;

impl Run<'_> {
    /// Fetches what is due. Nothing waits for it.
    pub(super) fn fetch_work(&mut self) {
        let Some(relay) = &mut self.relay else { return };
        for errand in relay.errands(Instant::now(), &self.state) {
            let Some(client) = self.links.client(errand.host) else {
                relay.fetched(errand, "", Ok(None), &self.state);
                continue;
            };
            let fetch = relay.fetch(client, errand);
            self.asked.push(Box::pin(async move { Answer::Fetched { errand, result: fetch.await } }));
        }
    }

    pub(super) fn fetched(&mut self, errand: Errand, result: Result<Option<Commit>, String>) {
        let Some(relay) = &mut self.relay else { return };
        let host = self.state.hosts.get(errand.host).map_or("", |host| host.name.as_str());
        relay.fetched(errand, host, result, &self.state);
    }

    /// Whether the work of earlier attempts is now on its way to the host; the task is asked for when it is there.
    pub(super) fn brings(&mut self, task: usize, host: usize, attempt: u32, client: &Client) -> bool {
        let Some(relay) = self.relay.as_ref().filter(|relay| relay.must_bring(task, attempt)) else {
            return false;
        };
        if !knows(client) {
            let result = Err("its agent is too old to go on with work".to_owned());
            self.creating.insert(task);
            self.asked.push(Box::pin(ready(Answer::Brought { task, host, attempt, result })));
            return true;
        }
        let old = relay.left_on(task).and_then(|name| self.state.host_index(name));
        let old = old.filter(|old| self.is_up(*old)).and_then(|old| Some((old, self.links.client(old)?)));
        let bring = relay.bring(task, (host, client.clone()), old);
        self.creating.insert(task);
        self.asked
            .push(Box::pin(async move { Answer::Brought { task, host, attempt, result: bring.await } }));
        true
    }

    pub(super) fn brought(
        &mut self,
        task: usize,
        host: usize,
        attempt: u32,
        result: Result<Option<Continues>, String>,
    ) -> io::Result<()> {
        self.creating.remove(&task);
        let Some(known) = self.state.task(task) else { return Ok(()) };
        let current = known.attempt == attempt && matches!(known.status, Status::Placed { .. });
        if !current || self.state.stop.is_some() {
            return Ok(());
        }
        let label = known.plan.label.clone();
        let why = match &result {
            Ok(Some(_)) => None,
            Ok(None) => Some("nothing of its work had been saved".to_owned()),
            Err(why) => Some(why.clone()),
        };
        if let Some(relay) = &mut self.relay {
            relay.brought(task, attempt, result.ok().flatten());
        }
        if let Some(why) = why {
            self.anew(host, format!("{label} begins anew: {why}"))?;
        }
        self.ask(task, host, attempt, self.record.kept());
        Ok(())
    }

    /// Says that work was left behind.
    fn anew(&mut self, host: usize, message: String) -> io::Result<()> {
        let Some(host) = self.state.hosts.get(host).map(|host| host.name.clone()) else { return Ok(()) };
        self.emit(RunEventKind::HostNotice { host, topic: "work".into(), message })
    }

    /// Puts what the attempt goes on with into its request; what the agent does not know is taken out.
    pub(super) fn go_on(&self, request: &mut CreateSession, task: usize, attempt: u32, client: &Client) {
        let Some(tree) = &mut request.worktree else { return };
        if !knows(client) {
            (tree.save_every, tree.continues) = (None, None);
            return;
        }
        if let Some(work) = self.relay.as_ref().and_then(|relay| relay.goes_on_with(task, attempt)) {
            let base = self.state.task(task).and_then(|known| known.base.clone());
            tree.continues = Some(Continues { base, ..work.clone() });
        }
    }

    /// A host that cannot go on with what it was sent is asked once more, without it.
    pub(super) fn without_work(&mut self, task: usize, host: usize, error: &ClientError) -> io::Result<bool> {
        let words = asking::words(error);
        let about_it = error.code() == Some(ErrorCode::BadRequest) && words.contains("worktree.continues");
        let Some(known) = self.state.task(task).filter(|_| about_it) else { return Ok(false) };
        let (attempt, label) = (known.attempt, known.plan.label.clone());
        let Some(relay) = &mut self.relay else { return Ok(false) };
        if relay.goes_on_with(task, attempt).is_none() {
            return Ok(false);
        }
        relay.brought(task, attempt, None);
        self.anew(host, format!("{label} begins anew: {words}"))?;
        self.ask(task, host, attempt, self.record.kept());
        Ok(true)
    }
}

/// Whether the agent knows what saving work and going on with it is.
fn knows(client: &Client) -> bool {
    client.hello().is_some_and(|hello| hello.agent.features.iter().any(|word| word == "repo"))
}
