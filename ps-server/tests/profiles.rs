//! Profile files: what they say, what is wrong with them and where, and that what is written reads
//! back equal.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use ps_server::experiment::{
    Fault, Group, Link, Links, Price, Prices, Profile, ProfileError, SITES_MAX, Site,
};

const EXAMPLE: &str = include_str!("experiment/three_offices.toml");

fn parse(text: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml(text, Path::new("p.toml"))
}

/// What is said of the example with one piece of its text replaced.
fn complaint(piece: &str, other: &str) -> String {
    assert_eq!(EXAMPLE.matches(piece).count(), 1, "{piece:?} has to be one piece");
    let error = parse(&EXAMPLE.replace(piece, other)).expect_err("a mistake");
    error.to_string()
}

/// The line of the example on which a piece is, as errors name it.
fn at(piece: &str) -> String {
    let place = EXAMPLE.find(piece).expect("a piece of the example");
    format!("p.toml:{}:", 1 + EXAMPLE[..place].matches('\n').count())
}

#[test]
fn the_example_is_read() {
    let profile = parse(EXAMPLE).expect("sound");
    assert_eq!((profile.name.as_str(), profile.machines()), ("three offices", 9));
    let names: Vec<_> = profile.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["Paris", "Lyon", "Tokyo"]);
    let rate = |from, to| profile.links.get(from, to).megabits_per_second;
    assert_eq!((rate(0, 1), rate(1, 0)), (500.0, 500.0), "one direction holds for both");
    assert_eq!((rate(0, 2), rate(2, 0)), (100.0, 40.0), "unless both are given");
    assert_eq!((rate(2, 1), rate(1, 1)), (30.0, 10_000.0));
    assert_eq!(profile.links.get(2, 0).round_trip_milliseconds, 230.0);
    let groups = [(vec![0, 1], 1), (vec![2], 2)].map(|(members, hub)| Group { members, hub });
    assert_eq!((profile.groups, profile.hub_pairs), (groups.to_vec(), vec![[0, 2]]));
    let price = |machine_dollars_per_hour, wan_dollars_per_gigabyte| Price {
        machine_dollars_per_hour,
        wan_dollars_per_gigabyte,
    };
    assert_eq!(profile.prices.sites, [price(1.5, 0.05), price(0.8, 0.0), price(0.8, 0.09)]);
    assert_eq!(profile.prices.source, "our provider's bill of May");
}

#[test]
fn prices_are_based_on_the_file_where_it_gives_them() {
    let unsaid = EXAMPLE.lines().filter(|line| !line.starts_with("prices_source"));
    let unsaid = unsaid.collect::<Vec<_>>().join("\n");
    let source = |text: &str| parse(text).expect("sound").prices.source;
    let some = source(&unsaid);
    assert!(some.starts_with("Machines: as the profile file says for Paris; elsewhere 0.80"));
    assert!(
        some.contains("\nWAN: as the profile file says for Paris, Lyon; elsewhere list prices")
    );
    let wan = "region = \"ap-northeast-1\"";
    let all = source(&unsaid.replace(wan, &format!("{wan}\nwan_dollars_per_gigabyte = 0.5")));
    assert!(all.ends_with("\nWAN: as the profile file says."), "{all}");
    let none = unsaid.lines().filter(|line| !line.contains("_dollars_per_"));
    let none = none.collect::<Vec<_>>().join("\n").replace("on premises", "eu-west-1");
    let none = none.replace("eu-west-3", "eu-west-1");
    assert_eq!(source(&none), Profile::ready("vc").expect("ready").prices.source);
}

#[test]
fn the_format_in_the_help_is_one() {
    use clap::Args;
    let command = ps_server::experiment::GaiaArguments::augment_args(clap::Command::new("gaia"));
    let help = command.clone().render_long_help().to_string();
    let (_, example) = help.split_once("A profile file is TOML:\n").expect("the format");
    let (first, overlay) = example.split_once("Optional:").expect("what may be left out");
    let (_, overlay) = overlay.split_once("\none:\n").expect("the overlay");
    let without = parse(first).expect("sound");
    assert_eq!((without.sites.len(), without.groups.len(), without.machines_per_site), (2, 0, 2));
    let (name, rest) = first.split_once('\n').map(|(_, rest)| ("", rest)).expect("lines");
    let (pairs, groups) = overlay.split_once("\n\n").expect("pairs, then groups");
    let with = parse(&format!("{name}{pairs}\n{rest}\n{groups}")).expect("sound");
    assert_eq!((with.groups.len(), with.hub_pairs), (2, vec![[0, 1]]));
}

#[test]
fn rates_and_times_that_cannot_be_are_refused() {
    let piece = "megabits_per_second = 100\n";
    for (found, shown) in [
        ("-1", "-1"),
        ("0", "0"),
        ("nan", "NaN"),
        ("inf", "inf"),
        ("1e9", "1000000000"),
        ("1e300", "1e300"),
    ] {
        assert_eq!(
            complaint(piece, &format!("megabits_per_second = {found}\n")),
            format!(
                "{} `megabits_per_second` of the link from `Paris` to `Tokyo` is {shown}: expected \
                 a number from 0.001 to 1000000",
                at(piece)
            )
        );
    }
    let piece = "round_trip_milliseconds = 240";
    let error = complaint(piece, "round_trip_milliseconds = 0");
    assert!(error.starts_with(&at(piece)) && error.contains("from `Tokyo` to `Lyon`"), "{error}");
    let error = complaint("round_trip_milliseconds = 0.1", "round_trip_milliseconds = -0.1");
    assert!(error.contains("`round_trip_milliseconds` of local is -0.1"), "{error}");
    let error = complaint("machines_per_site = 3", "machines_per_site = 0");
    assert!(error.contains(":5: `machines_per_site` of the profile is 0: expected"), "{error}");
    let error = complaint("wan_dollars_per_gigabyte = 0.05", "wan_dollars_per_gigabyte = -1");
    assert!(error.contains("`wan_dollars_per_gigabyte` of site `Paris` is -1"), "{error}");
    assert!(complaint("_second = 500\n", "_second = \"fast\"\n").contains("invalid type"));
    assert!(complaint("machines_per_site = 3", "machines_per_site = -3").contains("-3"));
}

#[test]
fn sites_are_told_apart_and_known() {
    assert_eq!(
        complaint("name = \"Lyon\"", "name = \"Paris\""),
        format!("{} two sites are called `Paris`: each needs a name of its own", at("\"Lyon\"\nr"))
    );
    assert_eq!(
        complaint("to = \"Paris\"", "to = \"Pairs\""),
        format!("{} no site is called `Pairs`: did you mean `Paris`?", at("to = \"Paris\""))
    );
    let far = complaint("members = [\"Tokyo\"]", "members = [\"Elsewhere\"]");
    assert!(far.ends_with("no site is called `Elsewhere`: known are Paris, Lyon, Tokyo"), "{far}");
    assert!(complaint("name = \"three offices\"", "name = \"vc\"").contains("ready profile"));
    assert!(complaint("name = \"Lyon\"", r#"name = """#).contains("expected 1 to 64"));
    assert!(complaint("name = \"Lyon\"", r#"name = "\u001b""#).contains(r#""\u{1b}" is no name"#));
    let none = parse("name = \"x\"\nsites = []").expect_err("none").to_string();
    assert_eq!(none, "p.toml:1: 0 sites: expected 1 to 64");
    let site = |i| format!("[[sites]]\nname = \"{i}\"\nregion = \"sa-east-1\"\n");
    let many: String = (0..=SITES_MAX).map(site).collect();
    let many = parse(&format!("name = \"x\"\n{many}")).expect_err("many").to_string();
    assert!(many.contains("65 sites"), "{many}");
}

#[test]
fn every_pair_of_sites_has_one_link() {
    let missing = "from = \"Tokyo\"\nto = \"Lyon\"";
    let error = complaint(missing, "from = \"Lyon\"\nto = \"Paris\"");
    assert!(
        error.starts_with(&at("\"Tokyo\"\nregion"))
            && error.contains("the link from `Lyon` to `Tokyo` is missing"),
        "{error}"
    );
    let error = complaint(missing, "from = \"Tokyo\"\nto = \"Paris\"");
    assert_eq!(error, format!("{} the link from `Tokyo` to `Paris` is given twice", at(missing)));
    let error = complaint(missing, "from = \"Tokyo\"\nto = \"Tokyo\"");
    assert!(error.contains("a link from `Tokyo` to itself"), "{error}");
}

#[test]
fn overlays_cover_every_site_once() {
    let lyon = "members = [\"Paris\", \"Lyon\"]";
    assert!(complaint(lyon, "members = [\"Lyon\"]").contains("`Paris` is in no group"));
    let twice = complaint(lyon, "members = [\"Paris\", \"Lyon\", \"Paris\"]");
    assert!(twice.starts_with(&at(lyon)), "{twice}");
    assert!(twice.contains("`Paris` is in two groups"), "{twice}");
    let two = complaint("members = [\"Tokyo\"]", "members = [\"Tokyo\", \"Lyon\"]");
    assert!(two.contains("`Lyon` is in two groups"), "{two}");
    let hub = complaint("hub = \"Lyon\"", "hub = \"Tokyo\"");
    assert_eq!(
        hub,
        format!("{} the hub `Tokyo` is not a member of its group (Paris, Lyon)", at("hub = \"L"))
    );
    let pairs = "[[\"Paris\", \"Tokyo\"]]";
    let inside = complaint(pairs, "[[\"Paris\", \"Lyon\"]]");
    assert!(inside.contains(":6: `Paris` and `Lyon` are in no two groups"), "{inside}");
    let again = complaint(pairs, "[[\"Paris\", \"Tokyo\"], [\"Tokyo\", \"Lyon\"]]");
    assert!(again.contains("`Tokyo` and `Lyon` are the second pair"), "{again}");
    let third = "members = [\"Paris\"]\n\n[[groups]]\nhub = \"Lyon\"\nmembers = [\"Lyon\"]";
    let missing = parse(&EXAMPLE.replace("hub = \"Lyon\"", "hub = \"Paris\"").replace(lyon, third));
    let missing = missing.expect_err("no pair for two of three groups").to_string();
    assert!(missing.contains("no pair of hubs for the groups of `Paris` and `Lyon`"), "{missing}");
}

#[test]
fn unknown_fields_are_named_with_what_was_meant() {
    assert_eq!(
        complaint("machines_per_site", "machine_per_site"),
        "p.toml:5: unknown field `machine_per_site`: did you mean `machines_per_site`?"
    );
    let error = complaint("machine_dollars_per_hour", "dollars");
    assert!(error.starts_with(&at("machine_dollars")), "{error}");
    assert!(error.contains("unknown field `dollars`: known are name, region, "), "{error}");
    let error = complaint("from = \"Tokyo\"\nto = \"Lyon\"", "form = \"Tokyo\"\nto = \"Lyon\"");
    assert!(error.ends_with("unknown field `form`: did you mean `from`?"), "{error}");
    assert!(complaint("[local]", "[local").contains("p.toml: TOML parse error at line 8"));
    assert!(complaint("region = \"eu-west-3\"\n", "").contains("missing field `region`"));
    assert!(
        complaint("region = \"on premises\"\nwan_dollars_per_gigabyte = 0", "region = \"x\"")
            .contains("no list price for region `x` of site `Lyon`")
    );
}

#[test]
fn ready_profiles_can_be_written_and_changed() {
    for name in Profile::READY {
        let mut profile = Profile::ready(name).expect("ready");
        let taken = parse(&profile.to_toml().expect("written"));
        let Err(ProfileError::Fault { line: 1, fault, .. }) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(fault, Fault::TakenName { name: name.into() });
        profile.name = format!("my {name}");
        assert_eq!(parse(&profile.to_toml().expect("written")).expect("sound"), profile);
    }
}

fn link() -> impl Strategy<Value = Link> {
    (0.001..1e6_f64, 0.001..6e4_f64).prop_map(|(megabits_per_second, round_trip_milliseconds)| {
        Link { megabits_per_second, round_trip_milliseconds }
    })
}

/// Any profile: sites in groups by chance, and pairs of hubs in half of them.
fn profile() -> impl Strategy<Value = Profile> {
    let parts = (1..=6_usize).prop_flat_map(|sites| {
        (
            vec(("[^\\p{C}]{1,12}", 0.0..100.0_f64, 0.0..1.0_f64), sites),
            vec(link(), sites * sites),
            link(),
            vec(0..3_usize, sites),
            (any::<bool>(), any::<bool>(), 1..=64_u32, ".{0,40}"),
        )
    });
    parts.prop_map(|(sites, links, local, places, (grouped, paired, machines_per_site, source))| {
        let count = sites.len();
        let members = |group| (0..count).filter(|site| places[*site] == group).collect();
        let groups: Vec<Vec<usize>> =
            (0..3).map(members).filter(|m: &Vec<_>| !m.is_empty()).collect();
        let groups: Vec<_> = groups
            .into_iter()
            .filter(|_| grouped)
            .map(|members| Group { hub: members[members.len() / 2], members })
            .collect();
        let two = (0..groups.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let pair = |(a, b): (usize, usize)| [groups[a].members[0], groups[b].hub];
        let price = |(_, machine, wan): &(String, f64, f64)| Price {
            machine_dollars_per_hour: *machine,
            wan_dollars_per_gigabyte: *wan,
        };
        // Names that differ, whatever chance has made of them.
        let site = |(place, (name, ..)): (usize, &(String, f64, f64))| Site {
            name: format!("{name}{place}"),
            region: name.clone(),
        };
        Profile {
            name: format!("by chance {count}"),
            prices: Prices { sites: sites.iter().map(price).collect(), source: source.clone() },
            source,
            sites: sites.iter().enumerate().map(site).collect(),
            links: Links::new(count, |from, to| match from == to {
                true => local,
                false => links[from * count + to],
            }),
            local,
            hub_pairs: two.filter(|_| paired).map(pair).collect(),
            groups,
            machines_per_site,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_is_written_reads_back_equal(profile in profile()) {
        let text = profile.to_toml().expect("written");
        prop_assert_eq!(parse(&text).expect("sound"), profile);
    }

    /// Lines left out, said twice and moved: a profile or an error with its place, never a panic.
    #[test]
    fn no_mixture_of_lines_makes_it_panic(picks in vec(0..EXAMPLE.lines().count(), 0..60)) {
        let whole: Vec<_> = EXAMPLE.lines().collect();
        let mixed: Vec<_> = picks.iter().map(|pick| whole[*pick]).collect();
        let mut moved = whole.clone();
        for two in picks.chunks_exact(2).take(3) {
            moved.swap(two[0], two[1]);
        }
        for lines in [mixed, moved] {
            if let Err(error) = parse(&lines.join("\n")) {
                prop_assert!(error.to_string().starts_with("p.toml:"), "{}", error);
            }
        }
    }
}
