//! Joining by a Welcome, and application data.

use super::{Change, Script, refer, script};

/// Bob joins by Alice's Welcome, with or without path secret, pre-shared key and tree inside.
pub(super) fn welcome_join() -> Vec<Script> {
    let joining = |name, change: fn(Change) -> Change| {
        script("welcome_join", name, |s| {
            s.create("alice", &[]);
            let add = s.invite("alice", "bob");
            s.commit("alice", change(refer(&[add])), &[], &["bob"]);
        })
    };
    vec![
        joining("no_path_secret", |change| change),
        joining("with_path_secret", |change| Change { force_path: true, ..change }),
        script("welcome_join", "with_psk", |s| {
            s.create("alice", &[]);
            let add = s.invite("alice", "bob");
            let psk = s.psk(&["alice", "bob"]);
            let inject = s.inject("alice", psk);
            s.commit("alice", refer(&[add, inject]), &[], &["bob"]);
        }),
        joining("with_external_tree", |change| Change { external_tree: true, ..change }),
    ]
}

/// Alice writes, Bob reads.
pub(super) fn application() -> Vec<Script> {
    let reading = |name, order: [usize; 3]| {
        script("application", name, |s| {
            s.create("alice", &["bob"]);
            let sent: Vec<_> = (0..3).map(|number| s.protect("alice", number)).collect();
            for message in order.iter().filter_map(|place| sent.get(*place)) {
                s.unprotect("bob", *message);
            }
        })
    };
    vec![
        reading("in_order", [0, 1, 2]),
        reading("out_of_order_within_epoch", [2, 1, 0]),
        script("application", "out_of_order_across_epochs", |s| {
            s.create("alice", &["bob"]);
            let mut sent = vec![s.protect("alice", 0), s.protect("alice", 1)];
            s.commit_these("alice", &[], &["bob"]);
            sent.extend([s.protect("alice", 2), s.protect("alice", 3)]);
            for message in sent.into_iter().rev() {
                s.unprotect("bob", message);
            }
        }),
    ]
}
