//! How long a command takes to one agent: through a tunnel as runs have it, through a forwarded port, and directly.
//!
//! `ping TIMES USER@ADDRESS:PORT IDENTITY KNOWN_HOSTS AGENT_PORT FORWARDED_PORT`, the agent's token in `CM_AGENT_TOKEN`.
//! Prints one line of JSON: median and 99th percentile of each way, milliseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use cm_client::{Client, Endpoint, Token};
use cm_ssh::{AgentUse, Keys, NoSecrets, Remote, Ssh, Target};

/// For anything that answers.
const DEADLINE: Duration = Duration::from_secs(10);
/// Commands by one way in a row.
const ROW: usize = 100;

type Any = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Any> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [times, host, identity, known_hosts, agent, forwarded] = args.as_slice() else {
        return Err("ping TIMES USER@ADDRESS:PORT IDENTITY KNOWN_HOSTS AGENT_PORT FORWARDED_PORT".into());
    };
    let (times, agent, forwarded): (usize, u16, u16) = (times.parse()?, agent.parse()?, forwarded.parse()?);
    let token = std::env::var("CM_AGENT_TOKEN")?;
    let (user, address) = host.split_once('@').ok_or("USER@ADDRESS:PORT")?;
    let (address, port) = address.rsplit_once(':').ok_or("USER@ADDRESS:PORT")?;
    let mut target = Target::new("host", address, user);
    target.port = port.parse()?;
    target.identities = vec![identity.into()];
    target.known_hosts = vec![known_hosts.into()];
    target.agent = AgentUse::None;
    let ssh = Ssh::connect(&target, &Keys::new(NoSecrets)).await?;
    let stream = ssh.stream(Remote::Tcp("127.0.0.1".to_owned(), agent)).await?;
    let tcp = |port| Endpoint::Tcp { host: "127.0.0.1".into(), port, token: Token::new(&token) };
    let clients = [
        Client::over(stream, &Token::new(&token), DEADLINE).await?,
        Client::connect(&tcp(forwarded), DEADLINE).await?,
        Client::connect(&tcp(agent), DEADLINE).await?,
    ];
    let mut all: [Vec<f64>; 3] = Default::default();
    // The first row of each warms it up.
    for row in 0..=times.div_ceil(ROW) {
        for (client, all) in clients.iter().zip(&mut all) {
            for _ in 0..ROW {
                let began = Instant::now();
                client.agent_info().await?;
                if row > 0 {
                    all.push(began.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
    }
    let [tunnel, forward, bare] = all.map(quantiles);
    println!("{}", serde_json::json!({"tunnel": tunnel, "forward": forward, "bare": bare}));
    for client in &clients {
        client.close().await;
    }
    Ok(())
}

/// Median and 99th percentile.
fn quantiles(mut all: Vec<f64>) -> [f64; 2] {
    all.sort_by(f64::total_cmp);
    let at = |of_hundred: usize| {
        let place = (all.len() * of_hundred).div_ceil(100).saturating_sub(1);
        all.get(place).copied().unwrap_or(f64::NAN)
    };
    [at(50), at(99)]
}
