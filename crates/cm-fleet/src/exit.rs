//! The exit codes of `cm-fleet`, as one type. PURE.

/// What a shell sees when the command has ended. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done,
    /// A task failed, or an act on a session did.
    Failed,
    /// The command line, a file it names or a value in it cannot be used.
    Usage,
    /// No host could be reached.
    Unreachable,
    /// Refused: by a host's key, a limit, a lock or the state of things.
    Refused,
    /// Hosts have gone back to what they were.
    RolledBack,
    /// Ended by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::RolledBack => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
