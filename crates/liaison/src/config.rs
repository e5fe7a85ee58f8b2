//! The whole configuration. Flag, then environment, then `liaison.toml`, then default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, builder::BoolishValueParser};
use connector::Secret;
use engine::{EngineSettings, Retention};
use serde::Deserialize;
use server::{InboundSettings, ServerSettings};
use store::InboundBounds;

use crate::key;

/// A duration as recipes write it: `500ms`, `30s`, `5m`, `12h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        recipe::parse_duration(text).map(Self).ok_or_else(|| format!("{text:?} is no duration; write it like 30s or 5m"))
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:literal [$env:literal $(, $attr:meta)*];)+) => {
        /// One layer of settings: what flags and environment say, or what the file says.
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Layer {
            /// Settings file; `liaison.toml` in the working folder when there is one.
            #[arg(long, env = "LIAISON_CONFIG", value_name = "FILE")]
            #[serde(skip)]
            pub(crate) config: Option<PathBuf>,
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $env $(, $attr)*)]
                pub(crate) $name: Option<$kind>,
            )+
        }

        impl Layer {
            /// This layer, and `below` where it says nothing.
            fn over(self, below: Self) -> Self {
                Self { config: self.config.or(below.config), $($name: self.$name.or(below.$name),)+ }
            }
        }

        /// Every setting with its default, as a file to start from.
        pub(crate) fn commented() -> String {
            let mut text = String::from("# Settings of Liaison. A flag wins over the environment, the environment over this file.\n");
            $(
                text.push('\n');
                $(text.push_str(concat!("#", $doc, "\n"));)+
                text.push_str(concat!("# Environment ", $env, ".\n"));
                text.push_str(concat!("# ", stringify!($name), " = ", $default, "\n"));
            )+
            text
        }
    };
}

settings! {
    /// Address to listen on.
    listen: SocketAddr = "\"127.0.0.1:8080\"" ["LIAISON_LISTEN", value_name = "ADDR"];
    /// Folder for the database, the master key and the lock.
    data_dir: PathBuf = "\"./liaison-data\"" ["LIAISON_DATA_DIR", value_name = "DIR"];
    /// Folder with connector files, besides connectors/ in the data folder.
    connectors: PathBuf = "\"\"" ["LIAISON_CONNECTORS", value_name = "DIR"];
    /// PostgreSQL to use instead of SQLite in the data folder: postgres://user:password@host/database.
    database_url: String = "\"\"" ["LIAISON_DATABASE_URL", value_name = "URL", hide_env_values = true];
    /// Database connections of one process on PostgreSQL.
    database_connections_max: u32 = "10" ["LIAISON_DATABASE_CONNECTIONS_MAX"];
    /// Outgoing calls may reach private and loopback addresses.
    allow_private_addresses: bool = "false" ["LIAISON_ALLOW_PRIVATE_ADDRESSES", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new()];
    /// Private addresses outgoing calls may reach all the same: hosts and networks, separated by commas.
    allow_addresses: String = "\"\"" ["LIAISON_ALLOW_ADDRESSES", value_name = "LIST"];
    /// The address people reach the pages at, when a proxy stands before them.
    public_url: String = "\"\"" ["LIAISON_PUBLIC_URL"];
    /// The name of this environment on the pages.
    environment: String = "\"Production\"" ["LIAISON_ENVIRONMENT"];
    /// File with the master key that seals secrets; made at first start. Default: master.key in the data folder; on PostgreSQL, the database itself.
    master_key_file: PathBuf = "\"\"" ["LIAISON_MASTER_KEY_FILE", value_name = "FILE"];
    /// Command that writes the master key to its standard output, instead of a file. LIAISON_MASTER_KEY may hold it, too.
    master_key_command: String = "\"\"" ["LIAISON_MASTER_KEY_COMMAND", value_name = "COMMAND"];
    /// That command may take so long.
    master_key_command_timeout: Span = "\"10s\"" ["LIAISON_MASTER_KEY_COMMAND_TIMEOUT"];
    /// Webhook addresses by recipe slug work; otherwise only the unguessable form does.
    hooks_by_slug: bool = "true" ["LIAISON_HOOKS_BY_SLUG", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new()];
    /// A webhook body may have so many bytes.
    hook_bytes_max: usize = "1048576" ["LIAISON_HOOK_BYTES_MAX"];
    /// An API body may have so many bytes.
    api_bytes_max: usize = "2097152" ["LIAISON_API_BYTES_MAX"];
    /// Webhook requests that started no run are kept so long.
    inbound_keep: Span = "\"7d\"" ["LIAISON_INBOUND_KEEP"];
    /// So many of them are kept at most; a fifth of one address.
    inbound_rows_max: u32 = "5000" ["LIAISON_INBOUND_ROWS_MAX"];
    /// So many bytes of them are kept at most; an eighth of one address.
    inbound_bytes_max: i64 = "67108864" ["LIAISON_INBOUND_BYTES_MAX"];
    /// So many bytes of one body are kept at most, and no more than half of what one address has; a longer one is cut.
    inbound_body_bytes_max: usize = "262144" ["LIAISON_INBOUND_BODY_BYTES_MAX"];
    /// Those the recipe's trigger did not want are kept too.
    inbound_keep_filtered: bool = "false" ["LIAISON_INBOUND_KEEP_FILTERED", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new()];
    /// Runs that succeeded or were cancelled are kept so long, where the recipe's `settings.keep` does not say.
    keep_runs: Span = "\"30d\"" ["LIAISON_KEEP_RUNS"];
    /// Failed runs that were replayed or discarded are kept so long, where the recipe does not say.
    keep_failed: Span = "\"180d\"" ["LIAISON_KEEP_FAILED"];
    /// Failed runs that nobody dealt with are kept so long at least, whatever the recipe says.
    keep_dead_letters: Span = "\"365d\"" ["LIAISON_KEEP_DEAD_LETTERS"];
    /// Operations on dead letters are kept so long after their end.
    keep_operations: Span = "\"90d\"" ["LIAISON_KEEP_OPERATIONS"];
    /// Entries of the audit list are kept so long.
    keep_audit: Span = "\"365d\"" ["LIAISON_KEEP_AUDIT"];
    /// How often what is over is removed.
    retention_interval: Span = "\"10m\"" ["LIAISON_RETENTION_INTERVAL"];
    /// How often room in the database that holds nothing is given back to the disk.
    tidy_interval: Span = "\"30s\"" ["LIAISON_TIDY_INTERVAL"];
    /// SQLite's write-ahead log is folded into the database when it has so many bytes.
    wal_bytes_max: u64 = "67108864" ["LIAISON_WAL_BYTES_MAX"];
    /// Sending a whole request may take so long.
    body_timeout: Span = "\"30s\"" ["LIAISON_BODY_TIMEOUT"];
    /// The caller of a recipe that answers by itself may wait so long for that answer.
    respond_max: Span = "\"25s\"" ["LIAISON_RESPOND_MAX"];
    /// An API caller may wait so long for a run's result.
    wait_max: Span = "\"60s\"" ["LIAISON_WAIT_MAX"];
    /// A browser stays signed in for so long.
    session: Span = "\"7d\"" ["LIAISON_SESSION"];
    /// Connections clients may have open at once.
    connections_max: usize = "10000" ["LIAISON_CONNECTIONS_MAX"];
    /// Runs in memory at once; more wait in the store.
    runs_in_flight_max: usize = "256" ["LIAISON_RUNS_IN_FLIGHT_MAX"];
    /// Runs of one recipe in memory for each place that is free: 3 leaves a quarter of the places to other recipes.
    recipe_share: usize = "7" ["LIAISON_RECIPE_SHARE"];
    /// Runs waiting in the store before webhooks and the API answer 429.
    backlog_max: u32 = "20000" ["LIAISON_BACKLOG_MAX"];
    /// How long a sender is held for room before its event is queued in the store.
    intake_patience: Span = "\"1s\"" ["LIAISON_INTAKE_PATIENCE"];
    /// A process that is silent for so long owns nothing any more; at least 1s.
    lease: Span = "\"10s\"" ["LIAISON_LEASE"];
    /// How often other processes' work is looked for when no notice comes.
    poll_interval: Span = "\"1s\"" ["LIAISON_POLL_INTERVAL"];
    /// How long one attempt may take when the step does not say.
    step_timeout: Span = "\"60s\"" ["LIAISON_STEP_TIMEOUT"];
    /// How long an orderly stop waits for attempts under way.
    stop_patience: Span = "\"20s\"" ["LIAISON_STOP_PATIENCE"];
    /// An event, an input or an output of more bytes is kept apart from its run's journal and travels by reference.
    payload_inline_bytes_max: usize = "262144" ["LIAISON_PAYLOAD_INLINE_BYTES_MAX"];
    /// The data of all runs in memory may take so many bytes as JSON before runs that hold much of it wait in the store; the process takes some times as much.
    payloads_in_memory_bytes_max: u64 = "134217728" ["LIAISON_PAYLOADS_IN_MEMORY_BYTES_MAX"];
    /// One file that a download or a webhook brings may have so many bytes.
    file_bytes_max: u64 = "1073741824" ["LIAISON_FILE_BYTES_MAX"];
    /// All files and large values together may take so many bytes, compressed, before new files are refused.
    blobs_bytes_max: u64 = "21474836480" ["LIAISON_BLOBS_BYTES_MAX"];
    /// Content that no run refers to is removed after so long.
    blob_grace: Span = "\"1h\"" ["LIAISON_BLOB_GRACE"];
    /// Transitions written in one transaction at most.
    group_max: usize = "128" ["LIAISON_GROUP_MAX"];
    /// An answer to an outgoing call may have so many bytes.
    response_bytes_max: usize = "10485760" ["LIAISON_RESPONSE_BYTES_MAX"];
    /// Making a connection for an outgoing call may take so long.
    connect_timeout: Span = "\"10s\"" ["LIAISON_CONNECT_TIMEOUT"];
    /// Outgoing calls go through this proxy, http://host:port, with user:password@ before the host if it wants them. The environment's own proxy settings are not read.
    proxy: String = "\"\"" ["LIAISON_PROXY", value_name = "URL", hide_env_values = true];
    /// File with PEM certificates that outgoing calls trust besides the system's.
    trusted_certificates_file: PathBuf = "\"\"" ["LIAISON_TRUSTED_CERTIFICATES_FILE", value_name = "FILE"];
    /// How often alarms are looked at.
    alarm_interval: Span = "\"10s\"" ["LIAISON_ALARM_INTERVAL"];
    /// Triggers that ask their systems at the same time, in one process.
    polls_at_once: usize = "16" ["LIAISON_POLLS_AT_ONCE"];
    /// How long one question of a trigger may take.
    poll_timeout: Span = "\"60s\"" ["LIAISON_POLL_TIMEOUT"];
    /// The shortest pause between two questions that a trigger comes to by itself.
    poll_pause_min: Span = "\"10s\"" ["LIAISON_POLL_PAUSE_MIN"];
    /// The longest.
    poll_pause_max: Span = "\"1h\"" ["LIAISON_POLL_PAUSE_MAX"];
    /// What systems told of their objects and fields is believed for so long.
    shape_age_max: Span = "\"24h\"" ["LIAISON_SHAPE_AGE_MAX"];
    /// Saving a recipe waits so long for systems to tell of their objects; without an answer their fields are not checked.
    shape_patience: Span = "\"2s\"" ["LIAISON_SHAPE_PATIENCE"];
    /// A process whose worker has not asked for work for so long is not ready.
    ready_within: Span = "\"60s\"" ["LIAISON_READY_WITHIN"];
    /// Collector that is sent traces over OTLP (HTTP), such as http://127.0.0.1:4318. The standard OTEL_ variables work, too.
    otlp_endpoint: String = "\"\"" ["LIAISON_OTLP_ENDPOINT", value_name = "URL"];
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,engine=debug.
    log: String = "\"info\"" ["LIAISON_LOG"];
    /// How it is logged: text or json.
    log_format: LogFormat = "\"text\"" ["LIAISON_LOG_FORMAT", value_enum];
}

/// A lease is renewed three times before it ends; with less than this a slow disk alone would let it run out.
const LEASE_MIN: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON record a line.
    Json,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) layer: Layer,
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) connections_max: usize,
    /// The master key, if the environment holds it.
    pub(crate) master_key: Option<Secret>,
    /// Where connector files are; a run in a folder of its own keeps those of the installation.
    pub(crate) connector_folders: Vec<PathBuf>,
}

impl Layer {
    /// Puts the layers together.
    pub(crate) fn resolve(self) -> anyhow::Result<Config> {
        let layer = match self.file()? {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the settings file {}", path.display()))?;
                let below: Self =
                    toml::from_str(&text).with_context(|| format!("the settings file {} has an error", path.display()))?;
                self.over(below)
            }
            None => self,
        };
        if [layer.runs_in_flight_max, layer.recipe_share, layer.group_max].contains(&Some(0)) {
            bail!("runs_in_flight_max, recipe_share and group_max must be at least 1");
        }
        if let Some(lease) = layer.lease.as_ref().filter(|lease| lease.0 < LEASE_MIN) {
            bail!(
                "lease is {:?}: a busy process would be taken for dead. Give at least {} s; the default is 10s",
                lease.0,
                LEASE_MIN.as_secs()
            );
        }
        let data_dir = layer.data_dir.clone().unwrap_or_else(|| PathBuf::from("liaison-data"));
        let named = layer.connectors.clone().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Config {
            connector_folders: std::iter::once(data_dir.join("connectors")).chain(named).collect(),
            listen: layer.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            data_dir,
            master_key: std::env::var(key::VARIABLE).ok().filter(|text| !text.trim().is_empty()).map(Secret::new),
            connections_max: layer.connections_max.unwrap_or(10_000).max(1),
            layer,
        })
    }

    fn file(&self) -> anyhow::Result<Option<PathBuf>> {
        match &self.config {
            Some(path) if path.exists() => Ok(Some(path.clone())),
            Some(path) => bail!("there is no settings file {}", path.display()),
            None => Ok(Some(PathBuf::from("liaison.toml")).filter(|path| path.exists())),
        }
    }
}

impl Config {
    /// PostgreSQL, when it is to be used.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.layer.database_url.as_deref().filter(|url| !url.is_empty())
    }

    /// The address people and systems reach this process at, unless a setting says another.
    pub(crate) fn name_url(&mut self, at: std::net::SocketAddr) {
        if self.layer.public_url.as_deref().unwrap_or_default().is_empty() {
            self.layer.public_url = Some(format!("http://{at}"));
        }
    }

    /// Where this installation is reached from outside.
    fn public_url(&self) -> String {
        self.layer.public_url.clone().filter(|url| !url.is_empty()).unwrap_or_else(|| format!("http://{}", self.listen))
    }

    pub(crate) fn engine(&self) -> EngineSettings {
        let (layer, default) = (&self.layer, EngineSettings::default());
        let span = |given: Option<Span>, default: Duration| given.map_or(default, |span| span.0);
        EngineSettings {
            public_url: self.public_url(),
            worker_name: format!("{}:{}", std::process::id(), self.listen.port()),
            shared_store: self.database_url().is_some(),
            runs_in_flight_max: layer.runs_in_flight_max.unwrap_or(default.runs_in_flight_max),
            recipe_share: layer.recipe_share.unwrap_or(default.recipe_share),
            backlog_max: layer.backlog_max.unwrap_or(default.backlog_max),
            intake_patience: span(layer.intake_patience, default.intake_patience),
            lease: span(layer.lease, default.lease),
            poll_interval: span(layer.poll_interval, default.poll_interval),
            step_timeout: span(layer.step_timeout, default.step_timeout),
            stop_patience: span(layer.stop_patience, default.stop_patience),
            alarm_interval: span(layer.alarm_interval, default.alarm_interval),
            polls_at_once: layer.polls_at_once.unwrap_or(default.polls_at_once),
            poll_timeout: span(layer.poll_timeout, default.poll_timeout),
            poll_pause_min: span(layer.poll_pause_min, default.poll_pause_min),
            poll_pause_max: span(layer.poll_pause_max, default.poll_pause_max),
            shape_age_max: span(layer.shape_age_max, default.shape_age_max),
            shape_patience: span(layer.shape_patience, default.shape_patience),
            retention: retention(layer, default.retention),
            payload_inline_bytes_max: layer.payload_inline_bytes_max.unwrap_or(default.payload_inline_bytes_max),
            payloads_in_memory_bytes_max: layer.payloads_in_memory_bytes_max.unwrap_or(default.payloads_in_memory_bytes_max),
            file_bytes_max: layer.file_bytes_max.unwrap_or(default.file_bytes_max),
            blobs_bytes_max: layer.blobs_bytes_max.unwrap_or(default.blobs_bytes_max),
            blob_grace: span(layer.blob_grace, default.blob_grace),
            ..default
        }
    }

    pub(crate) fn server(&self) -> ServerSettings {
        let (layer, default) = (&self.layer, ServerSettings::default());
        let span = |given: Option<Span>, default: Duration| given.map_or(default, |span| span.0);
        ServerSettings {
            hook_bytes_max: layer.hook_bytes_max.unwrap_or(default.hook_bytes_max),
            api_bytes_max: layer.api_bytes_max.unwrap_or(default.api_bytes_max),
            body_timeout: span(layer.body_timeout, default.body_timeout),
            wait_max: span(layer.wait_max, default.wait_max),
            respond_max: span(layer.respond_max, default.respond_max),
            hooks_by_slug: layer.hooks_by_slug.unwrap_or(default.hooks_by_slug),
            session: span(layer.session, default.session),
            environment: layer.environment.clone().unwrap_or(default.environment),
            public_url: layer
                .public_url
                .clone()
                .filter(|url| !url.is_empty())
                .unwrap_or_else(|| format!("http://{}", self.listen)),
            inbound: inbound(layer, default.inbound),
            ready_within: span(layer.ready_within, default.ready_within),
        }
    }
}

/// How long what is over is kept.
fn retention(layer: &Layer, default: Retention) -> Retention {
    let span = |given: Option<Span>, default: Duration| given.map_or(default, |span| span.0);
    // Rounds without a pause would do nothing else.
    let pause = |given: Option<Span>, default: Duration| span(given, default).max(Duration::from_millis(100));
    Retention {
        runs: span(layer.keep_runs, default.runs),
        failed: span(layer.keep_failed, default.failed),
        dead_letters: span(layer.keep_dead_letters, default.dead_letters),
        operations: span(layer.keep_operations, default.operations),
        audit: span(layer.keep_audit, default.audit),
        interval: pause(layer.retention_interval, default.interval),
        tidy_interval: pause(layer.tidy_interval, default.tidy_interval),
        log_bytes_max: layer.wal_bytes_max.unwrap_or(default.log_bytes_max),
    }
}

/// What is kept of webhook requests that started no run.
fn inbound(layer: &Layer, default: InboundSettings) -> InboundSettings {
    let rows_max = layer.inbound_rows_max.unwrap_or(default.bounds.rows_max);
    let bytes_max = layer.inbound_bytes_max.unwrap_or(default.bounds.bytes_max);
    let bounds = InboundBounds { address_rows_max: rows_max / 5, address_bytes_max: bytes_max / 8, rows_max, bytes_max };
    InboundSettings {
        keep: layer.inbound_keep.map_or(default.keep, |span| span.0),
        bounds,
        // One that fills its address would push itself out.
        body_bytes_max: layer
            .inbound_body_bytes_max
            .unwrap_or(default.body_bytes_max)
            .min(usize::try_from(bounds.address_bytes_max / 2).unwrap_or(0)),
        keep_filtered: layer.inbound_keep_filtered.unwrap_or(default.keep_filtered),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liaison.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:9000\"\nlease = \"30s\"\n").unwrap();
        let layer = Layer { config: Some(file), lease: Some(Span(Duration::from_secs(5))), ..Layer::default() };
        let config = layer.resolve().unwrap();
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.engine().lease, Duration::from_secs(5));
        assert_eq!(config.engine().runs_in_flight_max, 256);
    }

    #[test]
    fn unknown_settings_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liaison.toml");
        std::fs::write(&file, "lisen = \"127.0.0.1:9000\"\n").unwrap();
        let error = Layer { config: Some(file), ..Layer::default() }.resolve().unwrap_err();
        assert!(format!("{error:#}").contains("lisen"), "{error:#}");
    }

    #[test]
    fn a_lease_that_no_process_could_keep_is_refused() {
        let with = |lease| Layer { lease: Some(Span(Duration::from_millis(lease))), ..Layer::default() }.resolve();
        let error = with(999).unwrap_err().to_string();
        assert!(error.contains("999ms") && error.contains("at least 1 s"), "{error}");
        assert_eq!(with(1_000).unwrap().engine().lease, Duration::from_secs(1));
    }

    #[test]
    fn the_commented_file_names_every_default_as_it_is() {
        let text: String = commented()
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        let layer: Layer = toml::from_str(&text).unwrap();
        let config = layer.resolve().unwrap();
        let default = Layer::default().resolve().unwrap();
        assert_eq!(format!("{:?}", config.engine()), format!("{:?}", default.engine()));
        assert_eq!(format!("{:?}", config.server()), format!("{:?}", default.server()));
    }
}
