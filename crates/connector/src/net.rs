//! Which addresses outgoing calls may reach.
//!
//! A recipe names the address, often out of an event somebody else sent, so a call could be steered to
//! the machine's own services or to a cloud's metadata address (server-side request forgery). Every
//! address is therefore judged as a number, after name resolution, and again on every redirect.
//! The ranges are those of the IANA special-purpose registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry> and `…-ipv6-…`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::error::{ErrorClass, StepError};

/// Which addresses outgoing calls may reach. The default lets through public addresses only.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Lets through private (RFC 1918, RFC 4193), loopback and shared (100.64.0.0/10) addresses.
    /// Link-local addresses, where clouds keep machine credentials, stay refused.
    pub allow_private: bool,
    allowed_nets: Vec<IpNet>,
    allowed_hosts: Vec<Box<str>>,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetProblem {
    /// Stable code: `ADDRESS_REFUSED`, or `ALLOW_LIST_INVALID` for a bad setting.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// What an address is for, as far as the policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private(&'static str),
    Special(&'static str),
}

impl AddressPolicy {
    /// Only public addresses.
    #[must_use]
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Public, private and loopback addresses.
    #[must_use]
    pub fn with_private() -> Self {
        Self { allow_private: true, ..Self::default() }
    }

    /// Adds exceptions: networks (`10.1.0.0/16`), single addresses, or host names (`erp.internal`;
    /// `*.internal` for every name below it). What an exception names may be any address at all.
    ///
    /// # Errors
    /// When an entry is none of these.
    pub fn allow<S: AsRef<str>>(mut self, entries: impl IntoIterator<Item = S>) -> Result<Self, NetProblem> {
        for entry in entries {
            let entry = entry.as_ref().trim();
            if let Ok(net) = entry.parse::<IpNet>() {
                self.allowed_nets.push(net.trunc());
            } else if let Ok(ip) = entry.parse::<IpAddr>() {
                self.allowed_nets.push(IpNet::from(ip.to_canonical()));
            } else if is_host_pattern(entry) {
                self.allowed_hosts.push(entry.trim_end_matches('.').to_ascii_lowercase().into());
            } else {
                return Err(NetProblem {
                    code: "ALLOW_LIST_INVALID",
                    message: format!(
                        "\"{entry}\" is neither a network (10.1.0.0/16), an address, nor a host name (erp.internal, *.internal)"
                    ),
                });
            }
        }
        Ok(self)
    }

    /// True when this name may lead to any address.
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.allowed_hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
            Some(parent) => host.len().checked_sub(parent.len()).is_some_and(|cut| {
                cut > 1
                    && host.is_char_boundary(cut)
                    && host[cut..].eq_ignore_ascii_case(parent)
                    && host.as_bytes()[cut - 1] == b'.'
            }),
            None => allowed.eq_ignore_ascii_case(host),
        })
    }

    /// Judges one address.
    ///
    /// # Errors
    /// When calls may not reach it.
    pub fn check(&self, ip: IpAddr) -> Result<(), NetProblem> {
        let ip = ip.to_canonical();
        let kind = match reach(ip) {
            Reach::Public => return Ok(()),
            Reach::Private(_) if self.allow_private => return Ok(()),
            Reach::Private(kind) | Reach::Special(kind) => kind,
        };
        if self.allowed_nets.iter().any(|net| net.contains(&ip)) {
            return Ok(());
        }
        Err(NetProblem { code: "ADDRESS_REFUSED", message: format!("{ip} is {kind} and calls may not go there") })
    }
}

impl NetProblem {
    /// The failed attempt this makes: nothing was sent, and trying again will not help.
    #[must_use]
    pub fn into_step_error(self) -> StepError {
        StepError::new(ErrorClass::Denied, self.code, self.message).with_next(
            "Use a public address, or let an administrator allow this one: start with --allow-private-addresses or add it to the allowed addresses.",
        )
    }
}

fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text).trim_end_matches('.');
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        && name.bytes().any(|b| b.is_ascii_alphabetic())
}

fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) => Reach::Special("an unspecified address"),
        (127, ..) => Reach::Private("a loopback address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Reach::Private("a private address"),
        (100, 64..=127, _) => Reach::Private("a shared (carrier) address"),
        (169, 254, _) => Reach::Special("a link-local address"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Reach::Special("a documentation address"),
        (192, 0, 0) | (192, 88, 99) => Reach::Special("a protocol address"),
        (198, 18..=19, _) => Reach::Special("a benchmarking address"),
        (224..=239, ..) => Reach::Special("a multicast address"),
        (255, 255, 255) if ip.is_broadcast() => Reach::Special("the broadcast address"),
        (240..=255, ..) => Reach::Special("a reserved address"),
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    let seg = ip.segments();
    if ip.is_unspecified() {
        return Reach::Special("an unspecified address");
    }
    if ip.is_loopback() {
        return Reach::Private("a loopback address");
    }
    match (seg[0], seg[1]) {
        (0xfc00..=0xfdff, _) => Reach::Private("a private address"),
        (0xfe80..=0xfebf, _) => Reach::Special("a link-local address"),
        (0xfec0..=0xfeff, _) => Reach::Special("a site-local address"),
        (0xff00..=0xffff, _) => Reach::Special("a multicast address"),
        // Only 2000::/3 is handed out to the public; of that, the tunnels below carry another address inside.
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => Reach::Special("a documentation address"),
        (0x2001, 0..=0x01ff) => Reach::Special("a protocol address"),
        (0x2002, _) => Reach::Special("a 6to4 address"),
        (0x2000..=0x3fff, _) => Reach::Public,
        (0x0064, 0xff9b) => Reach::Special("a translated (NAT64) address"),
        _ => Reach::Special("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(policy: &AddressPolicy, ip: &str) -> bool {
        policy.check(ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn public_addresses_pass() {
        let policy = AddressPolicy::public_only();
        for ip in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(judged(&policy, ip), "{ip}");
        }
    }

    #[test]
    fn special_addresses_are_refused() {
        let policy = AddressPolicy::public_only();
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "192.0.0.8",
            "192.88.99.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!judged(&policy, ip), "{ip}");
        }
    }

    #[test]
    fn private_ones_open_with_the_switch_and_metadata_does_not() {
        let policy = AddressPolicy::with_private();
        for ip in ["127.0.0.1", "10.0.0.1", "192.168.0.1", "172.20.0.1", "100.64.0.1", "::1", "fd00::1", "::ffff:127.0.0.1"] {
            assert!(judged(&policy, ip), "{ip}");
        }
        for ip in
            ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "203.0.113.9", "64:ff9b::7f00:1"]
        {
            assert!(!judged(&policy, ip), "{ip}");
        }
    }

    #[test]
    fn exceptions_open_what_they_name_and_no_more() {
        let policy = AddressPolicy::public_only().allow(["10.1.0.0/16", "169.254.1.9", "erp.internal", "*.lan"]).unwrap();
        assert!(judged(&policy, "10.1.255.1"));
        assert!(judged(&policy, "::ffff:10.1.2.3"));
        assert!(judged(&policy, "169.254.1.9"));
        assert!(!judged(&policy, "10.2.0.1"));
        assert!(!judged(&policy, "169.254.169.254"));
        assert!(policy.allows_host("ERP.internal."));
        assert!(policy.allows_host("a.b.lan"));
        assert!(!policy.allows_host("lan"));
        assert!(!policy.allows_host("plan"));
        assert!(!policy.allows_host("xerp.internal"));
        for bad in ["", "10.0.0.0/33", "http://x", "a b", "*", "1.2.3"] {
            assert!(AddressPolicy::public_only().allow([bad]).is_err(), "{bad}");
        }
    }
}
