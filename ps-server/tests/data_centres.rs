//! Several data centres in real processes over loopback: workers of each train one model, and all
//! copies end the same; one that dies holds the others up for so long as it was told, and one that
//! was started again harms nobody.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;
#[path = "../../tests/relay/mod.rs"]
mod relay;

use std::ops::Range;
use std::thread;
use std::time::Duration;

use archipelago::os::Clock;
use archipelago::time::Instant;
use archipelago_client::{RemoteWorker, Table, Worker};
use process::system::{Member, System, read};
use process::{Served, complaint, said, until};
use relay::{Relay, Road};
use serde_json::Value;

const TICKS: u64 = 60;
/// Small blocks: every server of every data centre owns a part.
const SUMS: &str = "[[table]]\nname = \"sums\"\ndense = 640\nblock_elements = 64\nrule = \"add\"\n";
const MODEL: &str = "[[table]]\nname = \"model\"\ndense = 320\nblock_elements = 64\n\
    rule = \"momentum:0.5\"\nrate = 0.05\n";

fn tables(global: &str) -> String {
    [SUMS, MODEL].map(|table| format!("{table}global = \"{global}\"\n")).concat()
}

/// One worker's part: whole numbers for the sums, which are exact, and steps towards a target.
async fn train(me: &RemoteWorker, tables: &[Table], part: u64, ticks: u64) {
    steps(me, tables, part, 0..ticks).await;
    me.finish().await.unwrap();
}

async fn steps(me: &RemoteWorker, tables: &[Table], part: u64, ticks: Range<u64>) {
    let [sums, model] = tables else { unreachable!("two tables") };
    let mut x = vec![0.0_f32; 320];
    for tick in ticks {
        me.pull(model, .., &mut x).await.unwrap();
        let target = 1.0 + part as f32 / 3.0;
        let gradient: Vec<_> = x.iter().map(|x| x - target).collect();
        me.push(model, .., &gradient).await.unwrap();
        let ones = vec![(1 + part + tick % 3) as f32; 640];
        me.push(sums, .., &ones).await.unwrap();
        me.tick().await.unwrap();
    }
}

/// What `train` adds to each of the sums.
fn summed(part: u64) -> f32 {
    (0..TICKS).map(|tick| (1 + part + tick % 3) as f32).sum()
}

/// Trains in all these data centres at once, with one worker in each.
fn train_in(system: &System, names: &[&str]) {
    let members: Vec<_> = names.iter().map(|name| system.join(name, "train")).collect();
    thread::scope(|threads| {
        for (part, Member { me, tables }) in (0..).zip(members) {
            threads.spawn(move || me.run(async |me| train(me, &tables, part, TICKS).await));
        }
    });
}

fn check_equal(system: &System, names: &[&str], total: f32) {
    let copies: Vec<_> = names.iter().map(|name| read(system, name, "read")).collect();
    let equal = copies.iter().all(|copy| *copy == copies[0]);
    assert!(equal, "copies differ: {}", system.shown());
    let [sums, model] = &copies[0][..] else { unreachable!("two tables") };
    assert!(sums.iter().all(|bits| f32::from_bits(*bits) == total), "{total} each, once");
    let values = model.iter().map(|bits| f32::from_bits(*bits));
    assert!(values.into_iter().all(|value| (0.5..2.5).contains(&value)), "trained by both");
}

#[test]
fn workers_of_two_data_centres_train_one_model_and_its_copies_end_equal() {
    let system = System::start(&[("paris", &[0, 1]), ("tokyo", &[2])], &tables("asp"));
    train_in(&system, &["paris", "tokyo"]);
    system.equal();
    check_equal(&system, &["paris", "tokyo"], summed(0) + summed(1));
    let status = system.status(0);
    let tokyo = &status["data_centres"][0];
    assert_eq!(
        (&tokyo["data_centre"], &tokyo["servers"][0]["connected"]),
        (&"tokyo".into(), &true.into())
    );
    assert_eq!(tokyo["copies"][0]["standing"], "counts");
    assert!(tokyo["servers"][0]["round_trip_seconds"].as_f64().unwrap() > 0.0, "{tokyo}");
    assert_eq!((&status["links_to_servers"], &status["servers_expected"]), (&1.into(), &1.into()));
    let shown = system.shown();
    for words in ["tokyo", "1 of 1", "2 of 2", "counts", "ended", "yes"] {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
}

#[test]
fn three_data_centres_in_step_end_equal() {
    let layout = [("a", &[0][..]), ("b", &[1]), ("c", &[2])];
    let system = System::start(&layout, &tables("bsp"));
    train_in(&system, &["a", "b", "c"]);
    system.equal();
    check_equal(&system, &["a", "b", "c"], summed(0) + summed(1) + summed(2));
}

#[test]
fn groups_of_data_centres_speak_through_their_hubs_and_end_equal() {
    let layout = [("a", &[0][..]), ("b", &[1, 2]), ("c", &[3]), ("d", &[4])];
    let hubs = "hubs = [\"a,b\", \"d,c\"]";
    let system = System::start_with(&layout, &tables("asp"), hubs, |address| address);
    let names = ["a", "b", "c", "d"];
    train_in(&system, &names);
    system.equal();
    check_equal(&system, &names, (0..4).map(summed).sum());
    let tells = |server: u32, to: usize| {
        let status = system.status(server);
        let way = &status["data_centres"][to]["servers"][0];
        !way["round_trip_seconds"].is_null()
    };
    // Of the others seen by the first: b, c, d; seen by the second: a, c, d.
    assert_eq!([tells(0, 0), tells(0, 1), tells(0, 2)], [true, false, true], "a tells b and d");
    assert_eq!([tells(1, 0), tells(1, 1), tells(1, 2)], [true, false, false], "b tells a");
}

#[test]
fn a_connection_that_had_to_be_made_again_loses_nothing_and_counts_nothing_twice() {
    let layout = [("paris", &[0][..]), ("tokyo", &[1])];
    let mut relays = Vec::new();
    let system = System::start_with(&layout, &tables("asp:0.01,staleness=2"), "", |address| {
        let relay = Relay::start(address, Road::FREE, Road::FREE, 1);
        let address = relay.address();
        relays.push(relay);
        address
    });
    // Only the first server is called.
    let relay = &relays[0];
    let members = ["paris", "tokyo"].map(|name| system.join(name, "train"));
    let both = |ticks: &Range<u64>| {
        thread::scope(|threads| {
            for (part, Member { me, tables }) in (0..).zip(&members) {
                let ticks = ticks.clone();
                threads.spawn(move || me.run(async |me| steps(me, tables, part, ticks).await));
            }
        });
    };
    both(&(0..TICKS / 2));
    relay.cut();
    thread::scope(|threads| {
        threads.spawn(|| both(&(TICKS / 2..TICKS)));
        let connected = |it: &Value| it["data_centres"][0]["servers"][0]["connected"] == true;
        system.until(0, "the connection is gone", |it| !connected(it));
        let tick = system.status(0)["tables"][0]["mirror"]["tick"].as_u64().unwrap();
        assert!(tick < TICKS, "paris waits for tokyo");
        relay.heal();
        system.until(0, "there is another one", connected);
    });
    for Member { me, .. } in &members {
        me.run(async |me| me.finish().await.unwrap());
    }
    system.equal();
    check_equal(&system, &["paris", "tokyo"], summed(0) + summed(1));
}

#[test]
fn a_data_centre_that_is_killed_is_waited_for_until_it_is_found_silent() {
    let global = "asp:0.01,staleness=2,silence_seconds=2";
    let mut system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables(global));
    let [here, there] = ["paris", "tokyo"].map(|name| system.join(name, "train"));
    thread::scope(|threads| {
        let survivor = threads.spawn(move || {
            here.me.run(async |me| train(me, &here.tables, 0, TICKS).await);
        });
        half_of(&there);
        let tick = |it: &Value| tick_of(&it["tables"][0]);
        system.until(0, "paris has come as far", |it| tick(it) >= Some(TICKS / 2));
        assert!(!survivor.is_finished(), "it waits for the other");
        system.kill(1);
        survivor.join().unwrap();
    });
    // Not in step, the end is a tick of its own only where the last one was told before all had
    // left; a copy is called equal once it has ended.
    let ended = |it: &Value| {
        let all = it["tables"].as_array().unwrap();
        let equal = |it: &Value| it["mirror"]["equal"] == true;
        all.iter().all(|it| equal(it) && [TICKS, TICKS + 1].map(Some).contains(&tick_of(it)))
    };
    let lost = |it: &Value| it["data_centres"][0]["copies"][0]["standing"] == "lost";
    system.until(0, "paris has ended, tokyo is lost", |it| ended(it) && lost(it));
    let values = read(&system, "paris", "read");
    let mut sums = values[0].iter().map(|bits| f32::from_bits(*bits));
    let most = summed(0) + (TICKS / 2) as f32;
    assert!(sums.all(|sum| (summed(0)..=most).contains(&sum)), "its own, and what tokyo has told");
}

/// The last tick that a table has told of.
fn tick_of(table: &Value) -> Option<u64> {
    table["mirror"]["tick"].as_u64()
}

/// Half of the ticks, and no end.
fn half_of(member: &Member) {
    member.me.run(async |me| {
        for _ in 0..TICKS / 2 {
            me.push(&member.tables[0], .., &[1.0_f32; 640]).await.unwrap();
            me.tick().await.unwrap();
        }
    });
}

#[test]
fn who_was_started_again_begins_with_the_others_or_is_refused_and_harms_nobody() {
    let global = "asp:0.01,silence_seconds=2";
    let mut system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables(global));
    system.stop(1);
    // Nothing was told yet: it is as good as the first one.
    system.start_again(1);
    train_in(&system, &["paris", "tokyo"]);
    system.equal();
    check_equal(&system, &["paris", "tokyo"], summed(0) + summed(1));
    let before = read(&system, "paris", "first look");
    system.stop(1);
    system.start_again(1);
    let refused = "server 1 was started again and has lost what its data centre";
    until("both sides say why they part", || {
        let logged = |server: usize| system.servers[server].as_ref().unwrap().0.logged();
        (logged(0).contains(refused) && logged(1).contains(refused)).then_some(())
    });
    // The new one trains alone, from the beginning.
    let member = system.join("tokyo", "again");
    member.me.run(async |me| train(me, &member.tables, 0, 3).await);
    assert_eq!(read(&system, "paris", "second look"), before);
    assert_eq!(system.status(0)["data_centres"][0]["servers"][0]["connected"], false);
}

#[test]
fn what_does_not_fit_together_is_told_before_anything_is_served() {
    let system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables("asp"));
    let good = std::fs::read_to_string(system.configured(0, "127.0.0.1:0")).unwrap();
    assert!(system.check(&good).contains("data_centres = [\"paris:0="), "{}", system.check(&good));
    assert!(system.check(&good).contains("# the certificate is for server of paris"));
    let list = good.lines().find(|line| line.starts_with("data_centres")).unwrap();
    let changed = |line: &str| good.replace(list, line);
    for (config, words) in [
        (changed("data_centres = [\"paris:0=a:1\", \"paris:1=b:1\"]"), "two are called \"paris\""),
        (
            changed("data_centres = [\"oslo:0=a:1\", \"tokyo:1=b:1\"]"),
            "does not list (oslo, tokyo)",
        ),
        (
            changed("data_centres = [\"tokyo:0=a:1\", \"paris:1=b:1\"]"),
            "listed for the data centre tokyo",
        ),
        (
            changed("data_centres = [\"paris:2=127.0.0.1:1\", \"tokyo:1=127.0.0.1:2\"]"),
            "does not list",
        ),
        (format!("{good}\nhubs = [\"paris,oslo\"]"), "`oslo`"),
        (changed("data_centres = [\"paris\"]"), "expected NAME:NUMBER=HOST:PORT"),
        (changed(&format!("{list}\nservers = [\"0=c:1\"]")), "list different servers"),
        (changed("servers = [\"0=127.0.0.1:0\"]"), "other data centres to be named"),
        (good.replace("tables.toml", "absent.toml"), "absent.toml"),
        (good.replace("data_centres", "data_centers"), "did you mean `data_centres`"),
    ] {
        let found = system.check(&config);
        assert!(found.contains(words), "{words:?} in {found:?}");
    }
}

#[test]
fn strangers_are_refused_and_tables_between_data_centres_are_made_and_end_with_all_servers() {
    let system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables("asp"));
    let cluster = |role: &str, name: &str, to: &str| {
        let [ca, certificate, key] = system.papers(role, name);
        let words = ["--servers", to, "--ca", &ca, "--certificate", &certificate, "--key", &key];
        words.map(str::to_owned).to_vec()
    };
    let table = |words: &[&str], cluster: &[String]| {
        let cluster: Vec<_> = cluster.iter().map(String::as_str).collect();
        complaint(&[&["table"][..], words, &cluster].concat())
    };
    let later = table(
        &["create", "late", "--dense", "9", "--global", "asp"],
        &cluster("worker", "paris", &system.list("paris")),
    );
    for words in ["late", "while data centres run", "given it when they start"] {
        assert!(later.contains(words), "{words:?} in {later}");
    }
    let paris = cluster("worker", "paris", &system.list("paris"));
    let dropped = table(&["drop", "model"], &paris);
    for words in ["model", "global policy", "stop the servers of all data centres"] {
        assert!(dropped.contains(words), "{words:?} in {dropped}");
    }
    let abroad = table(&["list"], &cluster("worker", "tokyo", &system.list("paris")));
    assert!(
        abroad.contains("data centre paris expected, the certificate is for tokyo"),
        "{abroad}"
    );
    // A server that was given other tables.
    let folder = system.folder.path().to_owned();
    let config = system.configured(1, "127.0.0.1:0");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(folder.join("other.toml"), tables("asp:0.5")).unwrap();
    std::fs::write(&config, text.replace("tables.toml", "other.toml")).unwrap();
    refused(Served::start(&["--config", &config]), "servers, data centres or tables differ");
    // One of paris that takes the number of one of tokyo.
    let paris = std::fs::read_to_string(system.configured(0, "127.0.0.1:0")).unwrap();
    let at = system.list("paris");
    let line = format!("data_centres = [\"paris:{at},1=127.0.0.1:0\", \"tokyo:2=127.0.0.1:2\"]");
    let list = paris.lines().find(|line| line.starts_with("data_centres")).unwrap();
    let claimed = paris.replace(list, &line).replace("server = 0", "server = 1");
    std::fs::write(&config, claimed).unwrap();
    let expected = "data centre tokyo expected, the certificate is for paris";
    refused(Served::start(&["--config", &config]), expected);
}

/// A new connection tries large datagrams, which fill its first window: QUIC then sends nothing
/// else, the end of the connection neither.
#[test]
fn who_stops_on_a_new_connection_is_missed_at_once() {
    let road = Road { delay: Duration::from_millis(50), ..Road::FREE };
    let mut relays = Vec::new();
    let layout = [("paris", &[0][..]), ("tokyo", &[1])];
    let mut system = System::start_with(&layout, &tables("asp"), "", |address| {
        let relay = Relay::start(address, road, road, 1);
        let address = relay.address();
        relays.push(relay);
        address
    });
    let connected = |it: &Value| it["data_centres"][0]["servers"][0]["connected"] == true;
    system.until(0, "both are connected", connected);
    thread::park_timeout(Duration::from_millis(500));
    system.stop(1);
    let clock = Clock::start();
    system.until(0, "it is missed", |it| !connected(it));
    let took = clock.now().since(Instant::EPOCH);
    assert!(took < Duration::from_secs(3), "{took:?}: no farewell has come");
}

/// Another name helps where tables may be created; these may not.
#[test]
fn who_trains_a_second_time_is_told_what_to_do_between_data_centres() {
    let train = ["train", "--global", "eventual", "--model", "softmax", "--train", "digits"];
    let train = [&train[..], &["--epochs", "1", "--workers", "1"]].concat();
    let tables = said(&[&train[..], &["--describe-tables"]].concat());
    let system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables);
    let ([ca, certificate, key], servers) =
        (system.papers("worker", "paris"), system.list("paris"));
    let cluster =
        ["--servers", &servers, "--ca", &ca, "--certificate", &certificate, "--key", &key];
    let train = [&train[..], &cluster].concat();
    let two: Vec<_> = train.iter().map(|word| if *word == "1" { "2" } else { *word }).collect();
    let other = complaint(&two);
    assert!(other.contains("--workers) and --batch, as for --describe-tables"), "{other}");
    assert!(other.contains("stop the servers of all data centres and start them"), "{other}");
    said(&train);
    let again = complaint(&train);
    assert!(again.contains("stop those of all data centres and start them again"), "{again}");
    let other = complaint(&[&train[..], &["--run", "other"]].concat());
    assert!(other.contains("given it when they start"), "{other}");
    let shown = said(&[&["table", "describe", "softmax"][..], &cluster].concat());
    assert!(shown.contains("global         eventual/1"), "{shown}");
    assert!(shown.contains("significance   relative/1"), "{shown}");
}

#[test]
fn tables_of_one_name_and_silences_too_short_are_told_before_anything_is_served() {
    let system = System::start(&[("paris", &[0]), ("tokyo", &[1])], &tables("asp"));
    let good = std::fs::read_to_string(system.configured(0, "127.0.0.1:0")).unwrap();
    for (tables, words) in [
        ([SUMS, SUMS].concat(), "\"sums\" a second time"),
        (tables("asp:0.01,silence_seconds=0.001"), "silence_seconds: expected 0.1 or more"),
    ] {
        std::fs::write(system.folder.path().join("other.toml"), tables).unwrap();
        let found = system.check(&good.replace("tables.toml", "other.toml"));
        assert!(found.contains(words), "{words:?} in {found:?}");
    }
}

/// Waits until a server logs that it is refused, and why.
fn refused(server: Served, why: &str) {
    until("it is told", || server.logged().contains(why).then_some(()));
}
