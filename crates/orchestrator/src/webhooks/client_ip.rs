//! Where a request comes from.
//!
//! The socket's address, unless that is a proxy that the operator trusts; then the nearest address in
//! `X-Forwarded-For` that is not one. What a stranger writes into these headers counts for nothing.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;
use tracing::warn;

use crate::sources::network;

/// The proxies whose word is taken.
#[derive(Debug)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(super) fn new(entries: &[String]) -> TrustedProxies {
        let networks = entries.iter().filter_map(|entry| match network(entry) {
            Ok(network) => Some(network),
            Err(error) => {
                warn!("KICI_CLUSTER_TRUSTED_PROXIES: {error}; the entry is not used");
                None
            }
        });
        TrustedProxies(networks.collect())
    }

    /// The client behind a connection from `peer`.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let forwarded: Vec<IpAddr> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|part| part.trim().parse::<IpAddr>().ok())
            .map(|address| address.to_canonical())
            .collect();
        let real = || headers.get("x-real-ip")?.to_str().ok()?.trim().parse::<IpAddr>().ok();
        forwarded
            .iter()
            .rev()
            .find(|address| !self.trusts(**address))
            .or(forwarded.first())
            .copied()
            .or_else(real)
            .unwrap_or(peer)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: Option<&str>) -> String {
        let trusted: Vec<String> = trusted.iter().map(|entry| (*entry).to_owned()).collect();
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        TrustedProxies::new(&trusted).client(peer, &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client(&[], "9.9.9.9", Some("1.1.1.1")), "9.9.9.9");
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", Some("1.1.1.1")), "1.1.1.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", None), "10.1.2.3");
        assert_eq!(client(&["127.0.0.1"], "::ffff:127.0.0.1", Some("1.1.1.1")), "1.1.1.1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_eq!(client(&["10.0.0.1"], "10.0.0.1", Some("6.6.6.6, 1.1.1.1")), "1.1.1.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", Some("1.1.1.1, 10.0.0.9")), "1.1.1.1");
    }
}
