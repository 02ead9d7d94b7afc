//! Deployments to a host that is far away: how many round trips they take, and what for.

use std::time::Duration;

use cm_testkit::hosts::{Host, Relay};

use crate::failure::Failure;

use super::ground::{Ground, inventory};
use super::timed::median;
use super::ways::Ways;

/// How far away it is.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// Each is measured that often, near and far.
const ROUNDS: usize = 5;

/// Round trips by what they are for, in order.
pub type Trips = Vec<(String, f64)>;

/// What a first deployment and one that changes nothing take.
pub struct Far {
    /// A first deployment.
    pub first: Trips,
    /// One that changes nothing.
    pub unchanged: Trips,
}

impl Far {
    /// Measures it.
    pub fn measure(ways: &Ways, ground: &Ground) -> Result<Self, Failure> {
        let near = rounds(ways, ground, Duration::ZERO)?;
        let far = rounds(ways, ground, ROUND_TRIP)?;
        Ok(Self { first: trips(&near.0, &far.0), unchanged: trips(&near.1, &far.1) })
    }
}

/// Times of the parts of several first deployments, and of several that change nothing.
type Rounds = (Vec<Trips>, Vec<Trips>);

fn rounds(ways: &Ways, ground: &Ground, round_trip: Duration) -> Result<Rounds, Failure> {
    let Some(host) = ground.hosts.first() else { return Ok(Rounds::default()) };
    // Also where it is near: what the relay itself costs is then no round trip.
    let relay = Relay::start(host, round_trip);
    let there = Host {
        address: relay.address.clone(),
        port: relay.port,
        known_hosts: relay.known_hosts.clone(),
        ..host.clone()
    };
    ways.bench.write("far.yaml", &inventory("bench", None, &[there], &ways.agents[0]))?;
    let deploy = || -> Result<Trips, Failure> {
        let (took, printed) = ways.bench.run(&ways.fleet, &["deploy", "far.yaml", "--yes", "--json"])?;
        Ok(parts(&printed, took.wall))
    };
    let mut all = Rounds::default();
    for _ in 0..ROUNDS {
        ground.reset()?;
        all.0.push(deploy()?);
        all.1.push(deploy()?);
    }
    Ok(all)
}

/// PURE. Seconds by part, out of a deployment's events. The parts add up to `wall`.
fn parts(events: &str, wall: f64) -> Trips {
    let mut parts = Trips::new();
    let mut add = |name: &str, seconds: f64| match parts.iter_mut().find(|(part, _)| part == name) {
        Some((_, sum)) => *sum += seconds,
        None => parts.push((name.to_owned(), seconds)),
    };
    let (mut last, mut began, mut sent) = (None, 0.0, false);
    for line in events.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let Some(at) = event["at"].as_f64() else { continue };
        let before = last.unwrap_or(at);
        let part = match event["event"].as_str().unwrap_or_default() {
            "run_started" => {
                began = at;
                ""
            }
            "host_connected" => "connect and log in",
            "host_planned" => "ask",
            // The first: until the command runs and reads.
            "host_sent" if !sent => {
                sent = true;
                "start the installation"
            }
            "host_sent" => "send",
            "host_step" if event["step"] == "confirm" => "confirm",
            "host_step" => "install",
            _ => "end",
        };
        last = Some(at);
        if !part.is_empty() {
            add(part, at - before);
        }
    }
    let inside = last.unwrap_or(began) - began;
    add("end", (wall - inside).max(0.0));
    parts
}

/// PURE. What is more where it is far, in round trips: of medians, part by part.
fn trips(near: &[Trips], far: &[Trips]) -> Trips {
    let names: Vec<&String> = far.first().into_iter().flatten().map(|(name, _)| name).collect();
    let middle = |rounds: &[Trips], name: &str| {
        median(rounds.iter().flatten().filter(|(part, _)| part == name).map(|(_, seconds)| *seconds))
    };
    let more = |name: &str| (middle(far, name) - middle(near, name)) / ROUND_TRIP.as_secs_f64();
    names.into_iter().map(|name| (name.clone(), more(name))).collect()
}

/// All but the bytes themselves.
pub fn without_transfer(trips: &Trips) -> f64 {
    trips.iter().filter(|(name, _)| name != "send").map(|(_, trips)| trips).sum()
}

/// For people.
pub fn words(trips: &Trips) -> String {
    trips.iter().map(|(name, trips)| format!("{name} {trips:.1}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_what_is_more_far_away() {
        let events = |rtt: f64| {
            format!(
                "{{\"at\":10.0,\"event\":\"run_started\"}}\nnot ours\n\
                 {{\"at\":{},\"event\":\"host_connected\"}}\n{{\"at\":{},\"event\":\"host_planned\"}}\n\
                 {{\"at\":{},\"event\":\"host_begun\"}}\n{{\"at\":{},\"event\":\"host_sent\"}}\n\
                 {{\"at\":{},\"event\":\"host_sent\"}}\n{{\"at\":{},\"event\":\"host_step\",\"step\":\"lock\"}}\n\
                 {{\"at\":{},\"event\":\"host_step\",\"step\":\"confirm\"}}\n",
                10.5 + 4.0 * rtt,
                11.0 + 6.0 * rtt,
                11.0 + 6.0 * rtt,
                11.0 + 8.0 * rtt,
                12.0 + 9.0 * rtt,
                13.0 + 10.0 * rtt,
                14.0 + 15.0 * rtt,
            )
        };
        let of = |rtt: f64| vec![parts(&events(rtt), 4.25 + 16.0 * rtt)];
        let trips = trips(&of(0.0), &of(0.05));
        let rounded: Vec<(&str, f64)> = trips.iter().map(|(name, n)| (name.as_str(), n.round())).collect();
        let expected = [
            ("connect and log in", 4.0),
            ("ask", 2.0),
            ("end", 1.0),
            ("start the installation", 2.0),
            ("send", 1.0),
            ("install", 1.0),
            ("confirm", 5.0),
        ];
        assert_eq!(rounded, expected);
        assert!((without_transfer(&trips) - 15.0).abs() < 0.01);
    }
}
