use uuid::Uuid;

/// The author of a change to an account, as the audit names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor<'a> {
    /// Anybody who can reach the service and has proven nothing.
    Stranger,
    /// A member, at their own account.
    Member(Uuid),
    Operator(Uuid),
    /// A service, by its client id.
    Service(&'a str),
    /// An operator who runs a command beside the service.
    CommandLine,
    /// The service itself, by a job.
    Auth,
}

impl<'a> Actor<'a> {
    /// The word that is stored and logged.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Member(_) => "member",
            Self::Operator(_) => "operator",
            Self::Service(_) => "service",
            Self::CommandLine => "command_line",
            Self::Auth => "auth",
        }
    }

    /// The id of a person.
    pub const fn id(self) -> Option<Uuid> {
        match self {
            Self::Member(id) | Self::Operator(id) => Some(id),
            _ => None,
        }
    }

    /// The client id of a service.
    pub const fn client(self) -> Option<&'a str> {
        match self {
            Self::Service(client) => Some(client),
            _ => None,
        }
    }
}
