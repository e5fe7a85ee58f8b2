//! `liaison serve` and `liaison worker`: the processes that stay.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use engine::Engine;
use server::{App, Doors, access};
use store::{Clock, SessionRow, Store, SystemClock};
use tokio::signal::unix::{SignalKind, signal};

use super::{block_on, demo, print};
use crate::{
    config::{Config, Layer},
    http, telemetry, wire,
};

/// Everything in one process.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    layer: Layer,
    /// Also starts simulated systems, connections to them and the sample recipes, and sends a sample event. Then
    /// something happens in each system, unless you say `--demo=quiet`.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "lively")]
    demo: Option<demo::Mood>,
}

/// One more process on a shared PostgreSQL.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    layer: Layer,
    /// What this process does: worker runs recipes, scheduler fires schedules; with --listen also ingress takes webhooks
    /// and callbacks, api answers API clients, ui shows the pages.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Role::Worker, Role::Scheduler])]
    roles: Vec<Role>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Ingress,
    Api,
    Ui,
    Scheduler,
    Worker,
}

/// How long the printed sign-in link works.
const SIGNIN: std::time::Duration = std::time::Duration::from_secs(15 * 60);

pub(crate) fn serve(serve: Serve) -> anyhow::Result<ExitCode> {
    let mut config = serve.layer.resolve()?;
    if serve.demo.is_some() {
        // The simulated systems listen on this machine.
        config.layer.allow_private_addresses = Some(true);
    }
    telemetry::start_logs(&config)?;
    let metrics = telemetry::start_metrics()?;
    block_on(async move {
        let traces = telemetry::otlp::start(&config)?;
        // The address first: a port in use is told before the database is touched.
        let listener = http::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let store = wire::open_store(&config).await?;
        wire::seed_admin_key(&*store).await?;
        config.name_url(address);
        let settings = config.server();
        let url = settings.public_url.clone();
        let demo = match serve.demo {
            Some(mood) => Some(demo::Demo::prepare(&config, &store, url.clone(), mood).await?),
            None => None,
        };
        let engine = wire::start_engine(&config, Arc::clone(&store), true, true).await?;
        tokio::spawn(telemetry::disk::watch(config.data_dir.clone()));
        let app = App::new(Arc::clone(&engine), settings, metrics);
        // Whoever reads that we work may ask us to stop at once.
        let stop = stop_signal()?;
        print(&format!("Liaison listens on {url}\nSign in: {}", signin_link(&*store, &url).await?))?;
        let stopping = Arc::clone(&engine);
        let serving = http::serve(listener, server::router(app, Doors::ALL), config.connections_max, async move {
            stop.await;
            tracing::info!("process.stop: taking nothing new; what is under way may end");
            stopping.stop().await;
        });
        if let Some(demo) = demo {
            tokio::spawn(demo.run(Arc::clone(&engine)));
        }
        serving.await?;
        store.close().await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn worker(worker: Worker) -> anyhow::Result<ExitCode> {
    let mut config = worker.layer.resolve()?;
    if config.database_url().is_none() {
        anyhow::bail!(
            "a worker shares a PostgreSQL with other processes; name it with --database-url. \
             With SQLite, `liaison serve` is the one process"
        );
    }
    let has = |role| worker.roles.contains(&role);
    let doors = Doors { ingress: has(Role::Ingress), api: has(Role::Api), ui: has(Role::Ui) };
    if doors != Doors::NONE && config.layer.listen.is_none() {
        anyhow::bail!("the roles ingress, api and ui answer requests; name the address for them with --listen");
    }
    let (works, schedules) = (has(Role::Worker), has(Role::Scheduler));
    telemetry::start_logs(&config)?;
    let metrics = telemetry::start_metrics()?;
    block_on(async move {
        let traces = telemetry::otlp::start(&config)?;
        // Only when it is asked for: several workers may live on one machine.
        let listener = match config.layer.listen {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let store = wire::open_store(&config).await?;
        if doors.api || doors.ui {
            wire::seed_admin_key(&*store).await?;
        }
        let at = listener.as_ref().map(|listener| listener.local_addr()).transpose()?;
        if let Some(at) = at.filter(|_| doors.ingress || doors.ui) {
            config.name_url(at);
        }
        let engine = wire::start_engine(&config, Arc::clone(&store), works, schedules).await?;
        let answers = if doors == Doors::NONE { "health and metrics" } else { "listens on" };
        let told = at.map(|at| format!("; {answers}: http://{at}")).unwrap_or_default();
        let stop = stop_signal()?;
        print(&format!("Liaison worker {} works{told}", engine.settings().worker_name))?;
        let stopping = Arc::clone(&engine);
        let stop = async move {
            stop.await;
            stopping.stop().await;
        };
        match listener {
            None => stop.await,
            Some(listener) => {
                let router = server::router(App::new(Arc::clone(&engine), config.server(), metrics), doors);
                http::serve(listener, router, config.connections_max, stop).await?;
            }
        }
        store.close().await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A link that signs one browser in, once.
pub(crate) async fn signin_link(store: &dyn Store, url: &str) -> anyhow::Result<String> {
    let token = access::new_secret("")?;
    let expires_at = SystemClock.now().after(SIGNIN);
    store.create_signin(&SessionRow { hash: access::hash(&token), user: "Admin".to_owned(), expires_at }).await?;
    Ok(format!("{url}/signin?token={token}"))
}

/// Ends when the process is asked to stop.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends an engine started for a short while.
pub(crate) async fn stop(engine: &Engine, config: &Config, store: &dyn Store) {
    tracing::debug!(listen = %config.listen, "process.stop");
    engine.stop().await;
    store.close().await;
}
