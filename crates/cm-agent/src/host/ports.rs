//! Who holds a TCP port, for an error that names the holder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
};

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: i32,
    /// Its command line, shortened.
    pub command: String,
}

/// How much of the tables of sockets is read, in bytes.
const TABLE: u64 = 16 << 20;

/// Who listens on a TCP port of this machine. `None` if nobody does, or somebody whose open files we may not
/// see.
pub fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<u64> = tables.iter().flat_map(|table| listeners(table, port)).collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    };
    pids.into_iter().find(has).map(|pid| Holder { pid, command: command(pid) })
}

fn listeners(table: &str, port: u16) -> Vec<u64> {
    let Ok(file) = File::open(table) else { return Vec::new() };
    BufReader::new(file.take(TABLE))
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| listener(&line, port))
        .collect()
}

/// PURE. The inode in a line of `/proc/net/tcp`, if it is of a socket that listens on this port.
fn listener(line: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let (_, hex) = local.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (state == LISTEN && u16::from_str_radix(hex, 16) == Ok(port)).then(|| inode.parse().ok())?
}

fn command(pid: i32) -> String {
    let mut bytes = Vec::new();
    let read =
        File::open(format!("/proc/{pid}/cmdline")).and_then(|file| file.take(200).read_to_end(&mut bytes));
    if read.is_err() || bytes.is_empty() {
        return fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().into();
    }
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_its_line() {
        #[track_caller]
        fn check(line: &str, expected: Option<u64>) {
            assert_eq!(listener(line, 9876), expected, "{line}");
        }
        let rest = "00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0";
        check(&format!("   0: 0100007F:2694 00000000:0000 0A {rest}"), Some(4711));
        check(&format!("   0: 00000000000000000000000001000000:2694 0000:0000 0A {rest}"), Some(4711));
        check(&format!("   0: 0100007F:2694 0100007F:1234 01 {rest}"), None);
        check(&format!("   0: 0100007F:2695 00000000:0000 0A {rest}"), None);
        check("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid", None);
        check("", None);
    }

    #[test]
    fn this_process_is_found_by_its_port() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = socket.local_addr().expect("address").port();
        let found = holder(port).expect("we hold it");
        assert_eq!(found.pid, i32::try_from(std::process::id()).expect("a pid"));
        assert!(!found.command.is_empty());
        drop(socket);
        assert_eq!(holder(port), None);
    }
}
