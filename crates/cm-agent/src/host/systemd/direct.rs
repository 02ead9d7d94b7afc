//! What an installation asks of the user's service manager itself. Any error means: ask by systemctl, which says why.

use std::io::{Error, Result};
use std::path::Path;

use super::bus::{Began, Bus};
use super::message::{Call, Value};

/// A unit's properties as `systemctl show` prints them; each with the interface it belongs to (`Unit`, `Service`; of the
/// manager itself: `Manager`).
pub async fn show(runtime: &Path, unit: &str, properties: &[(&str, &str)]) -> Result<String> {
    let mut bus = Bus::greet(runtime.to_path_buf()).await?;
    let mut text = String::new();
    for (interface, property) in properties {
        let value = bus.say(&Call::Get(unit, interface, property)).await?;
        text += &format!("{property}={value}\n");
    }
    Ok(text)
}

/// Has a unit restarted; that it was begun is waited for, and no more.
pub async fn restart(runtime: &Path, unit: &str) -> Result<()> {
    Bus::greet(runtime.to_path_buf()).await?.say(&Call::Restart(unit)).await.map(drop)
}

/// Has units stopped; `wait`: until each is. One that is not there is stopped.
pub async fn stop(runtime: &Path, units: &[&str], wait: bool) -> Result<()> {
    let mut bus = Bus::greet(runtime.to_path_buf()).await?;
    for unit in units {
        let gone = |error: &Error| error.to_string().contains("not loaded");
        let stopped = match wait {
            true => worked(bus.work(&Call::Stop(unit)).await?),
            false => bus.say(&Call::Stop(unit)).await.map(drop),
        };
        stopped.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

/// Forgets that a unit has failed, and how often it was restarted.
pub async fn forget_failure(runtime: &Path, unit: &str) -> Result<()> {
    Bus::greet(runtime.to_path_buf()).await?.say(&Call::ForgetFailure(unit)).await.map(drop)
}

/// Reads all unit files again.
pub async fn reload(runtime: &Path) -> Result<()> {
    Bus::greet(runtime.to_path_buf()).await?.say(&Call::Reload).await.map(drop)
}

/// Runs a program after `microseconds`, in units `<name>.timer` and `<name>.service` of its own that go when it is done.
pub async fn later(
    runtime: &Path,
    name: &str,
    description: &str,
    microseconds: u64,
    argv: &[String],
) -> Result<()> {
    let (timer, service) = (format!("{name}.timer"), format!("{name}.service"));
    let gone = ("CollectMode", Value::Text("inactive-or-failed"));
    let when = [
        ("Description", Value::Text(description)),
        ("TimersMonotonic", Value::In(microseconds)),
        ("AccuracyUSec", Value::Number(100_000)),
        ("RemainAfterElapse", Value::Flag(false)),
        gone.clone(),
    ];
    let what = [("Description", Value::Text(description)), gone, ("ExecStart", Value::Run(argv))];
    let call = Call::Start { unit: &timer, properties: &when, beside: Some((&service, &what)) };
    worked(Bus::greet(runtime.to_path_buf()).await?.work(&call).await?)
}

fn worked(began: Began) -> Result<()> {
    match began {
        Began::Yes => Ok(()),
        Began::NameTaken => Err(Error::other("there is one of its name")),
        Began::No(why) => Err(Error::other(why)),
    }
}
