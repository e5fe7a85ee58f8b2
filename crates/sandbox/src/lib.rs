//! Simulated outside systems: Salesforce, NetSuite, Stripe, ServiceNow and Workday as local HTTP servers.
//!
//! They hold the books of one made-up company, check what the vendors check, refuse what they refuse in
//! their words, sign and retry their webhooks, and misbehave when they are told to. The same seed gives
//! the same data and ids. The crate knows nothing of Liaison: anybody's tests may use it.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let sandbox = sandbox::Sandbox::start(sandbox::Options::default()).await?;
//! println!("Stripe is at {}", sandbox.url("stripe"));
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod clock;
mod company;
mod control;
mod fault;
mod mail;
mod netsuite;
mod outbox;
mod random;
mod recorder;
mod salesforce;
mod serve;
mod servicenow;
mod stripe;
mod tokens;
mod vendor;
mod workday;
mod world;
pub mod xml;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use url::Url;

pub use crate::{
    clock::Clock,
    company::{Address, Company, Contact, Customer, Invoice, Line, Location, Organisation, Product, Worker},
    fault::{Fault, Kind, Rule},
    mail::{Attachment, Letter, Letters},
    outbox::{Delivery, Headers, Hook, Tries, Trouble},
    random::Random,
    recorder::Recorded,
    vendor::{Problem, Table, Vendor},
    world::World,
};

/// Every simulated system, by id in alphabetical order.
fn vendors(world: &Arc<World>) -> Vec<Arc<dyn Vendor>> {
    vec![
        Arc::new(netsuite::NetSuite::new(world)),
        salesforce::Salesforce::new(world),
        Arc::new(servicenow::ServiceNow::new(world)),
        Arc::new(stripe::Stripe::new(world.clone())),
        Arc::new(workday::Workday::new(world.clone())),
    ]
}

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides all data, ids and tokens.
    pub seed: u64,
    /// Decides the company's books in the place of `seed`, so that the same customers and invoices can have new ids
    /// in the systems.
    pub books: Option<u64>,
    /// The address to listen on; anybody who reaches it may use everything.
    pub host: IpAddr,
    /// The port of the control page; the systems follow it in alphabetical order, then the mail server. 0 takes any free ones.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, books: None, host: IpAddr::from([127, 0, 0, 1]), port: 0 }
    }
}

/// Running systems. Dropping it stops them, too, without waiting.
pub struct Sandbox {
    world: Arc<World>,
    vendors: Vec<(Arc<dyn Vendor>, Url)>,
    control: Url,
    mail: SocketAddr,
    servers: serve::Servers,
}

impl Sandbox {
    /// Fills every system with the company's books and starts the servers.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub async fn start(options: Options) -> io::Result<Self> {
        let world = World::new(options.seed, options.books);
        let mut servers = serve::Servers::default();
        let mut port = options.port;
        let mut place = || {
            let address = (options.host, port);
            port = if port == 0 { 0 } else { port.saturating_add(1) };
            address
        };
        let control_socket = serve::listen(place()).await?;
        let mut vendors = Vec::new();
        let mut sockets = Vec::new();
        for vendor in self::vendors(&world) {
            let socket = serve::listen(place()).await?;
            let url = serve::url(&socket)?;
            world.set_url(vendor.id(), url.clone());
            sockets.push(socket);
            vendors.push((vendor, url));
        }
        for ((vendor, _), socket) in vendors.iter().zip(sockets) {
            vendor.reset(&world.company());
            servers.serve(socket, serve::vendor_router(&world, vendor));
        }
        let mail_socket = serve::listen(place()).await?;
        let mail = mail_socket.local_addr()?;
        servers.run(mail::serve(mail_socket, world.clone()));
        let control = serve::url(&control_socket)?;
        let router = control::router(world.clone(), vendors.iter().map(|(vendor, _)| vendor.clone()).collect());
        servers.serve(control_socket, router);
        servers.run(world.outbox().deliver());
        Ok(Self { world, vendors, control, mail, servers })
    }

    /// Where a system listens, without a slash at the end of its path.
    ///
    /// # Panics
    /// When there is no system of that id; the ids are `netsuite`, `salesforce`, `servicenow`, `stripe`, `workday`.
    #[must_use]
    pub fn url(&self, vendor: &str) -> &Url {
        self.vendors
            .iter()
            .find(|(known, _)| known.id() == vendor)
            .map_or_else(|| panic!("there is no system {vendor}"), |(_, url)| url)
    }

    /// Where the control page and its API are.
    #[must_use]
    pub fn control_url(&self) -> &Url {
        &self.control
    }

    /// Where the mail server listens: it takes every letter, in the open and without sign-in.
    #[must_use]
    pub fn mail(&self) -> SocketAddr {
        self.mail
    }

    /// What the systems share: clock, faults, requests seen, webhooks on their way, letters taken.
    #[must_use]
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The running systems and where each listens, by id.
    pub fn vendors(&self) -> impl Iterator<Item = (&Arc<dyn Vendor>, &Url)> {
        self.vendors.iter().map(|(vendor, url)| (vendor, url))
    }

    /// A running system.
    #[must_use]
    pub fn vendor(&self, id: &str) -> Option<&Arc<dyn Vendor>> {
        self.vendors.iter().find(|(known, _)| known.id() == id).map(|(vendor, _)| vendor)
    }

    /// Stops the servers and waits until they are gone.
    pub async fn stop(self) {
        self.servers.stop().await;
    }
}
