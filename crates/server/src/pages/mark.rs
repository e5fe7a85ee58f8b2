//! The small tile before a step or recipe: two letters for an app, an icon for a step of Liaison's own.

/// What the tile shows. App marks are letters on a tint, never third-party logos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A connected app.
    App {
        /// The connector's name as people read it.
        name: String,
        /// Two letters.
        letters: String,
        /// The tint's class; empty for the neutral one.
        tint: &'static str,
    },
    /// A step word, a schedule, a webhook.
    Own {
        /// What it is, for screen readers.
        name: String,
        /// The icon.
        icon: &'static str,
    },
}

impl Mark {
    /// The tile of a connector. `id` is its code (`salesforce`), `name` what people read.
    pub fn app(id: &str, name: &str) -> Self {
        let tint = match id {
            "salesforce" => "sf",
            "netsuite" => "ns",
            "stripe" => "st",
            "servicenow" => "sn",
            "workday" => "wd",
            "http" => return Self::own("HTTP", "globe"),
            "email" => return Self::own("Email", "mail"),
            "log" => return Self::own("Log", "audit"),
            "webhook" => return Self::own("Webhook", "hook"),
            _ => "",
        };
        let mut letters: String = match id {
            "salesforce" => "Sf".to_owned(),
            "netsuite" => "Ns".to_owned(),
            "servicenow" => "Sn".to_owned(),
            "workday" => "Wd".to_owned(),
            _ => name.chars().filter(|c| c.is_alphanumeric()).take(2).collect(),
        };
        if letters.is_empty() {
            letters = "?".to_owned();
        }
        Self::App { name: name.to_owned(), letters, tint }
    }

    /// The tile of a step word of the language (`each`, `choose`, `wait`…) or a trigger without an app.
    pub fn word(word: &str) -> Self {
        let (name, icon) = match word {
            "each" => ("For each", "loop"),
            "repeat" => ("Repeat", "loop"),
            "parallel" => ("In parallel", "branch"),
            "choose" => ("Choose", "branch"),
            "try" => ("Try", "undo"),
            "undo" => ("Undo", "undo"),
            "set" => ("Set", "recipe"),
            "save" => ("Save", "recipe"),
            "wait" => ("Wait", "clock"),
            "approval" => ("Approval", "hand"),
            "call" => ("Call a recipe", "play"),
            "start" => ("Start a recipe", "play"),
            "respond" => ("Respond", "right"),
            "return" | "stop" => ("End", "stopc"),
            "fail" => ("Fail", "x"),
            "schedule" => ("Schedule", "clock"),
            "webhook" => ("Webhook", "hook"),
            "api" => ("API", "key"),
            "failure" => ("A failed run", "alert"),
            "trigger" => ("Trigger", "play"),
            _ => ("Step", "recipe"),
        };
        Self::own(name, icon)
    }

    /// A tile with an icon.
    pub fn own(name: &str, icon: &'static str) -> Self {
        Self::Own { name: name.to_owned(), icon }
    }

    /// What it stands for, in words.
    pub fn name(&self) -> &str {
        match self {
            Self::App { name, .. } | Self::Own { name, .. } => name,
        }
    }

    /// The tile's class.
    pub fn tint(&self) -> &str {
        match self {
            Self::App { tint, .. } => tint,
            Self::Own { .. } => "fl",
        }
    }

    /// The letters of an app.
    pub fn letters(&self) -> Option<&str> {
        match self {
            Self::App { letters, .. } => Some(letters),
            Self::Own { .. } => None,
        }
    }

    /// The icon of a step of our own.
    pub fn icon(&self) -> &str {
        match self {
            Self::App { .. } => "plug",
            Self::Own { icon, .. } => icon,
        }
    }
}
