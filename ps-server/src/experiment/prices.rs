//! What a run would cost.

use super::profile::Profile;

/// What the prices of ready profiles are based on: said in every report.
pub(super) const SOURCE: &str = "\
Machines: 0.80 dollars an hour each, the list price on demand of a machine with 16 virtual cores
(m4.4xlarge, Linux) in Virginia in 2017, used for every region; most regions are dearer. WAN: list
prices of 2022 per gigabyte (10^9 bytes) sent to another AWS region, by the region of the sender;
what is received costs nothing. The paper does not state the prices that it used.";

/// What a machine costs where a profile file does not say.
const MACHINES_LISTED: &str = "0.80 dollars an hour, the list price on demand of a machine with\n\
    16 virtual cores (m4.4xlarge, Linux) in Virginia in 2017";

/// What the WAN costs where a profile file does not say.
const WAN_LISTED: &str = "list prices of 2022 per gigabyte (10^9 bytes) sent to another AWS region";

/// A site of a profile file, and whether the file says what machines and WAN cost there.
pub(super) struct Said<'a> {
    pub(super) site: &'a str,
    pub(super) machines: bool,
    pub(super) wan: bool,
}

/// What the prices of a profile file are based on which does not say so itself.
pub(super) fn source(sites: &[Said<'_>]) -> String {
    let part = |what: &str, said: &dyn Fn(&Said<'_>) -> bool, listed: &str| {
        let given = sites.iter().filter(|site| said(site)).map(|site| site.site);
        let given: Vec<_> = given.collect();
        match given.len() {
            0 => format!("{what}: {listed}."),
            all if all == sites.len() => format!("{what}: as the profile file says."),
            _ => format!(
                "{what}: as the profile file says for {}; elsewhere {listed}.",
                given.join(", ")
            ),
        }
    };
    if !sites.iter().any(|site| site.machines || site.wan) {
        return SOURCE.into();
    }
    let machines = part("Machines", &|site| site.machines, MACHINES_LISTED);
    format!("{machines}\n{}", part("WAN", &|site| site.wan, WAN_LISTED))
}

/// Dollars for an hour of a machine, anywhere.
pub(super) const MACHINE_DOLLARS_PER_HOUR: f64 = 0.80;

/// Dollars for a gigabyte sent from a region to another one.
const WAN_DOLLARS_PER_GIGABYTE: [(&str, f64); 11] = [
    ("us-east-1", 0.02),
    ("us-west-1", 0.02),
    ("us-west-2", 0.02),
    ("eu-west-1", 0.02),
    ("eu-central-1", 0.02),
    ("ap-northeast-1", 0.09),
    ("ap-northeast-2", 0.08),
    ("ap-southeast-1", 0.09),
    ("ap-southeast-2", 0.098),
    ("ap-south-1", 0.086),
    ("sa-east-1", 0.138),
];

/// Bytes that the price of a gigabyte is for.
const GIGABYTE: f64 = 1e9;

/// What one site asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// For an hour of one machine.
    pub machine_dollars_per_hour: f64,
    /// For a gigabyte (10^9 bytes) that leaves the site.
    pub wan_dollars_per_gigabyte: f64,
}

/// What all sites ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// In the order of the profile's sites.
    pub sites: Vec<Price>,
    /// What they are based on, and of when.
    pub source: String,
}

/// The list price of a gigabyte sent from that region; `None` for regions not in the list.
pub(super) fn wan_dollars_per_gigabyte(region: &str) -> Option<f64> {
    let mut listed = WAN_DOLLARS_PER_GIGABYTE.iter();
    listed.find(|(name, _)| *name == region).map(|(_, dollars)| *dollars)
}

/// What so many seconds cost, with so many bytes sent over the WAN by each site, in the order of
/// the sites. All machines of all sites are paid for, whether they work or wait.
pub fn dollars(profile: &Profile, seconds: f64, wan_bytes: &[f64]) -> f64 {
    let machine_hours = seconds / 3600.0 * f64::from(profile.machines_per_site);
    let prices = profile.prices.sites.iter().enumerate();
    let cost = prices.map(|(site, price)| {
        let sent = wan_bytes.get(site).copied().unwrap_or_default();
        machine_hours * price.machine_dollars_per_hour
            + sent / GIGABYTE * price.wan_dollars_per_gigabyte
    });
    cost.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_sent_bytes_are_paid() {
        // Singapore at 0.09 and Sao Paulo at 0.138 dollars a gigabyte, two machines each.
        let ss = Profile::ready("ss").expect("ready");
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        close(dollars(&ss, 3600.0, &[0.0, 0.0]), 4.0 * 0.80);
        close(dollars(&ss, 0.0, &[2e9, 0.0]), 0.18);
        close(dollars(&ss, 0.0, &[0.0, 1e9]), 0.138);
        close(dollars(&ss, 1800.0, &[1e9, 1e9]), 1.6 + 0.228);
    }

    #[test]
    fn every_region_of_the_ready_profiles_has_a_price() {
        for name in Profile::READY {
            for site in Profile::ready(name).expect("ready").sites {
                assert!(wan_dollars_per_gigabyte(&site.region).is_some(), "{}", site.region);
            }
        }
    }
}
