//! Circlet plays the scripts with itself.

use circlet::group::Grease;
use circlet_interop::runner::{self, Report};
use circlet_interop::server::Options;

use crate::{block_on, start};

fn assert_good(report: &Report, scripts: usize) {
    assert!(report.is_good(), "{:#?}", report.rows);
    assert_eq!(report.rows.len(), scripts);
}

/// All scripts but the long one, with handshake messages of both kinds. Of two servers one has no
/// GREASE; who plays whom is random.
#[test]
fn all_scripts_pass_with_oneself() {
    let report = block_on(async {
        let plain = start(Options { grease: Grease::None, ..Options::default() });
        let clients = vec![start(Options::default()).to_string(), plain.to_string()];
        let options =
            runner::Options { clients, suite: Some(1), states: true, ..runner::Options::default() };
        runner::run(&options, |row| println!("{row}")).await.unwrap()
    });
    assert_good(&report, 39);
    let cases: usize = report.rows.iter().map(|row| row.passed).sum();
    assert!(cases > 500, "{cases}");
}

/// Every suite, one kind of script each.
#[test]
fn every_suite_is_played() {
    let report = block_on(async {
        let clients = vec![start(Options::default()).to_string()];
        let config = Some("external_join".to_owned());
        let options =
            runner::Options { clients, config, states: true, ..runner::Options::default() };
        runner::run(&options, |row| println!("{row}")).await.unwrap()
    });
    assert_good(&report, 5);
    assert!(report.rows.iter().all(|row| row.passed == 14), "{:?}", report.rows);
}

/// A runner that could not fail would be none: two that have no second suite in common can't change
/// it, and say so.
#[test]
fn a_script_that_can_not_pass_fails() {
    let report = block_on(async {
        let one = Options { suites: vec![1, 2], ..Options::default() };
        let other = Options { suites: vec![1, 3], ..Options::default() };
        let clients = vec![start(one).to_string(), start(other).to_string()];
        let options = runner::Options {
            clients,
            config: Some("reinit".to_owned()),
            script: Some("change_ciphersuite".to_owned()),
            suite: Some(1),
            ..runner::Options::default()
        };
        runner::run(&options, |_| {}).await.unwrap()
    });
    assert!(!report.is_good());
    // One client for all actors has another suite: two assignments of 32, in both formats.
    assert_eq!((report.rows[0].passed, report.rows[0].failed), (4, 60));
    let error = report.rows[0].error.as_ref().unwrap();
    assert!(error.contains("no other cipher suite in common"), "{error}");
}
