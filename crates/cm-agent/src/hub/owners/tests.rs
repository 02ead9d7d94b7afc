//! Leases over time, and who gets what.

use super::super::claim::Claimed;
use super::super::roster::tests::{claim, closed, open};
use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn moment(seconds: u64) -> Moment {
    Moment { boot_id: "a".into(), up: seconds as f64, unix: 1e6 + seconds as f64 }
}

fn lease(owner: &str, seconds: f64, orphan: Orphan) -> Option<Lease> {
    Some(Lease { owner: owner.into(), seconds, orphan, as_of: None })
}

fn over(roster: &mut Roster, now: u64) -> Vec<String> {
    let mut over: Vec<String> = roster.lapsed(at(now)).0.into_iter().map(|(id, _)| id.0).collect();
    over.sort();
    over
}

fn three() -> Roster {
    let mut roster = Roster::default();
    for (id, lease) in [
        ("stop", lease("r", 10.0, Orphan::Stop)),
        ("keep", lease("r", 10.0, Orphan::Keep)),
        ("other", lease("s", 30.0, Orphan::Stop)),
        ("free", None),
    ] {
        assert_eq!(roster.claim(Claim { lease, now: moment(100), ..claim(id, None) }), Ok(Claimed::New));
    }
    roster
}

#[test]
fn what_nobody_asks_after_is_over_once() {
    let mut roster = three();
    assert_eq!(roster.lapsed(at(109)), (vec![], Some(at(110))));
    assert_eq!(roster.lapsed(at(110)), (vec![(SessionId::from("stop"), 10.0)], Some(at(130))));
    assert_eq!(roster.lapsed(at(120)), (vec![], Some(at(130))));
    assert_eq!(over(&mut roster, 999), ["other"]);
    assert_eq!(roster.lapsed(at(9999)), (vec![], None));
}

#[test]
fn asking_begins_the_time_anew_and_giving_up_ends_it() {
    let mut roster = three();
    let (living, changed) = roster.renew("r", Some(10.0), None, &moment(105));
    assert_eq!((living, changed.len()), (2, 1));
    let written = (SessionId::from("stop"), lease("r", 10.0, Orphan::Stop).expect("one"), moment(105));
    assert_eq!(changed[0], written, "only the time is another");
    assert_eq!(over(&mut roster, 114), [""; 0]);
    let (living, mut changed) = roster.renew("r", Some(20.0), None, &moment(114));
    changed.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(living, 2);
    let lease_of = lease("r", 20.0, Orphan::Stop).expect("one");
    assert_eq!(changed[1], (SessionId::from("stop"), lease_of, moment(114)));
    assert_eq!(over(&mut roster, 133), ["other"]);
    assert_eq!(roster.renew("r", None, None, &moment(133)).0, 2);
    assert_eq!(over(&mut roster, 9999), [""; 0]);
    assert_eq!(roster.renew("nobody", Some(5.0), None, &moment(134)), (0, vec![]));
    // Too late, before anybody has looked.
    assert_eq!(
        three().renew("r", Some(10.0), None, &moment(110)),
        (1, vec![]),
        "only the one that may go on"
    );
    let mut late = three();
    late.renew("r", Some(99.0), None, &moment(110));
    assert_eq!(over(&mut late, 111), ["stop"]);
    // Once given up, no rule holds any more.
    roster.renew("r", Some(5.0), None, &moment(200));
    assert_eq!(over(&mut roster, 9999), [""; 0]);
}

#[test]
fn what_is_written_of_renewals_is_enough_to_go_on_from() {
    let mut roster = Roster::default();
    let lease = lease("r", 100.0, Orphan::Stop);
    let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
    assert_eq!(roster.claim(claim), Ok(Claimed::New));
    // What the journal would have of it: the session when its terminal is there, then its leases.
    let mut journal = roster.remember(open("a"), &moment(1010));
    let mut asks = |second: u64, as_of: f64, written: bool, until: u64, again: u64| {
        let now = moment(second);
        for (_, lease, renewed) in roster.renew("r", Some(100.0), Some(as_of), &now).1 {
            assert!(written, "{second}");
            (journal.lease, journal.renewed) = (Some(lease), Some(renewed));
        }
        assert_eq!(roster.lapsed(now.up()).1, Some(at(until)), "{second}");
        // An agent that is started in this moment; and after a reboot, with the day's clock set back.
        let mut next = Roster::new(vec![journal.clone()], &now);
        assert_eq!(next.lapsed(now.up()).1, Some(at(again)), "{second}");
        let rebooted = Moment { boot_id: "b".into(), up: 100.0, unix: 5.0 };
        let mut next = Roster::new(vec![journal.clone()], &rebooted);
        assert_eq!(next.lapsed(rebooted.up()).0.len(), 1, "{second}");
    };
    asks(1010, 1009.0, false, 1109, 1100);
    asks(1020, 1019.0, false, 1119, 1100);
    asks(1026, 1025.0, true, 1125, 1125);
    asks(1049, 1049.0, false, 1149, 1125);
    // One that was long on its way, one that comes after it, one from the future.
    asks(1099, 1051.0, true, 1151, 1151);
    asks(1100, 1040.0, false, 1151, 1151);
    asks(1101, 9999.0, true, 1201, 1201);
    assert_eq!(roster.lapsed(at(1300)).0.len(), 1);
    assert_eq!(roster.renew("r", Some(100.0), Some(1301.0), &moment(1301)).1, [], "it is over");
    assert_eq!(roster.lapsed(at(9999)), (vec![], None));
}

#[test]
fn what_was_sent_too_long_ago_does_not_begin() {
    let check = |as_of: Option<f64>, orphan, expected: Result<Claimed, ClaimError>| {
        let lease = lease("r", 60.0, orphan).map(|lease| Lease { as_of, ..lease });
        let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
        assert_eq!(Roster::default().claim(claim), expected, "{as_of:?}");
    };
    check(None, Orphan::Stop, Ok(Claimed::New));
    check(Some(941.0), Orphan::Stop, Ok(Claimed::New));
    check(Some(940.0), Orphan::Stop, Err(ClaimError::LeaseOver(60.0)));
    check(Some(0.0), Orphan::Keep, Ok(Claimed::New));
    // What it was asked for took too long to get ready.
    let mut roster = Roster::default();
    let lease = lease("r", 60.0, Orphan::Stop);
    assert_eq!(roster.claim(Claim { lease, now: moment(1000), ..claim("a", None) }), Ok(Claimed::New));
    let id = SessionId::from("a");
    assert_eq!(roster.over_already(&id, &moment(1059)), None);
    assert_eq!(roster.over_already(&id, &moment(1060)), Some(60.0));
    roster.lapsed(at(1060));
    assert_eq!(roster.over_already(&id, &moment(1061)), Some(60.0));
}

#[test]
fn giving_up_that_is_late_gives_up_nothing() {
    let check = |as_of: f64, orphan| {
        let mut roster = Roster::default();
        let lease = lease("r", 60.0, Orphan::Stop);
        let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
        assert_eq!(roster.claim(claim), Ok(Claimed::New));
        roster.renew("r", Some(60.0), Some(1010.0), &moment(1020));
        roster.renew("r", None, Some(as_of), &moment(1030));
        let place = roster.places.values().next().expect("one");
        assert_eq!(place.lease.as_ref().map(|lease| lease.orphan), Some(orphan), "{as_of}");
    };
    check(1010.0, Orphan::Keep);
    check(1005.0, Orphan::Stop);
}

#[test]
fn without_a_word_of_when_the_time_begins_anew_and_ended_sessions_have_none() {
    let mut living = open("a");
    living.lease = lease("r", 10.0, Orphan::Stop);
    let mut ended = closed("b", 3.0);
    ended.lease.clone_from(&living.lease);
    let mut roster = Roster::new(vec![living.clone(), ended], &moment(500));
    assert_eq!(roster.lapsed(at(509)), (vec![], Some(at(510))));
    // What an older copy of the record says of it does not count.
    roster.renew("r", None, None, &moment(505));
    let remembered = roster.remember(living, &moment(506));
    assert_eq!(remembered.lease, lease("r", 10.0, Orphan::Keep));
    assert_eq!(over(&mut roster, 9999), [""; 0]);
}

#[test]
fn a_result_is_kept_until_it_is_said_to_have_arrived() {
    let leased = |id: &str, at| {
        let mut record = closed(id, at);
        record.lease = lease("r", 10.0, Orphan::Keep);
        record
    };
    let (a, b, running) = (leased("a", 1.0), leased("b", 2.0), open("running"));
    let mut roster = Roster::new(vec![a, b, closed("c", 3.0), running], &moment(0));
    let keep = Retention { closed: 0, ..Retention::default() };
    assert_eq!(roster.forget_beyond(&keep).sessions, [SessionId::from("c")]);
    let ids = ["a", "a", "running", "unknown"].map(SessionId::from);
    assert_eq!(roster.acknowledge(&ids), (1, vec![SessionId::from("a")]));
    assert_eq!(roster.acknowledge(&ids), (1, vec![]));
    assert_eq!(roster.forget_beyond(&keep).sessions, [SessionId::from("a")]);
    let few = Retention { unfetched: 0, ..keep };
    let gone = roster.forget_beyond(&few);
    assert_eq!((gone.sessions, gone.unfetched), (vec![SessionId::from("b")], 1));
    assert_eq!(roster.list(10.0, true, Some("r")).len(), 0);
}

#[test]
fn f37_a_late_attempt_is_kept_out_and_an_early_one_is_found() {
    let mut roster = Roster::default();
    for (id, attempt) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(roster.claim(claim(id, Some(("t", attempt)))), Ok(Claimed::New));
    }
    assert_eq!(roster.claim(claim("d", Some(("t", 1)))), Ok(Claimed::Existing(SessionId::from("a"))));
    assert!(roster.fenced(None).is_empty());
    assert!(roster.fences.raise("t", 3));
    let mut fenced = roster.fenced(Some("t"));
    fenced.sort();
    assert_eq!(roster.fenced(Some("u")), []);
    assert_eq!(fenced, [(SessionId::from("a"), 3), (SessionId::from("b"), 3)]);
    let refused = roster.claim(claim("d", Some(("t", 1)))).expect_err("over");
    assert_eq!(refused.code(), cm_protocol::ErrorCode::Conflict);
    assert_eq!(roster.claim(claim("d", Some(("t", 3)))), Ok(Claimed::Existing(SessionId::from("c"))));
    assert_eq!(roster.claim(claim("d", Some(("t", 4)))), Ok(Claimed::New));
    roster.abandon(&SessionId::from("a"));
    assert_eq!(roster.fenced(None), [(SessionId::from("b"), 3)]);
}

#[test]
fn places_for_tasks_are_shared() {
    let mut roster = Roster::default();
    let mut asks = |id: &str, owner: Option<&str>, second: u64| {
        let lease = owner.and_then(|owner| lease(owner, 60.0, Orphan::Keep));
        let claim = Claim { lease, slots: Some(2), now: moment(second), ..claim(id, None) };
        match roster.claim(claim) {
            Ok(_) => String::new(),
            Err(refused) => refused.to_string(),
        }
    };
    assert_eq!(asks("a", Some("r"), 0), "");
    assert_eq!(asks("b", Some("r"), 0), "");
    let full = "the agent holds 2 tasks, as many as it may; ask again when one has ended";
    assert_eq!(asks("c", Some("s"), 0), full);
    // Whoever has no lease is not one of the fleet's.
    assert_eq!(asks("d", None, 0), "");
    assert_eq!(asks("e", Some("s"), 0), full);
}
