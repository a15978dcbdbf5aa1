//! The ready profiles as data.

use super::paper::NO_DELAY;
use super::prices::{self, Price, Prices};
use super::profile::{Group, Link, Links, Profile, Site};

/// Stands where a site meets itself.
const SELF: f64 = 0.0;

/// The regions of the paper, in its order, with their names at AWS.
const REGIONS: [(&str, &str); 11] = [
    ("Virginia", "us-east-1"),
    ("California", "us-west-1"),
    ("Oregon", "us-west-2"),
    ("Ireland", "eu-west-1"),
    ("Frankfurt", "eu-central-1"),
    ("Tokyo", "ap-northeast-1"),
    ("Seoul", "ap-northeast-2"),
    ("Singapore", "ap-southeast-1"),
    ("Sydney", "ap-southeast-2"),
    ("Mumbai", "ap-south-1"),
    ("Sao Paulo", "sa-east-1"),
];

type Matrix = [[f64; 11]; 11];

/// Mb/s, read off the bars of figure 2 of the paper: +-15, the same in both directions.
const GAIA_MEGABITS: Matrix = [
    [SELF, 120.0, 140.0, 65.0, 75.0, 65.0, 60.0, 45.0, 55.0, 60.0, 105.0],
    [120.0, SELF, 215.0, 35.0, 50.0, 55.0, 70.0, 55.0, 70.0, 45.0, 55.0],
    [140.0, 215.0, SELF, 60.0, 55.0, 60.0, 75.0, 50.0, 45.0, 40.0, 60.0],
    [65.0, 35.0, 60.0, SELF, 195.0, 40.0, 45.0, 35.0, 35.0, 75.0, 55.0],
    [75.0, 50.0, 55.0, 195.0, SELF, 40.0, 40.0, 30.0, 25.0, 100.0, 55.0],
    [65.0, 55.0, 60.0, 40.0, 40.0, SELF, 170.0, 160.0, 75.0, 70.0, 40.0],
    [60.0, 70.0, 75.0, 45.0, 40.0, 170.0, SELF, 165.0, 55.0, 85.0, 35.0],
    [45.0, 55.0, 50.0, 35.0, 30.0, 160.0, 165.0, SELF, 60.0, 80.0, 17.0],
    [55.0, 70.0, 45.0, 35.0, 25.0, 75.0, 55.0, 60.0, SELF, 35.0, 30.0],
    [60.0, 45.0, 40.0, 75.0, 100.0, 70.0, 85.0, 80.0, 35.0, SELF, 35.0],
    [105.0, 55.0, 60.0, 55.0, 55.0, 40.0, 35.0, 17.0, 30.0, 35.0, SELF],
];

/// Mb/s, measured in November 2022 over 64 connections for 5 s by the skyplane project
/// (`profiles/throughput.csv`, Apache-2.0), rounded.
const AWS_MEGABITS: Matrix = [
    [SELF, 4367.0, 4372.0, 4309.0, 4101.0, 3654.0, 3389.0, 3020.0, 3109.0, 3266.0, 3925.0],
    [4365.0, SELF, 4679.0, 3703.0, 3574.0, 3988.0, 3708.0, 3385.0, 3676.0, 2924.0, 3395.0],
    [4375.0, 4679.0, SELF, 3860.0, 3692.0, 4064.0, 3789.0, 3470.0, 3659.0, 3016.0, 3350.0],
    [4310.0, 3706.0, 3861.0, SELF, 4656.0, 3125.0, 2814.0, 3336.0, 2607.0, 3865.0, 3327.0],
    [4100.0, 3588.0, 3682.0, 4658.0, SELF, 2925.0, 2925.0, 3526.0, 2663.0, 3915.0, 3065.0],
    [3659.0, 3983.0, 4077.0, 3137.0, 2936.0, SELF, 4591.0, 4304.0, 3992.0, 3808.0, 2589.0],
    [3388.0, 3703.0, 3786.0, 2817.0, 2937.0, 4585.0, SELF, 4313.0, 3640.0, 3864.0, 2268.0],
    [3037.0, 3380.0, 3469.0, 3332.0, 3526.0, 4310.0, 4309.0, SELF, 4107.0, 4396.0, 1960.0],
    [3121.0, 3672.0, 3660.0, 2603.0, 2668.0, 3991.0, 3652.0, 4105.0, SELF, 3648.0, 2071.0],
    [3266.0, 2917.0, 2992.0, 3852.0, 3901.0, 3819.0, 3823.0, 4397.0, 3666.0, SELF, 2197.0],
    [3926.0, 3392.0, 3372.0, 3344.0, 3067.0, 2596.0, 2285.0, 1970.0, 2035.0, 2196.0, SELF],
];

/// Milliseconds there and back, measured in 2022 by the skyplane project (`profiles/latency.csv`,
/// Apache-2.0), rounded.
const ROUND_TRIPS: Matrix = [
    [SELF, 59.6, 68.3, 84.9, 89.8, 167.8, 195.0, 236.6, 197.0, 187.6, 116.7],
    [59.5, SELF, 20.6, 136.3, 147.4, 105.1, 135.1, 177.7, 136.4, 227.8, 177.0],
    [68.5, 20.7, SELF, 122.3, 146.6, 97.5, 125.3, 168.9, 138.6, 210.7, 186.7],
    [84.9, 136.4, 122.3, SELF, 22.3, 214.4, 240.6, 179.0, 253.9, 122.6, 179.7],
    [89.8, 147.4, 148.2, 22.7, SELF, 223.2, 249.1, 155.1, 245.6, 113.9, 203.0],
    [169.1, 105.1, 97.7, 214.4, 222.5, SELF, 32.9, 72.0, 114.6, 129.7, 281.7],
    [193.9, 135.1, 125.3, 240.6, 249.1, 32.0, SELF, 95.8, 148.0, 151.7, 308.4],
    [236.6, 177.5, 163.7, 178.4, 155.2, 77.2, 95.8, SELF, 93.3, 59.3, 360.1],
    [197.3, 136.4, 138.6, 255.7, 245.6, 114.6, 148.1, 93.4, SELF, 143.4, 307.8],
    [187.7, 220.7, 211.0, 120.3, 113.9, 129.7, 151.5, 59.3, 138.0, SELF, 299.1],
    [115.1, 177.0, 186.7, 179.6, 202.9, 281.7, 308.4, 358.3, 307.9, 298.3, SELF],
];

/// Inside a data centre of the paper.
pub(super) const LOCAL: Link = Link { megabits_per_second: 1000.0, round_trip_milliseconds: 0.2 };

/// Inside a region of 2022: what the machines that were measured have.
const LOCAL_2022: Link = Link { megabits_per_second: 10_000.0, round_trip_milliseconds: 0.2 };

/// Machines of a site in the paper: 22 in 11 regions.
pub(super) const MACHINES_PER_SITE: u32 = 2;

const GAIA_SOURCE: &str = "\
Rates: read off the bars of figure 2 of the Gaia paper (NSDI 2017), good to 15 Mb/s; inside a site
1000 Mb/s. The paper gives no latencies: round-trip times were measured between the same regions in
2022; inside a site 0.2 ms.";

const NO_DELAY_SOURCE: &str = "\
Rates: read off the bars of figure 2 of the Gaia paper (NSDI 2017), good to 15 Mb/s; inside a site
1000 Mb/s. Round-trip times are 0.2 ms everywhere: the paper emulates rates alone.";

const LAN_SOURCE: &str = "\
Rates: 1000 Mb/s everywhere, as inside a data centre of the Gaia paper (NSDI 2017); round-trip
times 0.2 ms.";

const AWS_SOURCE: &str = "\
Rates: measured in November 2022 over 64 connections between two machines, which were held to about
5000 Mb/s; one connection gets less. Round-trip times were measured in 2022; inside a site 10000
Mb/s, which those machines have, and 0.2 ms.";

pub(super) fn profile(name: &str) -> Option<Profile> {
    if let Some(with_delay) = name.strip_suffix(NO_DELAY) {
        let known = Profile::PAPER.contains(&with_delay);
        return known.then(|| profile(with_delay)).flatten().map(|it| without_delay(name, it));
    }
    let all: Vec<_> = (0..REGIONS.len()).collect();
    let gaia = |sites: &[usize]| profile_of(name, GAIA_SOURCE, sites, &GAIA_MEGABITS, LOCAL);
    Some(match name {
        "ec2-11" => with_groups(gaia(&all)),
        "vc" => gaia(&[0, 1]),
        "ss" => gaia(&[7, 10]),
        "lan" => {
            let profile = profile_of(name, LAN_SOURCE, &all, &GAIA_MEGABITS, LOCAL);
            Profile { links: profile.lan(), ..profile }
        },
        "aws-2022" => with_groups(profile_of(name, AWS_SOURCE, &all, &AWS_MEGABITS, LOCAL_2022)),
        _ => return None,
    })
}

/// The same links, with the round-trip times of a local network.
fn without_delay(name: &str, profile: Profile) -> Profile {
    let round_trip_milliseconds = profile.local.round_trip_milliseconds;
    let links = Links::new(profile.sites.len(), |from, to| Link {
        round_trip_milliseconds,
        ..profile.links.get(from, to)
    });
    Profile { name: name.into(), source: NO_DELAY_SOURCE.into(), links, ..profile }
}

/// The profile of some of the regions, without an overlay.
fn profile_of(
    name: &str,
    source: &str,
    regions: &[usize],
    megabits: &Matrix,
    local: Link,
) -> Profile {
    let link = |from: usize, to: usize| Link {
        megabits_per_second: megabits[from][to],
        round_trip_milliseconds: ROUND_TRIPS[from][to],
    };
    let site = |&region: &usize| {
        let (name, region) = REGIONS[region];
        Site { name: name.into(), region: region.into() }
    };
    let price = |&region: &usize| Price {
        machine_dollars_per_hour: prices::MACHINE_DOLLARS_PER_HOUR,
        wan_dollars_per_gigabyte: prices::wan_dollars_per_gigabyte(REGIONS[region].1)
            .unwrap_or_default(),
    };
    Profile {
        name: name.into(),
        source: source.into(),
        sites: regions.iter().map(site).collect(),
        links: Links::new(regions.len(), |from, to| {
            if from == to { local } else { link(regions[from], regions[to]) }
        }),
        local,
        groups: Vec::new(),
        hub_pairs: Vec::new(),
        machines_per_site: MACHINES_PER_SITE,
        prices: Prices {
            sites: regions.iter().map(price).collect(),
            source: prices::SOURCE.into(),
        },
    }
}

/// Groups, hubs and pairs of hubs as the authors' code has them for all 11 regions.
fn with_groups(profile: Profile) -> Profile {
    let group = |hub, others: &[usize]| Group { members: [&[hub], others].concat(), hub };
    Profile {
        groups: vec![group(0, &[1, 2, 10]), group(5, &[6, 7, 8]), group(4, &[3, 9])],
        hub_pairs: vec![[0, 4], [2, 6], [5, 9]],
        ..profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(name: &str) -> Profile {
        profile(name).expect("ready")
    }

    /// The paper: WAN is 15 times slower than LAN in the mean, 60 times at most.
    #[test]
    fn the_matrix_of_the_paper_has_its_mean_and_is_symmetric() {
        let ec2 = ready("ec2-11");
        let rates: Vec<_> =
            ec2.links.between().map(|(_, _, link)| link.megabits_per_second).collect();
        assert_eq!(rates.len(), 110);
        let mean = rates.iter().sum::<f64>() / 110.0;
        assert!((mean - 68.5).abs() < 0.1, "{mean}");
        for (from, to, link) in ec2.links.between() {
            let back = ec2.links.get(to, from).megabits_per_second;
            assert_eq!(link.megabits_per_second, back, "{from} {to}");
        }
    }

    #[test]
    fn pairs_are_those_of_the_paper() {
        let [vc, ss] = ["vc", "ss"].map(ready);
        let names = |profile: &Profile| {
            profile.sites.iter().map(|site| site.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&vc), ["Virginia", "California"]);
        assert_eq!(names(&ss), ["Singapore", "Sao Paulo"]);
        let rate = |profile: &Profile| profile.links.get(0, 1).megabits_per_second;
        assert_eq!([rate(&vc), rate(&ss), rate(&ready("lan"))], [120.0, 17.0, 1000.0]);
        assert_eq!(ss.links.get(0, 1).round_trip_milliseconds, 360.1);
        assert_eq!(ss.links.get(1, 0).round_trip_milliseconds, 358.3);
        assert_eq!(vc.links.get(1, 1), LOCAL);
    }

    #[test]
    fn without_delay_the_rates_stay() {
        let (with, without) = (ready("ec2-11"), ready("ec2-11-no-delay"));
        for ((from, to, one), (_, _, other)) in with.links.between().zip(without.links.between()) {
            assert_eq!(one.megabits_per_second, other.megabits_per_second, "{from} {to}");
            assert_eq!(other.round_trip_milliseconds, 0.2, "{from} {to}");
        }
        assert_eq!((with.groups, with.prices), (without.groups, without.prices));
        assert!(profile("lan-no-delay").is_none() && profile("-no-delay").is_none());
    }

    /// Means of the links of the pairs of hubs, as the authors' groups have them.
    #[test]
    fn the_pairs_of_hubs_have_the_faster_links() {
        let ec2 = ready("ec2-11");
        let rate = |[from, to]: [usize; 2]| ec2.links.get(from, to).megabits_per_second;
        assert_eq!(
            ec2.hub_pairs.iter().map(|pair| rate(*pair)).collect::<Vec<_>>(),
            [75.0, 75.0, 70.0]
        );
        let hubs: Vec<_> = ec2.groups.iter().map(|group| group.hub).collect();
        assert_eq!(
            hubs.iter().map(|hub| REGIONS[*hub].0).collect::<Vec<_>>(),
            ["Virginia", "Tokyo", "Frankfurt"]
        );
    }
}
