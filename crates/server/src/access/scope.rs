//! What keys may be allowed to do: the one list that calls, commands and documents go by.

/// Something a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Admin,
    /// Reading alarms and their notices.
    AlarmsRead,
    /// Setting and removing alarms.
    AlarmsWrite,
    /// Deciding questions that name the key.
    ApprovalsDecide,
    /// Reading who changed what.
    AuditRead,
    /// Reading connections, never their credentials.
    ConnectionsRead,
    /// Making and changing connections.
    ConnectionsWrite,
    /// Reading recipes.
    RecipesRead,
    /// Saving recipes, switching them on and off.
    RecipesWrite,
    /// Reading runs, their data, dead letters and schedules.
    RunsRead,
    /// Starting, cancelling, resuming and replaying runs.
    RunsWrite,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 11] = [
        Self::Admin,
        Self::AlarmsRead,
        Self::AlarmsWrite,
        Self::ApprovalsDecide,
        Self::AuditRead,
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
        Self::RecipesRead,
        Self::RecipesWrite,
        Self::RunsRead,
        Self::RunsWrite,
    ];

    /// As keys are given it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::AlarmsRead => "alarms:read",
            Self::AlarmsWrite => "alarms:write",
            Self::ApprovalsDecide => "approvals:decide",
            Self::AuditRead => "audit:read",
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
            Self::RecipesRead => "recipes:read",
            Self::RecipesWrite => "recipes:write",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
        }
    }

    /// Whether a key with this scope may do what asks for the other. `admin` is everything, writing includes reading.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        self == Self::Admin
            || self == wanted
            || matches!(
                (self, wanted),
                (Self::AlarmsWrite, Self::AlarmsRead)
                    | (Self::ConnectionsWrite, Self::ConnectionsRead)
                    | (Self::RecipesWrite, Self::RecipesRead)
                    | (Self::RunsWrite, Self::RunsRead)
            )
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_includes_what() {
        for scope in Scope::ALL {
            assert!(Scope::Admin.includes(scope) && scope.includes(scope));
            assert_eq!(scope.includes(Scope::Admin), scope == Scope::Admin);
        }
        assert!(Scope::RunsWrite.includes(Scope::RunsRead) && !Scope::RunsRead.includes(Scope::RunsWrite));
        assert!(!Scope::RunsWrite.includes(Scope::ApprovalsDecide), "who may change runs may not answer for others");
        assert!(!Scope::RecipesWrite.includes(Scope::RunsRead));
    }
}
