//! Logs, metrics and traces of the process.

pub(crate) mod disk;
pub(crate) mod otlp;
mod table;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

/// Sends log lines to standard error.
pub(crate) fn start_logs(config: &Config) -> anyhow::Result<()> {
    let wanted = config.layer.log.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(wanted).with_context(|| format!("the setting log is {wanted:?}, which is no filter"))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.layer.log_format.unwrap_or_default() {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Collects metrics for `/metrics`.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0];
    const RUNS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full("liaison_write_group_size".to_owned()), &RUNS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("cannot start the metrics")?;
    table::describe();
    Ok(handle)
}
