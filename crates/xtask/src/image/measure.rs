//! How soon a container of the agent's is of use, how soon it ends, and what it takes.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::hosts::Docker;
use crate::sh::{self, SHORT};

/// How often it is measured.
const ROUNDS: usize = 5;
/// The container.
const NAME: &str = "cm-image-measure";
/// Longer than a container takes on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one container showed.
struct Shown {
    answers: Duration,
    healthy: Duration,
    stopped: Duration,
}

/// Measures and prints medians.
pub fn run(docker: &Docker, image: &str) -> Result<(), Failure> {
    let rounds: Vec<Shown> = (0..ROUNDS).map(|_| round(docker, image)).collect::<Result<_, _>>()?;
    let median = |of: fn(&Shown) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2].as_secs_f64()
    };
    println!(
        "{image}: `docker run` to an agent that answers {:.2} s, to Docker's word `healthy` {:.2} s, `docker stop` {:.2} s \
         (medians of {ROUNDS})",
        median(|shown| shown.answers),
        median(|shown| shown.healthy),
        median(|shown| shown.stopped),
    );
    Ok(())
}

fn round(docker: &Docker, image: &str) -> Result<Shown, Failure> {
    let _ = docker.run(["rm", "--force", "--volumes", NAME]).capture(SHORT);
    let began = Instant::now();
    docker.run(["run", "--detach", "--network", "none", "--name", NAME, image]).capture(SHORT)?;
    let late = || {
        let said = docker.run(["logs", NAME]).capture(SHORT).unwrap_or_default();
        Failure::check(
            format!("a container of {image} did not become healthy: {said}"),
            "docker logs".to_owned(),
        )
    };
    let answers = || docker.run(["exec", NAME, "cm-agent", "health"]).succeeds().then(|| began.elapsed());
    let answers = sh::until(PATIENCE, answers).ok_or_else(late)?;
    let format = "{{.State.Health.Status}}";
    let healthy = || {
        let said = docker.run(["inspect", "--format", format, NAME]).capture(SHORT).ok()?;
        (said.trim() == "healthy").then(|| began.elapsed())
    };
    let healthy = sh::until(PATIENCE, healthy).ok_or_else(late)?;
    let began = Instant::now();
    docker.run(["stop", NAME]).capture(SHORT)?;
    let stopped = began.elapsed();
    docker.run(["rm", "--force", "--volumes", NAME]).capture(SHORT)?;
    Ok(Shown { answers, healthy, stopped })
}
