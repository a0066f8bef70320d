use uuid::Uuid;

/// Somebody who does something to an account, as the audit names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor<'a> {
    /// Anybody who can reach us, and has proven nothing.
    Stranger,
    /// A member, to their own account.
    Member(Uuid),
    Operator(Uuid),
    /// A service, by its client id.
    Service(&'a str),
    /// Somebody who may run our program beside the service.
    CommandLine,
    /// We ourselves, because it was time.
    Auth,
}

impl<'a> Actor<'a> {
    /// As it is stored and logged.
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

    /// Of a person.
    pub const fn id(self) -> Option<Uuid> {
        match self {
            Self::Member(id) | Self::Operator(id) => Some(id),
            _ => None,
        }
    }

    /// Of a service.
    pub const fn client(self) -> Option<&'a str> {
        match self {
            Self::Service(client) => Some(client),
            _ => None,
        }
    }
}
