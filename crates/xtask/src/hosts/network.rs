//! The inner network: hosts in it are reached from the bastion and from nowhere else.

use crate::failure::Failure;
use crate::hosts::PREFIX;
use crate::hosts::container::CHECKOUT;
use crate::hosts::docker::Docker;
use crate::sh::SHORT;
use crate::workspace::Workspace;

/// Tried in this order: a machine may use some of them itself.
const SUBNETS: [&str; 4] = ["10.213.117", "10.213.118", "172.29.213", "192.168.213"];

/// The network with fixed addresses.
#[derive(Debug, Clone)]
pub struct Inner {
    /// What Docker calls it.
    pub name: String,
    subnet: String,
}

impl Inner {
    /// The address of the bastion in it.
    pub fn gateway(&self) -> String {
        format!("{}.10", self.subnet)
    }

    /// The address of the host with that number.
    pub fn address(&self, number: u8) -> String {
        format!("{}.{number}", self.subnet)
    }

    /// Makes it, if need be.
    pub fn ensure(docker: &Docker, workspace: &Workspace) -> Result<Self, Failure> {
        let name = format!("{PREFIX}-inner");
        let format = "{{(index .IPAM.Config 0).Subnet}}";
        if let Ok(subnet) = docker.run(["network", "inspect", "--format", format, &name]).capture(SHORT) {
            let subnet = subnet.trim().trim_end_matches(".0/24").to_owned();
            return Ok(Self { name, subnet });
        }
        let label = format!("{CHECKOUT}={}", workspace.root.display());
        let mut last = None;
        for subnet in SUBNETS {
            // This machine has an address in it, too: were there no way into it, a connection to a host there
            // would go out to whatever answers at that address elsewhere. The hosts turn it away themselves.
            let made = docker
                .run(["network", "create", "--internal", "--label", &label])
                .args(["--subnet", &format!("{subnet}.0/24"), &name])
                .capture(SHORT);
            match made {
                Ok(_) => return Ok(Self { name, subnet: subnet.to_owned() }),
                Err(failure) => last = Some(failure),
            }
        }
        Err(Failure::Host {
            host: name,
            act: "make the inner network".to_owned(),
            why: last.map_or_else(String::new, |failure| failure.to_string()),
            next: "docker network ls".to_owned(),
        })
    }

    /// Removes it, if it belongs to this checkout (or whichever, if `all`) and no host is in it.
    pub fn remove(docker: &Docker, workspace: &Workspace, all: bool) -> Result<(), Failure> {
        let filter = if all {
            format!("label={CHECKOUT}")
        } else {
            format!("label={CHECKOUT}={}", workspace.root.display())
        };
        let names =
            docker.run(["network", "ls", "--filter", &filter, "--format", "{{.Name}}"]).capture(SHORT)?;
        for name in names.lines().filter(|name| name.starts_with(PREFIX)) {
            docker.run(["network", "rm", name]).capture(SHORT)?;
        }
        Ok(())
    }
}
